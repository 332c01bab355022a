"""The turns of periodic jobs."""

import sqlalchemy as sa

BEGIN_JOB = sa.text("""
/* Take a periodic job's turn, if nobody has it. */
INSERT INTO replenish.job AS j (name, busy_until, begun_at)
VALUES (:name, now() + make_interval(secs => :seconds), now())
ON CONFLICT (name) DO UPDATE
SET busy_until = excluded.busy_until, begun_at = excluded.begun_at
WHERE j.busy_until IS NULL OR j.busy_until <= now()
RETURNING begun_at
""")

EXTEND_JOB = sa.text("""
/* Keep a turn longer, unless it is over and somebody else's. */
UPDATE replenish.job SET busy_until = now() + make_interval(secs => :seconds),
    cursor = coalesce(:cursor, cursor)
WHERE name = :name AND begun_at = :begun
""")

END_JOB = sa.text("""
/* Give the turn back, with what was done and how far it came; not another's turn. */
UPDATE replenish.job
SET busy_until = NULL, ended_at = now(), detail = :detail,
    cursor = coalesce(:cursor, cursor)
WHERE name = :name AND begun_at = :begun
""")

CURSOR = sa.text("SELECT cursor FROM replenish.job WHERE name = :name")

LAST_RUNS = sa.text("""
/* When each job last ended, and whether somebody has its turn. */
SELECT name, ended_at, extract(epoch FROM now() - ended_at)::float8 AS age,
       coalesce(busy_until > now(), false) AS busy
FROM replenish.job
""")
