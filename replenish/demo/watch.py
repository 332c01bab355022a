"""What the demonstration shows, read from the rows as anybody could."""

import statistics
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from rich import box
from rich.console import Group, JustifyMethod
from rich.table import Table
from rich.text import Text

from replenish.bootstrap import Application
from replenish.demo.operator import STORIES, Customer, Story
from replenish.demo.traffic import Traffic
from replenish.domain.account import Account
from replenish.domain.money import plain
from replenish.domain.story import tell

PER_STORY = {"good card": 3, "good card, real-time": 2}  # others show one account
STATE_STYLE = {"cut off": "red", "low": "yellow", "charging": "cyan"}

_COUNTS = sa.text("""
SELECT
  (SELECT count(*) FROM replenish.attempt WHERE state = 'settled') AS settled,
  (SELECT coalesce(sum(amount), 0) FROM replenish.attempt WHERE state = 'settled')
    AS amount,
  (SELECT count(*) FROM replenish.attempt
   WHERE state IN ('declined', 'action_required')) AS declined,
  (SELECT count(*) FROM replenish.attempt
   WHERE state IN ('claimed', 'charging', 'unknown', 'charged')) AS open,
  (SELECT count(*) FROM replenish.cut_off WHERE done_at IS NOT NULL) AS cut_off,
  (SELECT count(*) FROM replenish.cut_off
   WHERE done_at IS NOT NULL AND restored_at IS NOT NULL) AS restored,
  (SELECT count(*) FROM replenish.batch) AS batches,
  (SELECT count(*) FROM replenish.batch WHERE closed_at IS NULL) AS unclosed
""")

_SETTLED = sa.text("""
SELECT id, account_id, state, extract(epoch FROM changed_at)::float8 AS at
FROM replenish.attempt
WHERE changed_at > to_timestamp(:since)
  AND state IN ('settled', 'declined', 'action_required')
ORDER BY changed_at
""")

_PER_ACCOUNT = sa.text("""
SELECT a.id,
  count(t.id) FILTER (WHERE t.state = 'settled') AS charged,
  count(t.id) FILTER (WHERE t.state IN ('declined', 'action_required')) AS declined,
  coalesce(bool_or(t.state IN ('claimed', 'charging', 'unknown', 'charged')), false)
    AS charging,
  (SELECT count(*) FROM replenish.cut_off o
   WHERE o.account_id = a.id AND o.done_at IS NOT NULL) AS cut_off,
  (SELECT count(*) FROM replenish.cut_off o
   WHERE o.account_id = a.id AND o.done_at IS NOT NULL
     AND o.restored_at IS NOT NULL) AS restored,
  EXISTS (SELECT FROM replenish.cut_off o
          WHERE o.account_id = a.id AND o.restored_at IS NULL) AS standing,
  a.low_since IS NOT NULL AS low
FROM replenish.account a LEFT JOIN replenish.attempt t ON t.account_id = a.id
WHERE a.id = ANY(:accounts) GROUP BY a.id
""")

_CUT_REASONS = sa.text("""
SELECT account_id, reason, detail, restored_at IS NOT NULL AS restored
FROM replenish.cut_off WHERE done_at IS NOT NULL ORDER BY id
""")


@dataclass
class Watch:
    """Reads the rows and draws them; keeps nothing but the delays it measured.

    Attributes:
        delays: seconds from an account falling low to its credit, one a charge;
            cards that decline first wait on purpose and are left out.
    """

    app: Application
    customers: Sequence[Customer]
    traffic: Traffic
    delays: list[float] = field(default_factory=list)
    _since: float = 0.0

    def counts(self) -> Mapping[Any, Any]:
        """Count what has happened so far."""
        self._measure()
        return self._rows(_COUNTS)[0]

    def quiet(self) -> bool:
        """Say whether nothing is under way any more."""
        counts = self._rows(_COUNTS)[0]
        return not counts["open"] and not counts["unclosed"]

    def cut_by_story(self) -> Mapping[Story, set[str]]:
        """Give the reasons for which accounts of each story were cut off."""
        stories = {customer.account: customer.story for customer in self.customers}
        reasons: dict[Story, set[str]] = {}
        for row in self._rows(_CUT_REASONS):
            reasons.setdefault(stories[row["account_id"]], set()).add(row["reason"])
        return reasons

    def replenished(self) -> Mapping[str, int]:
        """Count the accounts that were charged and credited, by kind."""
        kinds = {each.account: each.story.kind for each in self.customers}
        rows = self._rows(_PER_ACCOUNT, accounts=list(kinds))
        return Counter(kinds[row["id"]] for row in rows if row["charged"])

    def screen(self, elapsed: float) -> Group:
        """Draw everything."""
        return Group(self._head(elapsed), self._accounts(), self._legend())

    def line(self, elapsed: float) -> str:
        """Say the same in one line, for logs and pipes."""
        return f"{elapsed:4.0f} s  {self._head(elapsed).plain}"

    def _head(self, elapsed: float) -> Text:
        counts, traffic = self.counts(), self.traffic
        rate = traffic.calls / elapsed if elapsed else 0.0
        parts = (
            f"{traffic.calls} calls ({rate:.0f}/s, {plain(traffic.cost)} USD)",
            f"charged {counts['settled']} ({plain(counts['amount'])} USD)",
            f"declined {counts['declined']}",
            f"cut off {counts['cut_off']}",
            f"restored {counts['restored']}",
            f"batches {counts['batches']}",
            f"low to credited: {self.delay_words()}",
        )
        return Text(" · ".join(parts), style="bold")

    def delay_words(self) -> str:
        """Say how long accounts waited from low to credited."""
        if not self.delays:
            return "none yet"
        half = statistics.median(self.delays)
        most = sorted(self.delays)[int(len(self.delays) * 0.99)]
        return f"p50 {half:.2f} s, p99 {most:.2f} s"

    def _accounts(self) -> Table:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, expand=True)
        for name in ("account", "customer", "balance", "state"):
            side: JustifyMethod = "right" if name == "balance" else "left"
            table.add_column(name, justify=side, no_wrap=True)
        for name in ("charged", "declined", "cut off", "restored"):
            table.add_column(name, justify="right", no_wrap=True)
        # what room is left; a long sentence is cut, never a balance
        table.add_column("last event", ratio=1, no_wrap=True, overflow="ellipsis")
        shown = self._chosen()
        refs = [customer.account for customer in shown]
        balances = self.app.billing.balances(refs)
        rows = {row["id"]: row for row in self._rows(_PER_ACCOUNT, accounts=refs)}
        for customer in shown:
            row, account = rows[customer.account], balances.get(customer.account)
            table.add_row(*self._cells(customer, row, account))
        return table

    def _cells(
        self, customer: Customer, row: Mapping[Any, Any], account: Account | None
    ) -> Iterator[str | Text]:
        yield customer.account
        yield customer.story.name
        yield plain(account.available.amount) if account else "?"
        state = _state(row)
        yield Text(state, style=STATE_STYLE.get(state, "green"))
        for name in ("charged", "declined", "cut_off", "restored"):
            yield str(row[name] or "")
        yield self._last_event(customer.account)

    def _last_event(self, account: str) -> str:
        events = self.app.reading.history(account, limit=1)
        return tell(events[-1]) if events else ""

    def _chosen(self) -> Sequence[Customer]:
        wanted = {story: PER_STORY.get(story.name, 1) for story in STORIES}
        chosen = []
        for customer in self.customers:
            if wanted[customer.story]:
                wanted[customer.story] -= 1
                chosen.append(customer)
        return sorted(chosen, key=lambda customer: STORIES.index(customer.story))

    def _legend(self) -> Text:
        others = len(self.customers) - len(self._chosen())
        return Text(f"and {others} more accounts", style="dim")

    def _measure(self) -> None:
        for row in self._rows(_SETTLED, since=self._since):
            self._since = max(self._since, row["at"])
            low_at = self.traffic.low_at.pop(row["account_id"], None)
            if low_at is not None and row["state"] == "settled":
                self.delays.append(row["at"] - low_at)

    def _rows(self, query: sa.TextClause, **values: object) -> list[Mapping[Any, Any]]:
        with self.app.ledger_engine.connect() as connection:
            return [dict(row) for row in connection.execute(query, values).mappings()]


def _state(row: Mapping[Any, Any]) -> str:
    if row["standing"]:
        return "cut off"
    if row["charging"]:
        return "charging"
    return "low" if row["low"] else "well"
