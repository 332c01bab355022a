"""Our own ledger in PostgreSQL; see `replenish.ports.Ledger`."""
