"""Twenty accounts that are not alike: currencies, rules, zones, cards."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random

from replenish.domain.account import Account, Card, Kind, Service
from replenish.domain.enrolment import Consent, NewAccount, Overrides
from replenish.domain.money import Money
from replenish.domain.rule import Rule, TopUpKind
from tests.factories import make_card, make_rule
from tests.memory.register import MemoryRegister
from tests.simulation.billing import SimulatedBilling
from tests.simulation.gateway import Plastic, SimulatedGateway

DEFAULTS: Rule = make_rule(
    cap_day=Decimal(200), cap_month=Decimal(1000), floor=Decimal(0)
)
SCALES = {
    "USD": Decimal(1),
    "EUR": Decimal(1),
    "JPY": Decimal(100),
    "KWD": Decimal("0.4"),
}
CURRENCIES = ("USD", "USD", "USD", "JPY", "KWD", "EUR")
ZONES = (
    *("America/New_York", "Europe/London", "Australia/Lord_Howe", "Asia/Tokyo"),
    *("Africa/Cairo", "America/Havana", "Pacific/Apia", "UTC"),
)
STARTS = (
    datetime(2026, 3, 8, 4, 30, tzinfo=UTC),  # New York goes to summer time
    datetime(2026, 3, 29, 0, 30, tzinfo=UTC),  # London does
    datetime(2026, 4, 4, 14, 30, tzinfo=UTC),  # Lord Howe leaves it by half an hour
    datetime(2026, 4, 23, 21, 30, tzinfo=UTC),  # Cairo has no midnight
    datetime(2026, 10, 25, 0, 30, tzinfo=UTC),
    datetime(2026, 11, 1, 3, 30, tzinfo=UTC),  # Havana has midnight twice
    datetime(2026, 12, 31, 22, 30, tzinfo=UTC),
    datetime(2028, 2, 29, 23, 30, tzinfo=UTC),
    datetime(2026, 7, 15, 12, 0, tzinfo=UTC),
)
NATURES = ("good",) * 6 + (
    "fickle",
    "fickle",
    "hard",
    "soft",
    "fraud",
    "authentication",
)
AGREED = Consent(datetime(2026, 1, 1, tzinfo=UTC), "v1", "form")
SETTLED_IN = 0.8  # how many of the accounts are not new any more
LONG = timedelta(days=60)
SHARED = ("print_shared_1", "print_shared_2")


@dataclass
class Fleet:
    """Opens accounts and issues cards."""

    rng: Random
    billing: SimulatedBilling
    gateway: SimulatedGateway
    register: MemoryRegister
    issued: int = 0

    def open(self, ref: str) -> None:
        """Open an account at the package, enrol it, and put cards on file."""
        rng = self.rng
        currency = rng.choice(CURRENCIES)
        overrides = self.terms(currency)
        scale = SCALES[currency]
        balance = Decimal(rng.randrange(0, 40)) * scale
        kind = Kind.REAL_TIME if rng.random() < 0.3 else Kind.PREPAID
        money = Money(balance, currency)
        self.billing.open(Account(ref, money, kind, Service.ACTIVE))
        consent = AGREED if rng.random() < 0.95 else None
        self.register.enrol(NewAccount(ref, currency, overrides, consent))
        for _ in range(rng.choice((0, 1, 1, 1, 2, 3))):
            self.register.add_card(ref, self.card(ref))
        row = self.register.store.accounts[ref]
        if rng.random() < SETTLED_IN:
            row.enrolled_at -= LONG
            for card in row.cards:
                card.added_at -= LONG
        self.billing.watch({ref: row.rule.threshold})

    def terms(self, currency: str) -> Overrides:
        """Draw a rule that can work."""
        rng, scale = self.rng, SCALES[currency]
        threshold, top_up = 10 * scale, rng.choice((20, 25, 30)) * scale
        cap_day = top_up * rng.choice((1, 2, 4, 8))
        return Overrides(
            threshold=threshold,
            top_up=top_up,
            kind=rng.choice((TopUpKind.FIXED, TopUpKind.FIXED, TopUpKind.TARGET)),
            cap_charge=top_up * rng.choice((1, 2, 3)),
            cap_day=cap_day,
            cap_month=cap_day * rng.choice((1, 3, 10)),
            count_day=rng.choice((2, 3, 5, 10)),
            cooldown=timedelta(seconds=rng.choice((0, 30, 120, 600))),
            floor=rng.choice((0, 0, -5, 2)) * scale,
            grace=rng.choice((0, 5, 5, 10)) * scale,
            time_zone=rng.choice(ZONES),
        )

    def card(self, ref: str) -> Card:
        """Issue a card; its bank is of some nature, and a few are on many accounts."""
        self.issued += 1
        method = f"pm_{self.issued}"
        shared = self.rng.random() < 0.15
        self.gateway.plastics[method] = Plastic(self.rng.choice(NATURES))
        return replace(
            make_card(),
            id="",
            customer=f"cus_{ref}",
            payment_method=method,
            fingerprint=self.rng.choice(SHARED) if shared else f"print_{method}",
            exp_year=2035,
        )

    def again(self, card: Card) -> Card:
        """Enter the same card once more, under another name of the gateway's."""
        self.issued += 1
        method = f"pm_{self.issued}"
        nature = self.gateway.plastics[card.payment_method].nature
        self.gateway.plastics[method] = Plastic(nature)
        return replace(card, payment_method=method, dead_reason=None, retry_at=None)
