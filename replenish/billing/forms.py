"""What the lines of a rate deck and of a list of accounts say, and must not."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from replenish import card_number
from replenish.billing.rating import LONGEST_PREFIX, SCALE
from replenish.billing.rows import Columns, amount, currency, instant, whole
from replenish.billing.schema import RATE_SCALE
from replenish.domain.account import Kind
from replenish.errors import BadInput

DEAREST = Decimal(10_000)  # per minute or call; more is a misplaced point
RICHEST = Decimal(1_000_000_000)  # balance or credit limit of one account
LONGEST_INCREMENT = 3600  # seconds
LONGEST_ACCOUNT = 64  # characters of an account's number

RATE_COLUMNS = Columns(
    required=frozenset({"prefix", "name", "per_minute", "currency", "effective_from"}),
    optional={
        "connection_fee": "0",
        "initial": "60",
        "subsequent": "60",
        "effective_to": "",
        "deck": "default",
    },
)
ACCOUNT_COLUMNS = Columns(
    required=frozenset({"number", "kind", "currency", "opening_balance"}),
    optional={"credit_limit": "0", "deck": "default", "name": "", "email": ""},
)


def rate_of(cells: Mapping[str, str]) -> dict[str, Any]:
    """Understand a line of a rate deck.

    Raises:
        BadInput: it makes no sense.
    """
    prefix = cells["prefix"].removeprefix("+")
    if not (prefix.isascii() and prefix.isdigit() and len(prefix) <= LONGEST_PREFIX):
        msg = f"prefix is {prefix!r}; give 1 to {LONGEST_PREFIX} digits of E.164"
        raise BadInput(msg, subject="prefix")
    start, end = instant(cells, "effective_from"), instant(cells, "effective_to")
    if start is None or (end is not None and end <= start):
        msg = "effective_from is missing or not before effective_to"
        raise BadInput(msg, subject="effective_from")
    increment = {"least": 1, "most": LONGEST_INCREMENT}
    return {
        "deck": cells["deck"],
        "currency": currency(cells),
        "prefix": prefix,
        "name": cells["name"],
        "per_minute": amount(cells, "per_minute", scale=RATE_SCALE, most=DEAREST),
        "connection_fee": amount(cells, "connection_fee", scale=SCALE, most=DEAREST),
        "initial": whole(cells, "initial", **increment),
        "subsequent": whole(cells, "subsequent", **increment),
        "effective_from": start,
        "effective_to": end,
    }


def account_of(cells: Mapping[str, str]) -> dict[str, Any]:
    """Understand a line of a list of accounts.

    Raises:
        BadInput: it makes no sense.
    """
    number = cells["number"]
    if not 1 <= len(number) <= LONGEST_ACCOUNT or any(map(str.isspace, number)):
        msg = f"number is {number!r}; give it without spaces"
        raise BadInput(msg, subject="number")
    if card_number.is_in(number):
        msg = "number reads as a payment card's, which is not kept; give another"
        raise BadInput(msg, subject="number")
    kind = cells["kind"]
    if kind not in frozenset(Kind):
        msg = f"kind is {kind!r}; give {' or '.join(Kind)}"
        raise BadInput(msg, subject="kind")
    credit = amount(cells, "credit_limit", scale=SCALE, most=RICHEST)
    if kind == Kind.PREPAID and credit:
        msg = "credit_limit must be 0 for a prepaid account"
        raise BadInput(msg, subject="credit_limit")
    opening = amount(cells, "opening_balance", scale=SCALE, most=RICHEST)
    return {
        "number": number,
        "kind": kind,
        "currency": currency(cells),
        "balance": opening,
        "opening_balance": opening,
        "credit_limit": credit,
        "deck": cells["deck"],
        "name": card_number.blotted(cells["name"]),
        "email": card_number.blotted(cells["email"]),
    }
