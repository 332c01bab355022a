"""Service ended and given back."""

import sqlalchemy as sa

BEGIN_CUT = sa.text("""
/* Write a cut-off down before it happens, so that only ours is ever lifted. */
WITH cut AS (
  INSERT INTO replenish.cut_off (account_id, reason, detail, available)
  VALUES (:account, :reason, :detail, :available)
  ON CONFLICT (account_id) WHERE restored_at IS NULL DO NOTHING
  RETURNING account_id)
SELECT replenish.record_event(
  cut.account_id, NULL, 'cut_off', NULL, NULL, :actor, jsonb_build_object(
    'reason', CAST(:reason AS text), 'detail', CAST(:detail AS text),
    'available', CAST(:available AS numeric)))
FROM cut
""")

DONE_CUT = sa.text("""
/* The package has ended the service; what was taken back too early stands again. */
WITH done AS (
  UPDATE replenish.cut_off SET done_at = now()
  WHERE account_id = :account AND restored_at IS NULL
  RETURNING account_id),
again AS (
  INSERT INTO replenish.cut_off (account_id, reason, detail, available, done_at)
  SELECT o.account_id, o.reason, o.detail, o.available, now()
  FROM replenish.cut_off o
  WHERE o.account_id = :account AND NOT EXISTS (SELECT FROM done)
  ORDER BY o.id DESC LIMIT 1
  ON CONFLICT (account_id) WHERE restored_at IS NULL DO NOTHING
  RETURNING account_id, reason, detail, available)
SELECT replenish.record_event(
  again.account_id, NULL, 'cut_off', NULL, NULL, :actor, jsonb_build_object(
    'reason', again.reason, 'detail', again.detail, 'available', again.available))
FROM again
""")

STANDING = sa.text("""
/* Accounts whose service we have ended, or were about to. */
SELECT account_id FROM replenish.cut_off
WHERE restored_at IS NULL AND account_id > :after
ORDER BY account_id LIMIT :limit
""")

IS_STANDING = sa.text("""
SELECT 1 FROM replenish.cut_off WHERE account_id = :account AND restored_at IS NULL
""")

RESTORED = sa.text("""
/* Service is back; told once. Not where it was ended anew since it was looked at. */
WITH back AS (
  UPDATE replenish.cut_off SET restored_at = now(), restored_why = :reason
  WHERE account_id = :account AND restored_at IS NULL
    AND (done_at IS NULL OR CAST(:seen AS timestamptz) IS NULL OR done_at <= :seen)
  RETURNING account_id, done_at)
SELECT replenish.record_event(
  back.account_id, NULL, 'restored', NULL, NULL, :actor,
  jsonb_build_object('reason', CAST(:reason AS text)))
FROM back
""")
