"""Enrolling accounts and changing their terms, checked against all three sides.

The billing package must know the account, in the currency that is charged; the
gateway must know the card and take the amounts; the rule must be able to work.
Nothing is written before all of that is so. `watch`, which tells a package that
knows who is low below what, comes after the ledger's commit: if it fails, the full
sweep still finds the account, and repeating `change` or `watch_all` mends it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from replenish.domain import enrolment
from replenish.domain.account import Account, Card
from replenish.domain.enrolment import (
    Consent,
    Enrolled,
    NewAccount,
    Overrides,
    Request,
)
from replenish.domain.rule import Rule
from replenish.errors import (
    AccountExists,
    BadInput,
    Refused,
)
from replenish.pipeline.terms import CardReader, check_rule, prepare
from replenish.ports import BillingPackage, Clock

ENROLLED = "is already enrolled"
PAGE = 500  # accounts read from the billing package, or watched, at a time


class Register(Protocol):
    """Who is enrolled; each method commits, and may be repeated."""

    def enrol(self, account: NewAccount, *, actor: str) -> Enrolled:
        """Write a checked account and its card down."""

    def enrol_many(self, accounts: Sequence[NewAccount], *, actor: str) -> None:
        """Write all of these down, or none."""

    def enrolled_among(self, accounts: Sequence[str]) -> frozenset[str]:
        """Say which of these are enrolled."""

    def need(self, account: str) -> Enrolled:
        """Read one account."""

    def page(self, *, after: str = "", limit: int = 500) -> Sequence[Enrolled]:
        """Read a page in the order of refs."""

    def change(
        self,
        account: str,
        overrides: Overrides,
        *,
        to_default: Sequence[str] = (),
        consent: Consent | None = None,
        actor: str,
    ) -> Enrolled:
        """Change what is given."""

    def add_card(
        self, account: str, card: Card, *, priority: int | None = None, actor: str
    ) -> Card:
        """Put a card on file."""

    def resume(self, account: str, *, actor: str) -> bool:
        """End a pause; True if there was one."""


class Desk(Protocol):
    """What enrolling needs of the wired application."""

    @property
    def register(self) -> Register:
        """Who is enrolled."""

    @property
    def billing(self) -> BillingPackage:
        """The billing package."""

    @property
    def gateway(self) -> CardReader:
        """The card gateway."""

    @property
    def defaults(self) -> Rule:
        """The installation's rule."""

    @property
    def clock(self) -> Clock:
        """Aware UTC."""


@dataclass(frozen=True, slots=True)
class Enrolments:
    """How a file of enrolments went; `problems` by position in what was asked."""

    enrolled: int
    problems: Mapping[int, str] = field(default_factory=dict)


def enrol(desk: Desk, request: Request, *, actor: str) -> Enrolled:
    """Enrol one account, with its card and consent where given.

    Raises:
        AccountNotFound: the billing package has no such account.
        AccountExists: it is enrolled already.
        CardNotFound: the card is not attached to that customer.
        BadInput: the rule, an amount, the currency, the consent or the card is
            not usable; says which.
    """
    enrolment.check_ref(request.account)
    if desk.register.enrolled_among([request.account]):
        msg = (
            f"Account {request.account} {ENROLLED}; see `replenish account show"
            f" {request.account}`, change it with `replenish account change`."
        )
        raise AccountExists(msg, subject=request.account)
    found = desk.billing.balances([request.account])
    new = _prepare(desk, request, found)
    enrolled = desk.register.enrol(new, actor=actor)
    desk.billing.watch({enrolled.ref: enrolled.rule.threshold})
    return enrolled


def enrol_many(
    desk: Desk,
    requests: Sequence[Request | BadInput],
    *,
    all_or_nothing: bool,
    actor: str,
    progress: Callable[[int], None] = lambda _: None,
) -> Enrolments:
    """Enrol many; each bad one has its reason.

    With `all_or_nothing` one bad request keeps all out; otherwise the good ones
    are enrolled. Repeating it is safe: those enrolled are then duplicates.

    Args:
        desk: the wired application.
        requests: in the order of the file; a row that could not be read stands
            for itself as the error that says why.
        all_or_nothing: see above.
        actor: who asks, for the events.
        progress: told how many have been checked.
    """
    good: list[NewAccount] = []
    problems: dict[int, str] = {}
    taken: dict[str, str] = {}
    for start in range(0, len(requests), PAGE):
        asked = requests[start : start + PAGE]
        refs = [each.account for each in asked if isinstance(each, Request)]
        accounts = desk.billing.balances(refs)
        taken |= dict.fromkeys(desk.register.enrolled_among(refs), ENROLLED)
        for number, request in enumerate(asked, start):
            try:
                good.append(_one_of_many(desk, request, accounts, taken))
                taken.setdefault(good[-1].ref, "stands further up in the file")
            except Refused as error:
                problems[number] = str(error)
            progress(number + 1)
    if problems and all_or_nothing:
        return Enrolments(0, problems)
    for page in [good] if all_or_nothing else _pages(good):
        desk.register.enrol_many(page, actor=actor)
    for page in _pages(good):
        _watch(desk, page)
    return Enrolments(len(good), problems)


def change(
    desk: Desk,
    account: str,
    overrides: Overrides,
    *,
    to_default: Sequence[str] = (),
    consent: Consent | None = None,
    actor: str,
) -> Enrolled:
    """Change an account's own rule values or consent; safe to repeat.

    Raises:
        AccountNotFound: it is not enrolled.
        BadInput: the values or the rule that results cannot work.
    """
    overrides.check()
    if consent:
        consent.check(desk.clock())
    before = desk.register.need(account)
    result = before.overrides.changed(overrides, to_default=to_default)
    currency = before.rule.currency
    result.check_defaults(desk.defaults, currency=currency)
    check_rule(desk.gateway, result.over(desk.defaults, currency=currency))
    after = desk.register.change(
        account, overrides, to_default=to_default, consent=consent, actor=actor
    )
    desk.billing.watch({account: after.rule.threshold})
    return after


def add_card(
    desk: Desk,
    account: str,
    *,
    customer: str,
    payment_method: str,
    priority: int | None = None,
    actor: str,
) -> Card:
    """Put a card of the gateway on file; safe to repeat.

    Raises:
        AccountNotFound: the account is not enrolled.
        CardNotFound: the card is not attached to that customer.
        BadInput: it could never be charged, or is on file and dead.
    """
    desk.register.need(account)
    enrolment.check_saved_card(customer, payment_method)
    card = desk.gateway.card(customer, payment_method)
    enrolment.check_card(card, desk.clock())
    return desk.register.add_card(account, card, priority=priority, actor=actor)


def resume(desk: Desk, account: str, *, actor: str) -> bool:
    """End a pause, watch the account again; True if it was paused.

    Raises:
        AccountNotFound: it is not enrolled.
    """
    was_paused = desk.register.resume(account, actor=actor)
    enrolled = desk.register.need(account)
    desk.billing.watch({account: enrolled.rule.threshold})
    return was_paused


def watch_all(desk: Desk) -> int:
    """Tell the billing package every account's threshold again; give how many.

    Needed after the installation's default threshold was changed.
    """
    count, after = 0, ""
    while page := desk.register.page(after=after, limit=PAGE):
        desk.billing.watch({each.ref: each.rule.threshold for each in page})
        count, after = count + len(page), page[-1].ref
    return count


def _one_of_many(
    desk: Desk,
    request: Request | BadInput,
    accounts: Mapping[str, Account],
    taken: Mapping[str, str],
) -> NewAccount:
    if isinstance(request, BadInput):
        raise request
    if request.account in taken:
        msg = f"Account {request.account} {taken[request.account]}."
        raise AccountExists(msg, subject=request.account)
    return _prepare(desk, request, accounts)


def _prepare(
    desk: Desk, request: Request, accounts: Mapping[str, Account]
) -> NewAccount:
    return prepare(
        request,
        accounts.get(request.account),
        desk.clock(),
        gateway=desk.gateway,
        defaults=desk.defaults,
    )


def _pages(accounts: Sequence[NewAccount]) -> Iterator[Sequence[NewAccount]]:
    for start in range(0, len(accounts), PAGE):
        yield accounts[start : start + PAGE]


def _watch(desk: Desk, accounts: Sequence[NewAccount]) -> None:
    rules = {
        each.ref: each.overrides.over(desk.defaults, currency=each.currency)
        for each in accounts
    }
    desk.billing.watch({ref: rule.threshold for ref, rule in rules.items()})
