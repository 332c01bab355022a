"""Between a row of `account` and the domain; the only place defaults come in."""

from collections.abc import Mapping
from dataclasses import fields
from decimal import Decimal
from typing import Any

from replenish.domain.enrolment import Consent, Enrolled, NewAccount, Overrides
from replenish.domain.money import plain
from replenish.domain.rule import Rule, TopUpKind

COLUMNS = {
    item.name: "top_up_kind" if item.name == "kind" else item.name
    for item in fields(Overrides)
}
"""Field of `Overrides` → column of `account`."""


def overrides_of(row: Mapping[Any, Any]) -> Overrides:
    """Read the account's own values from a row that holds all of `COLUMNS`.

    The kind may be a `TopUpKind` or its text, as Core and raw SQL give it.
    """
    values = {name: row[column] for name, column in COLUMNS.items()}
    if values["kind"] is not None:
        values["kind"] = TopUpKind(values["kind"])
    return Overrides(**values)


def rule_of(row: Mapping[Any, Any], defaults: Rule) -> Rule:
    """Lay a row's own values over the defaults; amounts are in its currency."""
    return overrides_of(row).over(defaults, currency=row["currency"])


def account_row(account: NewAccount) -> dict[str, Any]:
    """Write a new account as a row."""
    return {
        "id": account.ref,
        "currency": account.currency,
        **rule_row(account.overrides),
        **consent_row(account.consent),
    }


def rule_row(overrides: Overrides) -> dict[str, Any]:
    """Write the account's own values as columns, NULL for the defaults."""
    return {column: getattr(overrides, name) for name, column in COLUMNS.items()}


def difference(before: Overrides, after: Overrides) -> dict[str, Any]:
    """Say which of the account's own values changed, from what to what."""
    was, now = before.given(), after.given()
    return {
        name: [_text(was.get(name)), _text(now.get(name))]
        for name in COLUMNS
        if was.get(name) != now.get(name)
    }


def consent_row(consent: Consent | None) -> dict[str, Any]:
    """Write a consent as columns."""
    return {
        "consent_at": consent.at if consent else None,
        "consent_text": consent.text if consent else None,
        "consent_source": consent.source if consent else None,
    }


def consent_detail(consent: Consent) -> dict[str, Any]:
    """Write a consent as an event's detail."""
    return {
        "at": consent.at.isoformat(),
        "text": consent.text,
        "source": consent.source,
    }


def enrolled_event(account: NewAccount) -> tuple[str, str, dict[str, Any]]:
    """Write the event of an enrolment."""
    detail = {
        "currency": account.currency,
        "rule": {key: _text(value) for key, value in account.overrides.given().items()},
        "consent": consent_detail(account.consent) if account.consent else None,
    }
    return account.ref, "enrolled", detail


def as_enrolled(row: Mapping[Any, Any], defaults: Rule) -> Enrolled:
    """Read a row of `account` with `cut_off`, the standing cut-off's reason."""
    consent = None
    if row["consent_at"] is not None:
        text, source = row["consent_text"] or "", row["consent_source"] or ""
        consent = Consent(row["consent_at"], text, source)
    return Enrolled(
        ref=row["id"],
        rule=rule_of(row, defaults),
        overrides=overrides_of(row),
        enrolled_at=row["enrolled_at"],
        episode_at=row["episode_at"],
        consent=consent,
        paused=(row["pause_reason"] or "no reason given") if row["paused_at"] else None,
        paused_at=row["paused_at"],
        not_before=row["not_before"],
        low_since=row["low_since"],
        cut_off=row["cut_off"],
    )


def _text(value: object) -> str | None:
    if isinstance(value, Decimal):
        return plain(value)
    return None if value is None else str(value)
