"""The command line reads the same on every package."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from replenish import bootstrap
from tests import ledgers
from tests.contract.package_sites import PackageSite
from tests.integration.cli.commands import NOWHERE, Terminal
from tests.postgres import MakeDatabase

pytestmark = pytest.mark.integration

CONSENT = ("--consent-at", "2026-01-01", "--consent-text", "v", "--consent-source", "w")


@pytest.fixture
def terminal(
    site: PackageSite,
    make_database: MakeDatabase,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Terminal]:
    """A shell with an empty ledger beside the package."""
    monkeypatch.chdir(tmp_path)
    wired: dict[int, bootstrap.Application] = {}
    monkeypatch.setattr(bootstrap, "_applications", wired)
    terminal = Terminal(
        tmp_path,
        {
            "DATABASE_URL": make_database(),
            "BILLING_DATABASE_URL": site.engine.url.render_as_string(
                hide_password=False
            ),
            "BILLING_PACKAGE": site.profile.name,
            "REDIS_URL": NOWHERE,
            "STRIPE_API_BASE": "http://127.0.0.1:1",
            "REPLENISH_HOME": str(tmp_path / "home"),
        },
    )
    try:
        assert terminal.run("db", "upgrade").code == 0
        yield terminal
    finally:
        for application in wired.values():
            application.ledger_engine.dispose()
            application.billing_engine.dispose()


def test_an_account_is_enrolled_explained_cut_off_and_told(
    site: PackageSite, terminal: Terminal
) -> None:
    """From an empty ledger; the package's own schema is left as it is."""
    site.add("1001", "-1")
    before = sorted(sa.inspect(site.engine).get_table_names())

    _looks_sound(terminal, site)
    enrolled = terminal.run("account", "enrol", "1001", *CONSENT)
    with ledgers.engine_of(terminal.variables["DATABASE_URL"]) as engine:
        ledgers.run(engine, "UPDATE replenish.account SET low_since = now()")
    explained = terminal.run("explain", "1001", "--json").json
    cut = terminal.run("cutoff", "--json").json
    told = terminal.run("account", "history", "1001").out
    reported = terminal.run("report").out
    verified = terminal.run("verify", "--during")

    assert enrolled.code == 0, enrolled.err
    assert (explained["decision"], explained["reason"]) == ("cut_off", "no_card")
    assert cut == {"cut_off": ["1001"], "restored": []}
    assert "Service was ended at -1.00: no card is on file." in told
    assert "cut off" in reported
    assert verified.code == 0, verified.out
    assert "is not added up" in " ".join(verified.out.split())
    assert sorted(sa.inspect(site.engine).get_table_names()) == before


def test_the_package_s_accounts_are_listed_to_be_enrolled(
    site: PackageSite, terminal: Terminal
) -> None:
    """Each with what a rule needs, or with why it cannot be."""
    site.add("1001", "5")
    site.add("1002", "5")
    terminal.run("account", "enrol", "1002", *CONSENT)

    listed = terminal.run("account", "import", "--from-package", "--json").json

    assert [(row["account"], row["currency"], row["why_not"]) for row in listed] == [
        ("1001", "USD", ""),
        ("1002", "USD", "is enrolled already"),
    ]


def _looks_sound(terminal: Terminal, site: PackageSite) -> None:
    """Nothing is wrong, and what it is stands below as notes."""
    sound, *notes = terminal.run("check", "billing", "--json").json

    assert (sound["ok"], sound["note"]) == (True, False)
    assert all(each["ok"] and each["note"] for each in notes)
    assert notes[0]["text"].startswith(f"{site.profile.name} ")
    assert "note" in terminal.run("check", "billing").out
