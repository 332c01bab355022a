"""One adapter for every billing package that keeps its accounts in SQL tables.

A package is described, not programmed: `replenish.adapters.billing.PACKAGE` holds a
`Profile` with its tables, signs, states and statements, in its own dialect. What is
the same for all stands here once: how pages are read, how a credit is made exactly
once, how a cut-off compares, how call records are followed.

- `profile`   what there is to say about a package
- `package`   `replenish.ports.BillingPackage` over a profile
- `credit`    a credit exactly once, with the rows the package's reports need
- `pending`   the same on tables without transactions
- `order`     what both share
- `feed`      the accounts that calls have debited since a cursor
- `session`   engines bounded in time, and the drivers' errors in sentences
"""
