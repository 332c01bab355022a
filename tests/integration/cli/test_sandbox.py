"""`replenish sandbox card` against a sandbox that runs."""

from tests.integration.cli.commands import Terminal

CONSENT = ("--consent-at", "2026-01-01", "--consent-text", "v", "--consent-source", "w")


def test_a_card_saved_there_can_be_enrolled(shop: Terminal) -> None:
    """What it prints is what `account enrol` takes."""
    words = shop.run("sandbox", "card").out.split()

    enrolled = shop.run("account", "enrol", "1001", *words, *CONSENT)

    assert enrolled.code == 0, enrolled.err
    assert "Card visa" in enrolled.out


def test_each_card_has_its_own_number(shop: Terminal) -> None:
    """Two accounts with one card would share its limits."""
    first, second = (shop.run("sandbox", "card", "--json").json for _ in range(2))

    assert first["payment_method"] != second["payment_method"]
    assert first["customer"].startswith("cus_")


def test_no_card_is_saved_at_stripe_itself(terminal: Terminal) -> None:
    """Its own pages are for that."""
    real = terminal.with_(
        STRIPE_API_BASE="https://api.stripe.com", STRIPE_API_KEY="sk_test_x"
    )

    answer = real.run("sandbox", "card")

    assert answer.code == 2
    assert "saved on its own pages" in answer.err


def test_an_unknown_kind_of_card_is_refused(shop: Terminal) -> None:
    """With the sandbox's own sentence."""
    answer = shop.run("sandbox", "card", "made_of_wood")

    assert answer.code == 2
    assert "pm_sandbox_made_of_wood" in answer.err
    assert "{" not in answer.err


def test_in_production_none_is_served(terminal: Terminal) -> None:
    """It would pass for the gateway of somebody who runs the whole Procfile."""
    answer = terminal.with_(
        REPLENISH_ENV="production",
        STRIPE_API_KEY="sk_live_x",
        STRIPE_API_BASE="",
    ).run("sandbox", "serve")

    assert answer.code == 2
    assert "leave it out" in answer.err


def test_a_sandbox_that_does_not_run_is_told_how_to_start(terminal: Terminal) -> None:
    """As a service that is away."""
    answer = terminal.with_(STRIPE_API_KEY="sk_test_cli").run("sandbox", "card")

    assert answer.code == 3
    assert "start it with `replenish sandbox serve`" in answer.err
