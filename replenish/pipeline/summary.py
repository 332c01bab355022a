"""Close a batch, from its rows alone; what the tasks returned is never counted."""

from replenish.domain.money import Money
from replenish.pipeline.services import Services
from replenish.ports import Summary


def summarise(batch: str, services: Services, *, by: str = "chord") -> Summary | None:
    """Count a batch's rows and close it; None while an attempt of it is open.

    Safe to repeat: a closed batch is only read. A batch that is not closed here,
    because an attempt waits or the chord was lost, is closed by reconcile.
    """
    return services.books.close_batch(batch, by=by)


def in_words(summary: Summary) -> str:
    """Say how a batch ended: `3 selected: 2 settled (50.00 USD), 1 no_card`."""
    sums = (Money(amount, code) for code, amount in summary.amounts.items())
    money = ", ".join(map(str, sums))
    ends = [
        f"{count} {name}" + (f" ({money})" if name == "settled" and money else "")
        for name, count in {**summary.counts, **summary.skipped}.items()
    ]
    return f"{summary.selected} selected: {', '.join(ends) or 'none'}"
