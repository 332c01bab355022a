"""The defects: each a few changed lines, and the invariants that must name it.

They are mistakes that somebody might make and a reviewer might let pass; most stand in
the public history of other systems (docs/incidents.md). `caught_by` was written down
before the scenes were played: a defect that breaks only other invariants is not caught.
"""

from dataclasses import dataclass

from tests.planted.copies import Edit

CLAIM_SQL = "replenish/adapters/ledger/statements/claiming.py"
LEASE_SQL = "replenish/adapters/ledger/statements/leasing.py"
ATTEMPTS = "replenish/adapters/ledger/attempts.py"
ADOPTION = "replenish/adapters/ledger/adoption.py"
LEDGER = "replenish/adapters/ledger/migrations/versions/2026_11_23_0001_ledger.py"
STEPS = "replenish/pipeline/replenish.py"
DECLINES = "replenish/pipeline/declines.py"
CREDITS = "replenish/pipeline/credits.py"
RECONCILE = "replenish/pipeline/reconcile.py"
POLICY = "replenish/domain/policy.py"
OBSTACLES = "replenish/domain/obstacles.py"
ATTEMPT = "replenish/domain/attempt.py"
TRAIL = "replenish/domain/trail.py"
FLOWS = "replenish/adapters/stripe_flows.py"
AMOUNTS = "replenish/adapters/stripe_amounts.py"
BUNDLED = "replenish/adapters/billing/bundled.py"
REFILLS = "replenish/billing/refills.py"
SCHEMA = "replenish/billing/schema.py"


@dataclass(frozen=True)
class Bug:
    """A defect.

    Attributes:
        what: what somebody did, in a sentence.
        caught_by: the invariants of which at least one must be broken.
        edits: how it is done.
    """

    name: str
    what: str
    caught_by: tuple[str, ...]
    edits: tuple[Edit, ...]


BUGS = (
    Bug(
        "new key per retry",
        "every request to the gateway gets a fresh idempotency key",
        ("I10",),
        (
            Edit(
                FLOWS,
                "key = order.attempt if number == 1 else",
                "key = __import__('uuid').uuid4().hex if number else",
            ),
        ),
    ),
    Bug(
        "no unique reference on credits",
        "the package books a reference as often as it is asked to",
        ("I1d",),
        (
            Edit(
                SCHEMA,
                'sa.Column("reference", Word, nullable=False, unique=True)',
                'sa.Column("reference", Word, nullable=False)',
            ),
            Edit(REFILLS, "            ON CONFLICT (reference) DO NOTHING\n", ""),
        ),
    ),
    Bug(
        "no index on open attempts",
        "nothing in the database keeps two attempts of an account apart",
        ("I2", "I3"),
        (
            Edit(
                LEDGER,
                '["account_id"],\n        unique=True,\n        schema="replenish",\n'
                "        postgresql_where=sa.text(\n            \"state IN ('charged'",
                '["account_id"],\n        unique=False,\n        schema="replenish",\n'
                "        postgresql_where=sa.text(\n            \"state IN ('charged'",
            ),
            Edit(
                CLAIM_SQL,
                "ON CONFLICT (account_id) WHERE state IN {OPEN} DO NOTHING\n"
                "RETURNING n.id, n.account_id, n.claimed_at",
                "RETURNING n.id, n.account_id, n.claimed_at",
            ),
        ),
    ),
    Bug(
        "no second look after the claim",
        "what was read before the claim is believed",
        ("I3",),
        (
            Edit(
                STEPS,
                "    obstacle = _recheck(attempt, services)\n    failpoint",
                "    obstacle = None\n    failpoint",
            ),
        ),
    ),
    Bug(
        "claim after the charge",
        "the attempt is written down when the card has been charged",
        ("I13", "I1b"),
        (
            Edit(
                STEPS,
                "    proposal = Proposal(subject, decision, available)\n"
                '    claims = services.ledger.claim([proposal], kind="hand")\n',
                "    import uuid\n"
                "    from replenish.domain.outcome import SeenIntent\n"
                "    card, id_ = decision.card, str(uuid.uuid4())\n"
                "    order = Order(id_, account, decision.amount, card.customer,"
                " card.payment_method)\n"
                "    intent = services.gateway.create(order)\n"
                "    outcome = services.gateway.confirm(order, intent, number=1)\n"
                '    failpoint("after_confirm", account)\n'
                "    if isinstance(outcome, Charged):\n"
                "        seen = SeenIntent(intent, id_, account, order.amount, True)\n"
                "        services.ledger.adopt([seen])\n"
                "    claims = services.ledger.claim([], kind='hand')\n",
            ),
        ),
    ),
    Bug(
        "credit before the charge",
        "the account is credited while its card is still being asked",
        ("I1a", "I1d"),
        (
            Edit(
                STEPS,
                '    failpoint("before_confirm", attempt.account)\n',
                '    failpoint("before_confirm", attempt.account)\n'
                "    services.billing.apply_credit(attempt.account, attempt.amount,"
                ' reference=attempt.id, note="", at=services.clock())\n',
            ),
        ),
    ),
    Bug(
        "cooldown released on failure",
        "only tries that took money count for the cooldown",
        ("I5",),
        (
            Edit(
                CLAIM_SQL,
                "AND t.state NOT IN ('released', 'cancelled')\n"
                "              AND t.id IS DISTINCT",
                "AND t.state IN ('charged', 'settled')\n"
                "              AND t.id IS DISTINCT",
            ),
            Edit(
                CLAIM_SQL,
                "OR (t.state NOT IN ('released', 'cancelled') AND t.card_id IN (",
                "OR (t.state IN ('charged', 'settled') AND t.card_id IN (",
            ),
        ),
    ),
    Bug(
        "a time-out is a decline",
        "no answer in time is taken for a no",
        ("I1b",),
        (
            Edit(
                FLOWS,
                "        if answer.lost:\n"
                "            return Unknown(intent, answer.lost, str(answer))\n"
                "        if answer.status == PAYMENT_REQUIRED:",
                '        if answer.lost == "timeout":\n'
                '            return Declined(intent, DeclineClass.SOFT, "timeout")\n'
                "        if answer.lost:\n"
                "            return Unknown(intent, answer.lost, str(answer))\n"
                "        if answer.status == PAYMENT_REQUIRED:",
            ),
        ),
    ),
    Bug(
        "a 500 is a decline",
        "an error of the gateway is taken for a no",
        ("I1b",),
        (
            Edit(
                FLOWS,
                "        if answer.lost:\n"
                "            return Unknown(intent, answer.lost, str(answer))\n"
                "        if answer.status == PAYMENT_REQUIRED:",
                "        if answer.status == BROKEN:\n"
                '            return Declined(intent, DeclineClass.SOFT, "broken")\n'
                "        if answer.lost:\n"
                "            return Unknown(intent, answer.lost, str(answer))\n"
                "        if answer.status == PAYMENT_REQUIRED:",
            ),
        ),
    ),
    Bug(
        "a new intent on a 500",
        "after an error of the gateway the charge is begun anew",
        ("I1c", "I10"),
        (
            Edit(
                FLOWS,
                "        answer = self._wire.confirm(intent, key=key)\n",
                "        answer = self._wire.confirm(intent, key=key)\n"
                "        if isinstance(answer, Refusal) and answer.status == BROKEN:\n"
                "            fresh = self._wire.create(order,"
                ' key=f"{order.attempt}:again")\n'
                '            return self._wire.confirm(fresh["id"],'
                ' key=f"{key}:again") and Unknown(intent, "server_error")\n',
            ),
        ),
    ),
    Bug(
        "unknown expires",
        "an answer that stays away for some looks is given up",
        ("I12", "I1b"),
        (
            Edit(
                STEPS,
                "    if attempt.takes % TOLD_EVERY == 0:",
                "    if attempt.takes > 3:\n"
                "        return services.ledger.advance("
                'attempt, State.CANCELLED, reason="expired")\n'
                "    if attempt.takes % TOLD_EVERY == 0:",
            ),
        ),
    ),
    Bug(
        "leases by the worker's clock",
        "whether a lease is over is judged by the clock of whoever wants it",
        ("I15",),
        (
            Edit(
                LEASE_SQL,
                "AND t.state IN {OPEN} AND t.next_at <= now()",
                "AND t.state IN {OPEN} AND t.next_at <= CAST(:at AS timestamptz)",
            ),
            Edit(
                ATTEMPTS,
                "import uuid\n",
                "import uuid\nfrom datetime import UTC, datetime\n",
            ),
            Edit(
                ATTEMPTS,
                '            "seconds": self._lease,\n        }\n',
                '            "seconds": self._lease,\n'
                '            "at": datetime.now(UTC),\n        }\n',
            ),
        ),
    ),
    Bug(
        "caps forget what is settled",
        "only money in flight counts against the caps",
        ("I4",),
        (Edit(ATTEMPT, "SPENT = OPEN | {State.SETTLED}", "SPENT = OPEN"),),
    ),
    Bug(
        "days of the caps in UTC",
        "the account's own midnight is forgotten",
        ("I4",),
        (
            Edit(
                CLAIM_SQL,
                "FROM (SELECT coalesce(a.time_zone, :time_zone) AS zone) t",
                "FROM (SELECT 'UTC'::text AS zone, CAST(:time_zone AS text)) t",
            ),
            Edit(
                CLAIM_SQL,
                "(date_trunc('day', l) - s) AT TIME ZONE p.zone + s AS day_from",
                "date_trunc('day', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC'"
                " AS day_from",
            ),
        ),
    ),
    Bug(
        "a hard decline is tried again",
        "a card that is refused for good is only spaced",
        ("I5",),
        (
            Edit(
                DECLINES,
                "        case DeclineClass.HARD:\n"
                "            return State.DECLINED, Verdict(dead=answer.code)",
                "        case DeclineClass.HARD:\n"
                "            return State.DECLINED, Verdict()",
            ),
        ),
    ),
    Bug(
        "cut off while being charged",
        "an exhausted account loses service though its charge is under way",
        ("I7",),
        (
            Edit(
                POLICY,
                "    if history.open_attempt:\n        return True",
                "    if history.open_attempt and history.paused:\n        return True",
            ),
        ),
    ),
    Bug(
        "restore lifts the operator's block",
        "whoever is funded gets service back, whoever had ended it",
        ("I8b",),
        (
            Edit(
                BUNDLED,
                "WHERE number = :ref AND state = 'suspended'",
                "WHERE number = :ref AND state <> 'active'",
            ),
        ),
    ),
    Bug(
        "an orphan is adopted twice",
        "a charge without a row is taken into the books under a new id",
        ("I1a", "I1d", "I13"),
        (
            Edit(
                ADOPTION,
                '        "id": intent.attempt,\n        "account": intent.account,',
                '        "id": str(uuid.uuid4()),\n        "account": intent.account,',
            ),
        ),
    ),
    Bug(
        "an overwritten credit is put right twice",
        "each correction has a reference of its own",
        ("I1f",),
        (
            Edit(
                CREDITS,
                'reference=f"{credit.attempt}{AGAIN}",',
                "reference=f\"{credit.attempt}{__import__('uuid').uuid4()}{AGAIN}\",",
            ),
        ),
    ),
    Bug(
        "a correction larger than the loss",
        "all that is missing is put right, and not only what was credited",
        ("I1f",),
        (
            Edit(
                TRAIL,
                "return Lost(min(trail.missing, trail.credited))",
                "return Lost(trail.missing)",
            ),
        ),
    ),
    Bug(
        "summaries from the chord only",
        "a batch whose message was lost is closed by nobody",
        ("I16b",),
        (
            Edit(
                RECONCILE,
                "for batch in services.books.unclosed(older_than=CHORD_GRACE)",
                "for batch in ()",
            ),
        ),
    ),
    Bug(
        "one bad row stops the sweep",
        "an account that makes no sense ends the reading of all",
        ("I15",),
        (
            Edit(
                BUNDLED,
                '            unreadable[row.number] = f"Account {row.number}'
                ' makes no sense: {error}"',
                "            raise",
            ),
        ),
    ),
    Bug(
        "pages by OFFSET",
        "the sweep pages by position over a list that shrinks meanwhile",
        ("I15",),
        (
            Edit(
                BUNDLED,
                "WHERE is_low AND id > :after ORDER BY id LIMIT :limit",
                "WHERE is_low ORDER BY id OFFSET :after LIMIT :limit",
            ),
            Edit(
                BUNDLED,
                "last = str(rows[-1].id) if len(rows) == limit else None",
                "last = str(_position(after) + limit) if len(rows) == limit else None",
            ),
        ),
    ),
    Bug(
        "money in floats",
        "amounts are turned into minor units by way of a float",
        ("I1a", "I10"),
        (
            Edit(
                AMOUNTS,
                "    return int(minor)\n",
                "    return int(float(money.amount) * int(scale(money.currency)))\n",
            ),
        ),
    ),
    Bug(
        "a stop only stops claims",
        "a charge that was begun goes on although all charging was stopped",
        ("I6",),
        (
            Edit(
                OBSTACLES,
                "    if history.stopped is not None:\n"
                "        yield Obstacle(Reason.CHARGER_STOPPED",
                "    if history.stopped is None and history.stopped:\n"
                "        yield Obstacle(Reason.CHARGER_STOPPED",
            ),
            Edit(
                LEASE_SQL,
                "a.paused_at IS NULL\n"
                "       AND NOT EXISTS (SELECT FROM replenish.stop)\n",
                "a.paused_at IS NULL\n",
            ),
        ),
    ),
    Bug(
        "a pause only stops claims",
        "a charge that was begun goes on although its account is held",
        ("I6",),
        (
            Edit(
                OBSTACLES,
                "    if history.paused is not None:\n        held =",
                "    if history.paused is None and history.paused:\n        held =",
            ),
            Edit(
                LEASE_SQL,
                "SELECT t.next_at > now() AND a.paused_at IS NULL\n",
                "SELECT t.next_at > now()\n",
            ),
        ),
    ),
    Bug(
        "a pause drops what was charged",
        "an account that is held is not credited what its card has paid",
        ("I15", "I1b"),
        (
            Edit(
                STEPS,
                '    failpoint("before_credit", attempt.account)\n',
                "    (subject,) = services.ledger.subjects([attempt.account])\n"
                "    if subject.history.paused:\n"
                '        return Later(PERSON_WAIT, "paused")\n'
                '    failpoint("before_credit", attempt.account)\n',
            ),
        ),
    ),
)
