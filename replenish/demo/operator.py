"""The sample operator: who its customers are, and how their cards behave.

Customers and cards are made over HTTP on the sandbox, as a sign-up page would;
accounts in the billing package, as the package itself does; and both are enrolled
through the same step that `replenish account enrol` takes.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

import requests

from replenish.bootstrap import Application
from replenish.demo.packages.hands import Opening
from replenish.demo.switch import Switch
from replenish.domain.enrolment import Consent, Overrides, Request
from replenish.errors import ConfigurationError, GatewayUnavailable
from replenish.pipeline import enrol

FIRST = 1001  # the first account's number
CREDIT_LIMIT = Decimal(20)  # of an account that is charged in real time
NEW_CARDS = 100_000  # numbers of cards brought later start here
PREPAID, REAL_TIME = "prepaid", "real_time"


@dataclass(frozen=True, slots=True)
class Story:
    """A sort of customer.

    Attributes:
        name: what the screen calls it.
        card: the sandbox's template of its card; None: no card on file.
        share: how many of 200 accounts.
        expected: the cut-off's reason, or None if it is never to be cut off.
    """

    name: str
    card: str | None
    share: int
    expected: str | None = None
    kind: str = PREPAID


STORIES = (
    Story("good card", "pm_sandbox_visa", 105),
    Story("good card, real-time", "pm_sandbox_visa", 45, kind=REAL_TIME),
    Story(
        "declines once",
        "pm_sandbox_chain_insufficient_funds-succeed",
        12,
        "waiting_retry",
    ),
    Story(
        "no funds",
        "pm_sandbox_decline_insufficient_funds",
        8,
        "waiting_retry",
    ),
    Story("lost card", "pm_sandbox_decline_lost_card", 6, "paused"),
    Story("expired card", "pm_sandbox_decline_expired_card", 6, "card_dead"),
    Story("wants its owner", "pm_sandbox_authenticate", 8, "card_dead"),
    Story(
        "dead, real-time",
        "pm_sandbox_decline_invalid_account",
        5,
        "card_dead",
        REAL_TIME,
    ),
    Story("no card", None, 5, "no_card"),
)
"""What the 200 accounts are; the shares of any other number follow."""


@dataclass(frozen=True, slots=True)
class Customer:
    """One account of the sample operator.

    Attributes:
        opening: what could be spent when it was opened.
    """

    account: str
    story: Story
    opening: Decimal
    customer: str = ""
    payment_method: str = ""


class SignUp:
    """The operator's sign-up page: customers and cards, over the gateway's API."""

    def __init__(self, base: str, key: str) -> None:
        self._base = base
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.auth = (key, "")

    def customer(self, account: str) -> str:
        """Make a customer of the gateway."""
        form = {"metadata[account]": account, "name": f"Customer of {account}"}
        return self._post("/v1/customers", form)

    def card(self, customer: str, template: str, *, number: int) -> str:
        """Save a card of its own number and attach it to the customer.

        Two customers with one card number would share its limits.
        """
        card = f"{template}_no{number}"
        return self._post(f"/v1/payment_methods/{card}/attach", {"customer": customer})

    def _post(self, path: str, form: dict[str, str]) -> str:
        try:
            answer = self._session.post(self._base + path, data=form, timeout=10)
            found = answer.json()
        except requests.RequestException as error:
            msg = (
                f"The sandbox at {self._base} does not answer"
                f" ({type(error).__name__}); start it with `replenish sandbox serve`."
            )
            raise GatewayUnavailable(msg, subject="STRIPE_API_BASE") from error
        if not answer.ok:
            msg = f"The sandbox refused it: {found['error']['message']}"
            raise ConfigurationError(msg, subject=path)
        return str(found["id"])


def population(accounts: int) -> Iterator[Story]:
    """Give as many stories as accounts, in the shares of `STORIES`, mixed."""
    whole = sum(story.share for story in STORIES)
    stories = [
        story
        for story in STORIES
        for _ in range(max(1, round(story.share * accounts / whole)))
    ]
    random.Random(7).shuffle(stories)  # noqa: S311 a mix, not a secret
    yield from stories


def open_shop(
    app: Application,
    switch: Switch,
    *,
    accounts: int,
    progress: Callable[[int], None],
) -> Sequence[Customer]:
    """Open accounts, save cards, and enrol everybody.

    Args:
        app: wired to empty, migrated databases and to the sandbox.
        switch: of the billing package.
        accounts: about how many.
        progress: told how many customers have signed up.
    """
    stories = list(population(accounts))
    openings = list(_openings(stories))
    switch.open(openings)
    page = SignUp(app.settings.stripe_api_base, app.settings.stripe_api_key)
    customers = []
    for story, opening in zip(stories, openings, strict=True):
        customers.append(_sign_up(page, opening, story))
        progress(len(customers))
    requests_ = [_request(customer, app.clock()) for customer in customers]
    done = enrol.enrol_many(app, requests_, all_or_nothing=True, actor="demo")
    if done.problems:
        number, why = next(iter(done.problems.items()))
        msg = f"The sample account {customers[number].account} was refused: {why}"
        raise ConfigurationError(msg, subject=customers[number].account)
    return customers


def new_card(app: Application, customer: Customer) -> None:
    """Have a customer put a good card on file, as if they had mended it."""
    page = SignUp(app.settings.stripe_api_base, app.settings.stripe_api_key)
    gateway_customer = customer.customer or page.customer(customer.account)
    enrol.add_card(
        app,
        customer.account,
        customer=gateway_customer,
        payment_method=page.card(
            gateway_customer,
            "pm_sandbox_visa",
            number=NEW_CARDS + int(customer.account),
        ),
        actor="demo",
    )


def _sign_up(page: SignUp, opening: Opening, story: Story) -> Customer:
    account = str(opening.id)
    available = opening.balance + (opening.limit or 0)
    if story.card is None:
        return Customer(account, story, available)
    customer = page.customer(account)
    card = page.card(customer, story.card, number=opening.id)
    return Customer(account, story, available, customer, card)


def _request(customer: Customer, now: datetime) -> Request:
    return Request(
        account=customer.account,
        overrides=Overrides(),
        customer=customer.customer or None,
        payment_method=customer.payment_method or None,
        consent=Consent(now, "terms of 2026-01", "sign-up page of the demo"),
    )


def _openings(stories: Sequence[Story]) -> Iterator[Opening]:
    chance = random.Random(11)  # noqa: S311 sample data
    for number, story in enumerate(stories, FIRST):
        available = Decimal(chance.randint(1050, 1900)) / 100
        if story.kind == REAL_TIME:
            yield Opening(number, available - CREDIT_LIMIT, CREDIT_LIMIT)
        else:
            yield Opening(number, available)
