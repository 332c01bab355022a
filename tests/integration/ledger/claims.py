"""What a sweep does with the ledger, by hand."""

from collections.abc import Sequence
from decimal import Decimal

from replenish.domain.money import Money
from replenish.domain.policy import TopUp
from replenish.ports import Claims, Proposal
from tests.world import World


def propose(world: World, *refs: str, amount: str = "25") -> list[Proposal]:
    """Read accounts as a sweep does, and propose to charge each its first card."""
    return [
        Proposal(
            subject,
            TopUp(Money(Decimal(amount), "USD"), subject.history.cards[0].card),
            Decimal(5),
        )
        for subject in world.services.ledger.subjects(refs)
    ]


def claim(world: World, proposals: Sequence[Proposal]) -> Claims:
    """Claim them as a hot sweep's page."""
    return world.services.ledger.claim(proposals, kind="hot")


def finish(world: World, ref: str = "1001") -> None:
    """Take the account's attempt to its end."""
    assert world.replenish(ref).outcome == "settled"


def put_in_the_past(world: World, claimed_at: str) -> None:
    """Let what was claimed so far have been claimed then; past the journal."""
    world.run("ALTER TABLE replenish.attempt DISABLE TRIGGER journal_step")
    world.run(f"UPDATE replenish.attempt SET claimed_at = {claimed_at}")  # noqa: S608 ours
    world.run("ALTER TABLE replenish.attempt ENABLE TRIGGER journal_step")
