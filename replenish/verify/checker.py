"""Running the invariants in one snapshot, and saying what was found."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from rich import box
from rich.table import Table

from replenish.domain.rule import Limits, Rule
from replenish.verify import sources
from replenish.verify.counts import COUNTS
from replenish.verify.invariants import INVARIANTS, NOT_JUDGED, Invariant

SHOWN = 5  # violations of one invariant that are told


@dataclass(frozen=True, slots=True)
class Finding:
    """What one invariant's query found.

    Attributes:
        checked: rows it was judged on; None when it could not be judged.
        violations: how many break it.
        examples: a few of them, a sentence each.
        note: why it was not judged, or empty.
        always: whether it holds also while work is under way.
        seconds: how long it took to judge.
    """

    invariant: str
    sentence: str
    checked: int | None
    violations: int = 0
    examples: Sequence[str] = ()
    note: str = ""
    always: bool = True
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Report:
    """All findings of one run.

    Attributes:
        charges: how many the gateway saw with the mark of ours.
        counts: what the rows tell of the run, by name; a run that should have met
            lost answers, or crashes, can be asked whether it did.
    """

    findings: Sequence[Finding]
    charges: int
    counts: Mapping[str, int] = field(default_factory=dict)

    @property
    def violations(self) -> int:
        """How many violations there are in all."""
        return sum(finding.violations for finding in self.findings)

    @property
    def clean(self) -> bool:
        """Whether everything that was judged holds."""
        return not self.violations

    @property
    def perhaps_under_way(self) -> Sequence[str]:
        """The broken ones that may only say that work goes on."""
        return [
            each.invariant
            for each in self.findings
            if each.violations and not each.always
        ]

    def table(self) -> Table:
        """Draw a table: invariant, sentence, rows checked, violations."""
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        table.add_column("invariant")
        table.add_column("what must hold")
        table.add_column("checked", justify="right")
        table.add_column("violations", justify="right")
        for finding in self.findings:
            judged = finding.checked is not None
            count = str(finding.violations) if judged else "not judged"
            style = "red" if finding.violations else "" if judged else "dim"
            said = "\n".join((finding.note or finding.sentence, *finding.examples))
            checked = str(finding.checked) if judged else "-"
            table.add_row(finding.invariant, said, checked, count, style=style)
        return table


def run(  # noqa: PLR0913 three books, and how they are read
    ledger: sa.Engine,
    billing: sa.Engine,
    *,
    read: Callable[[sa.Engine], sources.Billing] = sources.read_billing,
    gateway_ledger: Path | None,
    defaults: Rule,
    limits: Limits | None = None,
    history: Sequence[sources.Deed] | None = None,
    quiet: bool,
) -> Report:
    """Check every invariant; changes nothing.

    Args:
        ledger: our database.
        billing: the billing package's database.
        read: how it is read; the bundled package, unless told otherwise.
        gateway_ledger: the sandbox's ledger file, or None.
        defaults: the installation's rule, under each account's own.
        limits: what bounds charges and the tries of a card.
        history: what was done by hand meanwhile; None where nobody knows.
        quiet: also those that hold only when nothing is under way.

    Raises:
        BadInput: the gateway's ledger cannot be read.
    """
    bounds = asdict(limits or Limits())
    found = read(billing)
    why_not = partial(
        _why_not,
        billing=found,
        quiet=quiet,
        gateway=gateway_ledger is not None,
        history=history is not None,
    )
    with ledger.connect() as plain:
        connection = plain.execution_options(isolation_level="REPEATABLE READ")
        sources.take_time(connection)
        sources.fill(connection, found, defaults, history or ())
        if gateway_ledger is not None:
            sources.fill_gateway(connection, gateway_ledger)
        sources.make_keys(connection)
        findings = [
            *(
                _left(invariant, why)
                if (why := why_not(invariant))
                else _judge(connection, invariant, bounds)
                for invariant in INVARIANTS
            ),
            *_not_judged(),
        ]
        counts = {
            name: connection.execute(sa.text(query)).scalar_one()
            for name, query in COUNTS.items()
        }
        connection.rollback()
    return Report(findings, counts["charges"], counts)


def _why_not(
    invariant: Invariant,
    *,
    billing: sources.Billing,
    quiet: bool,
    gateway: bool,
    history: bool,
) -> str:
    """Say why an invariant cannot be judged now, or nothing."""
    if not invariant.always and not quiet:
        return "holds only when nothing is under way"
    if invariant.needs_gateway and not gateway:
        return "needs the gateway's ledger (--gateway-ledger)"
    if invariant.needs_history and not history:
        return "needs what was done by hand, which a test knows"
    if invariant.needs_sums and not billing.sums:
        return "what this package's calls and fees cost is not added up"
    return ""


def _judge(
    connection: sa.Connection, invariant: Invariant, bounds: dict[str, Any]
) -> Finding:
    began = time.monotonic()
    checked = connection.execute(sa.text(invariant.looks_at)).scalar_one()
    query = sa.text(_escaped(invariant.broken_by))
    named = {name: bounds[name] for name in query.compile().params}
    rows = connection.execute(query, named).all()
    examples = [f"{row.subject}: {row.what}" for row in rows[:SHOWN]]
    return Finding(
        invariant.name,
        invariant.sentence,
        checked,
        len(rows),
        tuple(examples),
        always=invariant.always,
        seconds=round(time.monotonic() - began, 3),
    )


def _escaped(query: str) -> str:
    """Keep the casts of PostgreSQL apart from the names of parameters."""
    return query.replace("::", r"\:\:")


def _left(invariant: Invariant, why: str) -> Finding:
    note = f"{invariant.sentence} ({why})"
    return Finding(
        invariant.name,
        invariant.sentence,
        None,
        note=note,
        always=invariant.always,
    )


def _not_judged() -> Iterator[Finding]:
    for name, why in NOT_JUDGED.items():
        yield Finding(name, "", None, note=why)
