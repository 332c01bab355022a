"""Operators find every reason, and what to do about it, in docs/policy.md."""

import re
from pathlib import Path

import pytest

from replenish.domain.account import Account
from replenish.domain.policy import CutOff, Reason, TopUp, decide
from replenish.domain.rule import Rule, TopUpKind
from tests.factories import NOW, make_account, make_history, make_limits, make_rule, usd

MINUS = "\N{MINUS SIGN}"
PAGE = Path(__file__).parents[2] / "docs" / "policy.md"
ROW = re.compile(r"^\| `([a-z0-9_]+)` \| (.+) \| (.+) \|$", re.MULTILINE)
EXAMPLE = re.compile(
    rf"^\| ({MINUS}?[\d.]+)(, charge under way)? \| (fixed|to) (\d+)"
    r" \| ([\d.]+) \| (.+) \|$",
    re.MULTILINE,
)
EXAMPLES = EXAMPLE.findall(PAGE.read_text(encoding="utf-8"))


def test_every_reason_is_explained_with_what_to_do() -> None:
    """A new reason cannot be added without telling operators about it."""
    rows = {
        code: (means, do) for code, means, do in ROW.findall(PAGE.read_text("utf-8"))
    }

    assert set(rows) == {reason.value for reason in Reason}
    assert all(means.strip() and do.strip() for means, do in rows.values())


def test_the_worked_examples_are_read() -> None:
    """The table still has the form in which the next test checks it."""
    assert len(EXAMPLES) == 12


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda row: " ".join(row[:5]))
def test_a_worked_example_is_what_the_policy_decides(example: tuple[str, ...]) -> None:
    """The numbers on the page are the policy's own."""
    available, under_way, kind, top_up, spent, told = example
    account: Account = make_account(available=usd(available.replace(MINUS, "-")))
    rule: Rule = make_rule(
        kind=TopUpKind.FIXED if kind == "fixed" else TopUpKind.TARGET,
        top_up=usd(top_up).amount,
        cap_day=usd("200").amount,
        cap_month=usd("1000").amount,
    )
    history = make_history(
        open_attempt=bool(under_way),
        spent_day=usd(spent).amount,
        spent_month=usd(spent).amount,
    )

    found = decide(account, rule, history, NOW, limits=make_limits())

    if isinstance(found, TopUp):
        charged = re.search(r"charge ([\d.]+)", told)
        assert charged
        assert charged[1] == str(found.amount.amount)
        after = re.search(rf"→ ({MINUS}?[\d.]+)", told)
        landed = account.available.amount + found.amount.amount
        assert not after or usd(after[1].replace(MINUS, "-")).amount == landed
    else:
        assert f"`{found.reason}`" in told
        assert ("cut off" in told) is isinstance(found, CutOff)
