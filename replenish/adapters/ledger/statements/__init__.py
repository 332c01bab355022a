"""Every statement of the hot path, named and explained; Python calls names.

They are written out because a payments reviewer should be able to read what
runs. `:open` and `:spent` are arrays of states. `now()` is the database's clock,
which alone decides leases, caps and cooldowns. A local day begins a second after the
last one of the day before: where clocks go back from one to midnight, midnight itself
comes twice, and PostgreSQL would take the second.
"""
