"""A whole installation under fire: `python -m tests.chaos --seconds 120`.

Two beats, three workers, a worker for cut-offs, Redis, two PostgreSQL servers and the
sandbox; hundreds of accounts whose calls are debited all the while. Meanwhile workers
are killed and frozen, Redis is wiped, the databases are restarted, a third of the
gateway's answers are wrong or lost, and messages are replayed. Then it heals, and
`replenish.verify` says whether a cent was lost or charged twice.
"""
