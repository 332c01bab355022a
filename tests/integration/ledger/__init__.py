"""What the ledger's database promises by itself."""
