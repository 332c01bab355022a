"""The steps on a real ledger and a real billing package."""
