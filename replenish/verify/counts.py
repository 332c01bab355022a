"""What the rows tell of a run: how much happened, by name.

A run in which nothing went wrong proves nothing about what happens then. Whoever asks
the checker can say how much there must have been at least.
"""

_STEPS = "SELECT count(*) FROM replenish.event WHERE kind = 'attempt' AND"

COUNTS = {
    "charges": "SELECT count(*) FROM g WHERE ours AND charges > 0",
    "accounts": "SELECT count(*) FROM replenish.account",
    "attempts": "SELECT count(*) FROM replenish.attempt",
    "settled": "SELECT count(*) FROM replenish.attempt WHERE state = 'settled'",
    "declined": (
        "SELECT count(*) FROM replenish.attempt"
        " WHERE state IN ('declined', 'action_required')"
    ),
    "released": "SELECT count(*) FROM replenish.attempt WHERE state = 'released'",
    "cancelled": "SELECT count(*) FROM replenish.attempt WHERE state = 'cancelled'",
    "taken_again": "SELECT count(*) FROM replenish.attempt WHERE takes > 1",
    "unknown": f"{_STEPS} to_state = 'unknown'",
    "unknown_resolved": f"{_STEPS} from_state = 'unknown' AND to_state <> 'charging'",
    "orphans_adopted": "SELECT count(*) FROM replenish.orphan WHERE adopted",
    "credits_put_right": (
        "SELECT count(*) FROM replenish.credit_break WHERE put_right_at IS NOT NULL"
    ),
    "cut_off": "SELECT count(*) FROM replenish.cut_off WHERE done_at IS NOT NULL",
    "restored": "SELECT count(*) FROM replenish.cut_off WHERE restored_at IS NOT NULL",
    "batches": "SELECT count(*) FROM replenish.batch",
}
"""Name → a query over our rows and the scratch tables of the other two books."""
