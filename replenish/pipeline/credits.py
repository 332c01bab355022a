"""Credits after they were made: an overwritten one is noticed and put right once.

Some billing packages save whole rows and so write an old balance over a credit,
minutes after it was made (`replenish.domain.trail`). Each credit is looked at a few
times after it was settled, and again before the same card is charged anew: what is
missing then was paid already.

1. Whose balance has not fallen by much since needs no further look.
2. Of the others the package's own records are added up. What is missing by the amount
   of the credit was overwritten.
3. The break is written down, one row an attempt, and then the balance is corrected
   under a reference of its own, which the package takes once. A crash in between is
   found by the row.
   One break an account at a time, and what is missing is looked at once more under
   it: of two credits, one overwriting may explain either.
4. A credit that goes missing once more is not put right again: the account is held for
   a person, because something keeps taking its money.
"""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import assert_never

from replenish.domain.money import Money
from replenish.domain.trail import Lost, Sound, Trail, Unclear, judge, suspicious
from replenish.errors import (
    AccountLocked,
    AccountNotFound,
    BadInput,
    BillingUnavailable,
    TrailUnread,
)
from replenish.failpoints import failpoint
from replenish.pipeline.cutoff import restore_if_ours
from replenish.pipeline.jobs import turn
from replenish.pipeline.services import Services
from replenish.ports import Credited

JOB = "credits"
TURN = 60.0  # seconds
AGES = (60.0, 600.0, 5400.0)  # seconds after a credit; an hourly job comes in between
WITHIN = 7200.0  # seconds; how old a credit may be to be doubted before a charge
PAGE = 500
UNREAD, MOST_UNREAD = "unread", 3  # a few slow accounts keep no other waiting
AGAIN = "-again"  # what a correction's reference adds to its attempt's


@dataclass(frozen=True, slots=True)
class Checked:
    """What a pass found, by kind.

    These are sound, put_right, unclear, held, locked, unread and refused.
    """

    counts: Counter[str] = field(default_factory=Counter)

    def add(self, kind: str) -> None:
        """Count one.

        Raises:
            BillingUnavailable: so many could not be read that it is the package.
        """
        self.counts[kind] += 1
        if kind == UNREAD and self.counts[UNREAD] > MOST_UNREAD:
            msg = f"The records of {MOST_UNREAD} credits and more could not be read."
            raise BillingUnavailable(msg)

    def __str__(self) -> str:
        """Write it for a person."""
        told = ", ".join(f"{many} {what}" for what, many in sorted(self.counts.items()))
        return told or "no credits to check"


def check_credits(services: Services) -> Checked:
    """Look at the credits whose time has come; safe to repeat and to race.

    Raises:
        Transient: a service is away; the next pass goes on where this one ended.
    """
    checked = Checked()
    with turn(JOB, services, seconds=TURN) as mine:
        if mine is None:
            return checked
        cursors: dict[str, str] = json.loads(services.books.cursor(JOB) or "{}")
        for credit in services.credits.unfinished(limit=PAGE):
            checked.add(_look_or_pass(credit, services))
        for age in AGES:
            cursors |= _check(age, cursors.get(str(age)), services, checked)
            mine.cursor = json.dumps(cursors)
            mine.go_on(seconds=TURN)
        mine.detail = str(checked)
    return checked


def put_right_before(account: str, services: Services) -> None:
    """Look at the account's last credit before its card is charged again.

    First at the one that somebody is just putting right, under the same reference.
    """
    unfinished = services.credits.unfinished(limit=PAGE)
    for credit in (each for each in unfinished if each.account == account):
        _look(credit, services)
    latest = services.credits.latest(account, within=WITHIN)
    if latest is not None:
        for credit in _suspicious([latest], services):
            _look(credit, services)


def _check(
    age: float, after: str | None, services: Services, checked: Checked
) -> dict[str, str]:
    page = services.credits.settled(after=after, age=age, limit=PAGE)
    doubted = _suspicious(page.credits, services)
    for credit in doubted:
        checked.add(_look_or_pass(credit, services))
    if fine := len(page.credits) - len(doubted):
        checked.counts["sound"] += fine
    return {str(age): page.after} if page.after else {}


def _suspicious(credits_: Sequence[Credited], services: Services) -> list[Credited]:
    """Leave out the accounts that are gone, and those that still have the money."""
    if not credits_:
        return []
    refs = list(dict.fromkeys(credit.account for credit in credits_))
    seen = services.billing.balances(refs)
    return [
        credit
        for credit in credits_
        if credit.account in seen
        and suspicious(
            credited=credit.amount.amount,
            after=credit.after,
            available=seen[credit.account].available.amount,
        )
    ]


def _look_or_pass(credit: Credited, services: Services) -> str:
    """Look at a credit; what is wrong with its account alone keeps no other waiting.

    What was written down as broken is looked at again by the next pass, any other at
    its next age and before its card is charged.
    """
    try:
        return _look(credit, services)
    except AccountLocked:
        return "locked"
    except TrailUnread:
        return UNREAD
    except (AccountNotFound, BadInput) as error:
        services.notify("credit.refused", account=credit.account, text=str(error))
        return "refused"


def _look(credit: Credited, services: Services) -> str:
    """Add up what became of a credit, and do what follows; say what it was."""
    trail = _trail(credit, services)
    if trail is None:
        return _gone(credit, services)
    verdict = judge(trail)
    match verdict:
        case Sound():
            services.credits.put_right(credit, how="found in the balance")
            return "sound"
        case Lost():
            return _lost(credit, verdict, services)
        case Unclear():
            return _unclear(credit, verdict, services)
        case _:
            assert_never(verdict)


def _trail(credit: Credited, services: Services) -> Trail | None:
    try:
        return services.billing.verify_credit(credit.account, reference=credit.attempt)
    except BillingUnavailable as error:
        msg = (
            f"What became of the credit of {credit.amount} to account {credit.account}"
            f" could not be added up: {error}"
        )
        raise TrailUnread(msg, subject=credit.account) from error


def _gone(credit: Credited, services: Services) -> str:
    """Hold the account: without its row nobody can add up what became of a credit.

    Its customer has paid it, so that charging the card again would be twice. The row
    was removed by hand, or the package's database has lost its last moments.
    """
    services.credits.broken(credit, missing=credit.amount.amount, amount=None)
    reason = (
        f"the billing package no longer has the credit of {credit.amount}"
        f" ({credit.attempt}): compare its balance and records with what was paid,"
        " credit or refund it by hand, then resume the account"
    )
    if services.credits.broken_again(credit, reason=reason):
        services.notify("credit.gone", account=credit.account, text=reason)
    return "held"


def _lost(credit: Credited, lost: Lost, services: Services) -> str:
    found = services.credits.broken(credit, missing=lost.amount, amount=lost.amount)
    if found.amount is None:
        return "unclear"  # a person has it already, or another credit comes first
    if found.new and not _still_lost(credit, services):
        services.credits.put_right(credit, how="found in the balance")
        return "sound"
    failpoint("after_break")
    amount = Money(found.amount, credit.amount.currency)
    if found.put_right or not _correct(credit, amount, services):
        return _done_before(credit, services)
    services.credits.put_right(credit, how="corrected")
    services.notify(
        "credit.put_right",
        account=credit.account,
        text=f"The billing package had written an old balance over the credit of"
        f" {credit.amount}; {amount} was put right.",
    )
    restore_if_ours(credit.account, services, reason="put_right")
    return "put_right"


def _still_lost(credit: Credited, services: Services) -> bool:
    """Look again now that nobody puts another credit of the account right."""
    trail = services.billing.verify_credit(credit.account, reference=credit.attempt)
    return trail is None or isinstance(judge(trail), Lost)


def _correct(credit: Credited, amount: Money, services: Services) -> bool:
    """Correct the balance; False: that had been done before."""
    receipt = services.billing.correct_credit(
        credit.account,
        amount,
        reference=f"{credit.attempt}{AGAIN}",
        note=f"an old balance had come over the top-up of {credit.amount}",
        at=services.clock(),
    )
    failpoint("after_correction")
    return not receipt.already_applied


def _done_before(credit: Credited, services: Services) -> str:
    """Look again: somebody else corrected it just now, or it is missing once more."""
    trail = services.billing.verify_credit(credit.account, reference=credit.attempt)
    if trail is None or not isinstance(judge(trail), Lost):
        services.credits.put_right(credit, how="corrected")
        return "sound"
    reason = (
        f"the credit of {credit.amount} ({credit.attempt}) was overwritten again after"
        " it had been put right: find what writes this account's balance, correct it"
        " by hand, then resume the account"
    )
    if services.credits.broken_again(credit, reason=reason):
        services.notify("credit.lost_again", account=credit.account, text=reason)
    return "held"


def _unclear(credit: Credited, unclear: Unclear, services: Services) -> str:
    found = services.credits.broken(credit, missing=unclear.missing, amount=None)
    if found.new:
        services.notify(
            "credit.unclear",
            account=credit.account,
            text=f"{unclear.missing} is missing since the credit of {credit.amount}"
            f" ({credit.attempt}), and neither calls nor refills explain it; compare"
            " the account's balance with its records.",
        )
    return "unclear"
