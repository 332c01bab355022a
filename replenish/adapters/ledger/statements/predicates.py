"""What several statements ask of a row, in one place."""

# Each repeats the predicate of a partial index.
OPEN = "('claimed', 'charging', 'unknown', 'charged')"

IN_FLIGHT = "('claimed', 'charging', 'unknown')"  # may still be declined

# A breaker that nobody may pass. The rate keeps its own count, unless by hand.
BREAKER = """
  replenish.breaker b
  WHERE b.ended_at IS NULL AND (b.until IS NULL OR b.until > now())
    AND (b.by_hand OR b.name <> 'charge_rate')"""

LOST = "t.lost + CAST(t.lease IS NOT NULL AND t.next_at <= now() AS int)"
"""Workers lost in a row: a lease that is over and was not given back is one more."""
