"""The options that say on what terms an account is charged."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import click

from replenish.cli.values import AMOUNT, MOMENT, SPAN
from replenish.domain.enrolment import Consent, Overrides
from replenish.domain.rule import TopUpKind

RULE = (
    ("--threshold", AMOUNT, "Top up at or below so much available."),
    ("--top-up", AMOUNT, "Charge so much each time."),
    ("--to-target", AMOUNT, "Charge what is missing to so much, instead of --top-up."),
    ("--cap-charge", AMOUNT, "The most that one charge may take."),
    ("--cap-day", AMOUNT, "The most per day."),
    ("--cap-month", AMOUNT, "The most per month."),
    ("--count-day", int, "The most charges per day."),
    ("--cooldown", SPAN, "The least time between two charges, such as 10m."),
    ("--floor", AMOUNT, "Cut off at or below so much, when nothing can save it."),
    ("--grace", AMOUNT, "How far below the floor a charge under way may let it go."),
    ("--time-zone", str, "Whose days and months the caps go by, such as Asia/Tokyo."),
)
FIELDS = tuple(flag[2:] for flag, *_ in RULE if flag != "--to-target")
"""What may return to the installation's default, as people write it."""

CONSENT = (
    ("--consent-at", MOMENT, "When the customer agreed to automatic charges."),
    ("--consent-text", str, "What they agreed to, or its version."),
    ("--consent-source", str, "Where they agreed: an address, a signed form."),
)


def terms(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of a rule and of a consent."""
    for flag, kind, help_text in reversed((*RULE, *CONSENT)):
        command = click.option(flag, type=kind, help=help_text)(command)
    return command


def overrides_from(given: Mapping[str, Any]) -> Overrides:
    """Read the rule's own values from a command's options.

    Raises:
        UsageError: both ways of sizing are given.
    """
    fixed: Decimal | None = given["top_up"]
    target: Decimal | None = given["to_target"]
    if fixed is not None and target is not None:
        msg = "Give --top-up (an amount each time) or --to-target, not both."
        raise click.UsageError(msg)
    kind = TopUpKind.TARGET if target is not None else TopUpKind.FIXED
    size = target if target is not None else fixed
    cooldown: timedelta | None = given["cooldown"]
    return Overrides(
        threshold=given["threshold"],
        top_up=size,
        kind=kind if size is not None else None,
        cap_charge=given["cap_charge"],
        cap_day=given["cap_day"],
        cap_month=given["cap_month"],
        count_day=given["count_day"],
        cooldown=cooldown,
        floor=given["floor"],
        grace=given["grace"],
        time_zone=given["time_zone"],
    )


def consent_from(given: Mapping[str, Any]) -> Consent | None:
    """Read a consent from a command's options; all of it or none.

    Raises:
        UsageError: only a part of it is given.
    """
    at: datetime | None = given["consent_at"]
    said, source = given["consent_text"], given["consent_source"]
    if at is None and said is None and source is None:
        return None
    if at is None or not said or not source:
        msg = "A consent is --consent-at, --consent-text and --consent-source together."
        raise click.UsageError(msg)
    return Consent(at, said, source)
