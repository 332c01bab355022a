"""Whether the terms of an account can work, asked before anything is written."""

from datetime import datetime
from typing import Protocol

from replenish.domain import enrolment
from replenish.domain.account import Account, Card
from replenish.domain.enrolment import NewAccount, Request
from replenish.domain.money import Money, round_down
from replenish.domain.rule import Rule
from replenish.errors import AccountNotFound, BadInput


class CardReader(Protocol):
    """What enrolling needs of the gateway; see `replenish.ports.CardGateway`."""

    def card(self, customer: str, payment_method: str) -> Card:
        """Read a saved card for enrolment."""

    def check_amount(self, amount: Money) -> None:
        """Refuse an amount that could never be charged."""


def prepare(
    request: Request,
    found: Account | None,
    now: datetime,
    *,
    gateway: CardReader,
    defaults: Rule,
) -> NewAccount:
    """Check a request at `now` (aware UTC) against the account that the package showed.

    Raises:
        AccountNotFound: `found` is None.
        CardNotFound: the card is not attached to that customer.
        BadInput: anything else that is not usable; says what.
    """
    enrolment.check_ref(request.account)
    if found is None:
        msg = (
            f"The billing package has no account {request.account!r}; enrol it under"
            " the name that the package's own list shows."
        )
        raise AccountNotFound(msg, subject=request.account)
    currency = found.available.currency
    _check_currency(request, currency)
    request.overrides.check()
    request.overrides.check_defaults(defaults, currency=currency)
    check_rule(gateway, request.overrides.over(defaults, currency=currency))
    if request.consent:
        request.consent.check(now)
    card = _card_of(gateway, request, now)
    return NewAccount(
        request.account, currency, request.overrides, request.consent, card
    )


def check_rule(gateway: CardReader, rule: Rule) -> None:
    """Refuse a rule that cannot work, or whose charges the gateway never takes.

    Both the smallest charge that the rule can lead to and the largest are asked.

    Raises:
        BadInput: says what is wrong with it.
    """
    rule.check()
    most = round_down(rule.cap_charge, rule.currency)
    for amount in (rule.least_charge, most):
        gateway.check_amount(Money(amount, rule.currency))


def _check_currency(request: Request, currency: str) -> None:
    if request.currency and request.currency.upper() != currency:
        msg = (
            f"Account {request.account} is in {currency} in the billing package, not in"
            f" {request.currency}; leave the currency out or give {currency}."
        )
        raise BadInput(msg, subject=request.account)


def _card_of(gateway: CardReader, request: Request, now: datetime) -> Card | None:
    if not request.customer and not request.payment_method:
        return None
    if not request.customer or not request.payment_method:
        msg = (
            f"Account {request.account}: a card is named by its customer (cus_…) and"
            " its payment method (pm_…) together; give both or neither."
        )
        raise BadInput(msg, subject=request.account)
    enrolment.check_saved_card(request.customer, request.payment_method)
    card = gateway.card(request.customer, request.payment_method)
    enrolment.check_card(card, now)
    return card
