-- The journal: what the database itself guarantees about attempts and events.
--
-- 1. An attempt only ever takes a step that the table `transition` lists, and what
--    the gateway was told is never changed afterwards.
-- 2. Every such step is recorded in `event` by the statement that takes it.
-- 3. `event` only grows. Each row holds the hash of the account's previous row, and
--    `chain` holds the hash of the last, so that an edit or a gap shows.

CREATE FUNCTION replenish.digest(event replenish.event) RETURNS text
LANGUAGE sql STABLE AS $$
  SELECT encode(sha256(convert_to(concat_ws(E'\x1f',
    event.previous, event.account_id, event.seq, coalesce(event.attempt_id::text, ''),
    event.kind, coalesce(event.from_state, ''), coalesce(event.to_state, ''),
    (extract(epoch FROM event.at) * 1000000)::bigint, event.actor, event.detail::text
  ), 'UTF8')), 'hex')
$$;

CREATE FUNCTION replenish.record_event(
  account text, attempt uuid, kind text, from_state text, to_state text,
  actor text, detail jsonb
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  head replenish.chain;
  event replenish.event;
BEGIN
  SELECT * INTO head FROM replenish.chain c WHERE c.account_id = account FOR UPDATE;
  IF NOT FOUND THEN
    INSERT INTO replenish.chain VALUES (account, 0, '') ON CONFLICT DO NOTHING;
    SELECT * INTO head FROM replenish.chain c WHERE c.account_id = account FOR UPDATE;
  END IF;
  event.account_id := account;
  event.seq := head.seq + 1;
  event.attempt_id := attempt;
  event.kind := kind;
  event.from_state := from_state;
  event.to_state := to_state;
  event.at := clock_timestamp();
  event.actor := actor;
  event.detail := detail;
  event.previous := head.hash;
  event.hash := replenish.digest(event);
  INSERT INTO replenish.event
    (account_id, seq, attempt_id, kind, from_state, to_state, at, actor, detail,
     previous, hash)
  VALUES
    (event.account_id, event.seq, event.attempt_id, event.kind, event.from_state,
     event.to_state, event.at, event.actor, event.detail, event.previous, event.hash);
  UPDATE replenish.chain c SET seq = event.seq, hash = event.hash
  WHERE c.account_id = account;
END
$$;

CREATE FUNCTION replenish.journal_claim() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.state NOT IN ('claimed', 'charged') THEN
    RAISE EXCEPTION 'attempt % cannot begin as %', NEW.id, NEW.state
      USING ERRCODE = 'check_violation';
  END IF;
  PERFORM replenish.record_event(
    NEW.account_id, NEW.id, 'attempt', NULL, NEW.state, NEW.actor,
    NEW.evidence || jsonb_build_object(
      'amount', NEW.amount, 'currency', NEW.currency, 'card', NEW.card_id,
      'available', NEW.available_before, 'reason', NEW.reason));
  RETURN NULL;
END
$$;

CREATE FUNCTION replenish.journal_step() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF (OLD.id, OLD.account_id, OLD.card_id, OLD.amount, OLD.currency, OLD.customer,
      OLD.payment_method, OLD.fingerprint, OLD.claimed_at)
     IS DISTINCT FROM
     (NEW.id, NEW.account_id, NEW.card_id, NEW.amount, NEW.currency, NEW.customer,
      NEW.payment_method, NEW.fingerprint, NEW.claimed_at)
     OR (OLD.intent IS NOT NULL AND OLD.intent IS DISTINCT FROM NEW.intent) THEN
    RAISE EXCEPTION 'attempt %: what the gateway was told is frozen', OLD.id
      USING ERRCODE = 'check_violation';
  END IF;
  IF NEW.state = OLD.state THEN
    RETURN NEW;
  END IF;
  IF NOT EXISTS (SELECT FROM replenish.transition t
                 WHERE t.from_state = OLD.state AND t.to_state = NEW.state) THEN
    RAISE EXCEPTION 'attempt %: no step leads from % to %', OLD.id, OLD.state, NEW.state
      USING ERRCODE = 'check_violation';
  END IF;
  NEW.changed_at := clock_timestamp();
  IF NEW.state = 'charged' THEN NEW.charged_at := NEW.changed_at; END IF;
  IF NEW.state = 'settled' THEN NEW.settled_at := NEW.changed_at; END IF;
  PERFORM replenish.record_event(
    NEW.account_id, NEW.id, 'attempt', OLD.state, NEW.state, NEW.actor,
    NEW.evidence || jsonb_build_object('reason', NEW.reason));
  RETURN NEW;
END
$$;

CREATE FUNCTION replenish.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% only grows: % is refused', TG_TABLE_NAME, TG_OP
    USING ERRCODE = 'check_violation';
END
$$;

CREATE TRIGGER journal_claim AFTER INSERT ON replenish.attempt
  FOR EACH ROW EXECUTE FUNCTION replenish.journal_claim();
CREATE TRIGGER journal_step BEFORE UPDATE ON replenish.attempt
  FOR EACH ROW EXECUTE FUNCTION replenish.journal_step();
CREATE TRIGGER keep BEFORE DELETE ON replenish.attempt
  FOR EACH ROW EXECUTE FUNCTION replenish.refuse_change();
CREATE TRIGGER keep_all BEFORE TRUNCATE ON replenish.attempt
  FOR EACH STATEMENT EXECUTE FUNCTION replenish.refuse_change();
CREATE TRIGGER keep BEFORE UPDATE OR DELETE ON replenish.event
  FOR EACH ROW EXECUTE FUNCTION replenish.refuse_change();
CREATE TRIGGER keep_all BEFORE TRUNCATE ON replenish.event
  FOR EACH STATEMENT EXECUTE FUNCTION replenish.refuse_change();
