"""The ledger in memory, behind the same ports as the one on PostgreSQL.

Held to the same promises by `tests/properties/test_ledger_machine.py`, which runs
both side by side. Each method is one transaction that nothing comes between; what it
checks it checks before it changes anything, so that a crash at a seam leaves nothing
half done.
"""
