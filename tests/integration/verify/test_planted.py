"""One planted violation per invariant: each is found, named, and nothing else is."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

import pytest

from replenish.domain.enrolment import Overrides
from replenish.domain.rule import Limits
from replenish.verify import Deed
from replenish.verify.invariants import INVARIANTS
from tests import checker
from tests.integration.verify.books import Books

pytestmark = pytest.mark.integration

STRANGER = str(uuid.UUID(int=7))
Records = list[dict[str, Any]]


@dataclass(frozen=True)
class Plant:
    """A violation.

    Attributes:
        sql: what to do to the ledger and the package.
        edit: what to do to the gateway's records.
        also: other invariants that such a thing breaks as well.
        names: what the checker must say.
        limits: what of the installation's limits is another than by default.
        deeds: what was done by hand.
    """

    sql: tuple[str, ...] = ()
    edit: Callable[[Records], Records] = field(default=lambda records: records)
    also: frozenset[str] = frozenset()
    names: str = "1001"
    limits: dict[str, Any] = field(default_factory=dict)
    deeds: tuple[Deed, ...] = ()


def without(kind: str) -> Callable[[Records], Records]:
    """Leave records out."""
    return lambda records: [r for r in records if r["kind"] != kind]


def charged_too(records: Records) -> Records:
    """Charge the declined one as well."""
    (order,) = [
        r
        for r in records
        if r["kind"] == "intent.confirmed" and r["metadata"]["account"] == "1002"
    ]
    return [*records, {**order, "kind": "charge.succeeded"}]


def twice(records: Records) -> Records:
    """Charge twice."""
    return [*records, *[r for r in records if r["kind"] == "charge.succeeded"]]


def another_amount(records: Records) -> Records:
    """Confirm another amount than was created."""
    return [
        {**r, "amount": r["amount"] + (r["kind"] == "intent.confirmed")}
        for r in records
    ]


def another_key(records: Records) -> Records:
    """Send one request under a key out of nowhere."""
    return [{**records[0], "idempotency_key": "made up"}, *records[1:]]


def a_stranger_s(records: Records) -> Records:
    """Take a charge with our mark and no row of ours."""
    told = {
        "intent": "pi_stranger",
        "amount": 2500,
        "currency": "usd",
        "metadata": {"attempt": STRANGER, "account": "1001"},
    }
    kinds = ("intent.created", "charge.succeeded")
    return [*records, *[{"kind": kind, **told} for kind in kinds]]


OPEN_TWICE = """
    INSERT INTO replenish.attempt (id, account_id, amount, currency, customer,
      payment_method, fingerprint, state)
    SELECT gen_random_uuid(), '1003', 1, 'USD', '', '', '', 'claimed'
    FROM generate_series(1, 2)
"""
TOO_EARLY = """
    INSERT INTO replenish.cut_off (account_id, reason, detail, available, begun_at,
      done_at, restored_at)
    SELECT account_id, 'no_card', '', -1, claimed_at + (charged_at - claimed_at) / 2,
      charged_at, now()
    FROM replenish.attempt WHERE account_id = '1001'
"""
MANY_WITH_ONE_NUMBER = """
    INSERT INTO replenish.card (account_id, customer, payment_method, brand, last4,
      exp_month, exp_year, fingerprint, added_at)
    SELECT n::text, 'cus', 'pm', brand, last4, exp_month, exp_year, fingerprint,
      added_at - interval '1 day'
    FROM replenish.card, generate_series(1, 5) n WHERE account_id = '1001'
"""
LESS_BEFORE = """
    INSERT INTO replenish.attempt (id, account_id, amount, currency, customer,
      payment_method, fingerprint, state, claimed_at, settled_at)
    SELECT gen_random_uuid(), '1001', 1, 'USD', '', '', '', 'settled',
      now() - interval '2 days', now() - interval '1 day'
"""
UNBACKED = f"""
    INSERT INTO billing.refill (reference, account_id, amount, balance_after,
      available_after, source, note, at)
    SELECT '{STRANGER}', id, 1, 1, 1, 'card', '', now() FROM billing.account
    WHERE number = '1001'
"""  # noqa: S608 a constant

OPENED_TWICE = """
    INSERT INTO replenish.event (account_id, seq, attempt_id, kind, from_state,
      to_state, at, actor, detail, previous, hash)
    SELECT account_id, seq + 100, gen_random_uuid(), kind, from_state, to_state, at,
      actor, detail, previous, hash
    FROM replenish.event CROSS JOIN generate_series(0, 1) AS n
    WHERE account_id = '1002' AND to_state = 'claimed' AND n = 0
    UNION ALL
    SELECT account_id, seq + 101, gen_random_uuid(), kind, from_state, to_state, at,
      actor, detail, previous, hash
    FROM replenish.event WHERE account_id = '1002' AND to_state = 'claimed'
"""
TRIED_AGAIN = """
    INSERT INTO replenish.attempt (id, account_id, card_id, amount, currency, customer,
      payment_method, fingerprint, state, available_before, claimed_at, changed_at)
    SELECT gen_random_uuid(), account_id, card_id, amount, currency, customer,
      payment_method, fingerprint, 'declined', available_before,
      changed_at + interval '1 second', changed_at + interval '2 seconds'
    FROM replenish.attempt WHERE account_id = '1002'
"""

PLANTS = {
    "I1a": Plant(edit=without("charge.succeeded")),
    "I1b": Plant(edit=charged_too, names="1002"),
    "I1c": Plant(edit=twice, names="was charged 2 times"),
    "I1d": Plant(
        sql=(
            UNBACKED,
            "UPDATE billing.account SET balance = balance + 1 WHERE number = '1001'",
        ),
        also=frozenset({"I1a"}),
    ),
    "I1e": Plant(
        sql=(
            "DELETE FROM billing.refill WHERE source = 'card'",
            "UPDATE billing.account SET balance = balance - 25 WHERE number = '1001'",
        ),
        also=frozenset({"I1b", "I15"}),
    ),
    "I1f": Plant(
        sql=("UPDATE replenish.credit_break SET amount = amount - 1",),
        names="is not what was lost",
    ),
    "I1g": Plant(
        sql=("UPDATE replenish.credit_break SET put_right_at = NULL",),
        names="is still missing",
    ),
    "I2": Plant(
        sql=("DROP INDEX replenish.uq_attempt_open", OPEN_TWICE),
        also=frozenset({"I11", "I15"}),
        names="1003",
    ),
    "I2 in the past": Plant(
        sql=(OPENED_TWICE,), also=frozenset({"I20"}), names="began while"
    ),
    "I3": Plant(sql=("UPDATE replenish.attempt SET available_before = 50",)),
    "I3 funded": Plant(
        sql=("UPDATE billing.refill SET available_after = 90 WHERE source = 'card'",),
        names="not low at any time",
    ),
    "I4": Plant(sql=("UPDATE replenish.account SET cap_day = 10 WHERE id = '1001'",)),
    "I4b": Plant(
        sql=(
            (
                "UPDATE replenish.account SET enrolled_at = now() - interval '1 day',"
                " top_up = 10, cap_day = 40 WHERE id = '1001'"
            ),
        ),
        names="being new",
    ),
    "I5": Plant(
        sql=(
            (
                "UPDATE replenish.card SET dead_reason = 'lost_card',"
                " dead_at = now() - interval '1 day' WHERE account_id = '1001'"
            ),
        )
    ),
    "I5b": Plant(sql=(MANY_WITH_ONE_NUMBER,), names="was of account 6"),
    "I5c": Plant(limits={"charges_per_minute": 1}, names="number 2 within a minute"),
    "I5d": Plant(
        sql=(LESS_BEFORE,),
        limits={"unusual_after": 1},
        also=frozenset({"I1e", "I11"}),
        names="the largest of 1 before was 1",
    ),
    "I5 final": Plant(
        sql=(
            "UPDATE replenish.card SET dead_at = NULL, dead_reason = NULL",
            TRIED_AGAIN,
        ),
        also=frozenset({"I11"}),
        names="after a final lost_card",
    ),
    "I5 cooldown": Plant(
        sql=(
            "UPDATE replenish.card SET dead_at = NULL, dead_reason = NULL",
            (
                "DELETE FROM replenish.event WHERE account_id = '1002'"
                " AND kind = 'attempt'"
            ),
            TRIED_AGAIN,
        ),
        also=frozenset({"I11", "I20"}),
        names="was tried again after",
    ),
    "I6 fence": Plant(
        sql=(
            "INSERT INTO replenish.stop (reason, since) VALUES ('', '1969-01-01 UTC')",
        ),
        also=frozenset({"I6b"}),
        names="after all charging was stopped",
    ),
    "I6": Plant(
        sql=("UPDATE replenish.account SET consent_at = NULL WHERE id = '1001'",)
    ),
    "I6b": Plant(
        sql=(
            (
                "INSERT INTO replenish.breaker (name, since, by_hand, detail)"
                " VALUES ('gateway_down', now() - interval '1 day', true, '')"
            ),
        ),
        names="after gateway_down",
    ),
    "I7": Plant(sql=(TOO_EARLY,)),
    "I8": Plant(
        sql=(
            "UPDATE replenish.cut_off SET restored_at = NULL WHERE account_id = '1003'",
        ),
        names="1003",
    ),
    "I8b": Plant(deeds=(Deed("1003", "blocked"),), names="1003"),
    "I9": Plant(sql=("UPDATE billing.account SET balance = 31 WHERE number = '1001'",)),
    "I10": Plant(edit=another_amount),
    "I10 key": Plant(edit=another_key, names="which is not its own"),
    "I11": Plant(
        sql=(
            (
                "UPDATE replenish.attempt SET state = 'cancelled'"
                " WHERE account_id = '1002'"
            ),
        ),
        names="1002",
    ),
    "I12": Plant(
        sql=("UPDATE replenish.event SET detail = '{}' WHERE from_state = 'unknown'",),
        also=frozenset({"I20"}),
    ),
    "I13": Plant(edit=a_stranger_s, also=frozenset({"I1b"})),
    "I15": Plant(
        sql=("DELETE FROM replenish.skip WHERE account_id = '1002'",), names="1002"
    ),
    "I16": Plant(
        sql=("UPDATE replenish.batch SET selected = selected + 1",), names="selected"
    ),
    "I16b": Plant(
        sql=("UPDATE replenish.batch SET closed_at = NULL",), names="never closed"
    ),
    "I17": Plant(
        sql=("UPDATE replenish.account SET currency = 'EUR' WHERE id = '1001'",)
    ),
    "I20": Plant(
        sql=(
            (
                "UPDATE replenish.event SET actor = 'nobody'"
                " WHERE account_id = '1001' AND seq = 1"
            ),
        )
    ),
    "I22": Plant(
        sql=("UPDATE billing.account SET state = 'active' WHERE number = '1002'",),
        names="1002",
    ),
}


def test_a_healthy_history_is_clean_and_every_invariant_has_rows(books: Books) -> None:
    """An invariant that is judged on nothing proves nothing."""
    report = books.verify(history=[Deed("1002", "cut off by us, blocked by nobody")])

    checker.holds(report, charges=1)
    idle = [f.invariant for f in report.findings if f.checked == 0]
    assert idle == ["I8b"]  # whoever is blocked is left alone; see its plant


def test_every_invariant_has_its_plant() -> None:
    """A new one fails here until it is shown to find something."""
    planted = {name.partition(" ")[0] for name in PLANTS}
    assert planted == {invariant.name for invariant in INVARIANTS}


@pytest.mark.parametrize("name", PLANTS)
def test_a_planted_violation_is_found_and_named(books: Books, name: str) -> None:
    """By its own invariant, and by no other than those that it truly breaks."""
    plant = PLANTS[name]
    books.spoil(*plant.sql)
    books.records = plant.edit(books.records)
    books.write()

    broken = name.partition(" ")[0]

    report = books.verify(limits=replace(Limits(), **plant.limits), history=plant.deeds)

    found = {finding.invariant for finding in report.findings if finding.violations}
    assert found == {broken, *plant.also}
    told = [
        example
        for finding in report.findings
        if finding.invariant == broken
        for example in finding.examples
    ]
    assert any(plant.names in example for example in told), told


def test_a_credit_that_stands_twice_is_found(books: Books) -> None:
    """Some packages have no unique key that would refuse it."""
    books.spoil(
        "ALTER TABLE billing.refill DROP CONSTRAINT refill_reference_key",
        "INSERT INTO billing.refill (reference, account_id, amount, balance_after,"
        " available_after, source, at) SELECT reference, account_id, amount, 0, 0,"
        " source, at FROM billing.refill WHERE source = 'card'",
        "UPDATE billing.account SET balance = balance + 25 WHERE number = '1001'",
    )

    report = books.verify()

    found = {finding.invariant for finding in report.findings if finding.violations}
    assert found == {"I1d"}


def test_what_an_earlier_rule_allowed_is_no_violation(books: Books) -> None:
    """An operator who lowers a cap or a threshold does not break the past."""
    lower = Overrides(cap_day=Decimal(25), cap_charge=Decimal(25), threshold=Decimal(4))
    books.spoil("UPDATE replenish.account SET cap_day = 10, threshold = 1")
    assert not books.verify().clean
    books.world.register.change("1001", lower, actor="test")
    books.world.register.change(
        "1001", Overrides(cap_day=Decimal(10), top_up=Decimal(10)), actor="test"
    )

    found = {f.invariant for f in books.verify().findings if f.violations}

    assert not found & {"I3", "I4"}


def test_the_shared_checker_fails_on_a_violation(books: Books) -> None:
    """And says which, of whom."""
    books.spoil(*PLANTS["I9"].sql)

    with pytest.raises(AssertionError, match=r"I9 .*1001"):
        checker.holds(books.verify())


STOLEN_ELSEWHERE = """
    INSERT INTO replenish.card (account_id, customer, payment_method, brand, last4,
      exp_month, exp_year, fingerprint, dead_reason, dead_at)
    SELECT '7', 'cus', 'pm', brand, last4, exp_month, exp_year, fingerprint,
      'stolen_card', now() - interval '1 day'
    FROM replenish.card WHERE account_id = '1001'
"""
STOPPED = """
    INSERT INTO replenish.stop (reason, since)
    VALUES ('by hand', now() - interval '1 day')
"""


@pytest.mark.parametrize(
    ("sql", "names"),
    [(STOLEN_ELSEWHERE, "had found it stolen_card"), (STOPPED, "after the stop")],
)
def test_what_others_know_counts_as_well(books: Books, sql: str, names: str) -> None:
    """A card found stolen on another account; a stop that a person has ordered."""
    books.spoil(sql)

    with pytest.raises(AssertionError, match=names):
        checker.holds(books.verify())


def test_declines_of_a_month_are_counted(books: Books) -> None:
    """One card that was declined twice where one time is allowed."""
    books.spoil(
        "UPDATE replenish.attempt SET fingerprint = 'one', state = 'declined'",
    )
    limits = replace(Limits(), card_declines_30d=1)

    with pytest.raises(AssertionError, match="2 times in 30 days"):
        checker.holds(books.verify(limits=limits))


def test_a_stop_leaves_the_exhausted_their_grace(books: Books) -> None:
    """Between floor and hard floor they keep their service while nobody is charged."""
    books.spoil(
        "UPDATE billing.account SET state = 'active' WHERE number = '1002'",
        "INSERT INTO replenish.stop (reason) VALUES ('by hand')",
    )
    checker.holds(books.verify())
    books.spoil("UPDATE replenish.account SET grace = 0 WHERE id = '1002'")

    with pytest.raises(AssertionError, match=r"I22 .*1002"):
        checker.holds(books.verify())
