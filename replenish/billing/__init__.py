"""A small prepaid billing package: accounts, rates, calls and refills in PostgreSQL.

It stands on its own and knows nothing of replenishment, as any billing package
would: a switch asks `authorise` before a call and reports it with `calls` after;
an operator loads rate decks and accounts with `load` and books payments with
`refills`. All of it lives in the schema `billing`, made by `schema.create`.

Amounts are decimal currency units with five places (`rating.SCALE`).
"""
