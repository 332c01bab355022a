"""The billing package's accounts as a CSV file, to be joined with the gateway's cards.

What comes out can be completed (`customer`, `payment_method`, a rule's columns) and
given back to `replenish account import`, which passes over the columns that are only
for people.
"""

import csv
import sys
from collections.abc import Iterator

from replenish.bootstrap import Application
from replenish.domain.money import plain

PAGE = 500
ROW = dict[str, str]
FOR_PEOPLE = ("name", "email", "kind", "available", "service", "why_not")
COLUMNS = ("account", "currency", "customer", "payment_method", *FOR_PEOPLE)


def rows(app: Application) -> Iterator[ROW]:
    """Give every account of the package; `why_not` says why it cannot be enrolled."""
    after: str | None = None
    while True:
        page = app.billing.accounts(after=after, limit=PAGE)
        refs = [account.ref for account in page.accounts]
        enrolled = {subject.account for subject in app.services.ledger.subjects(refs)}
        for account in page.accounts:
            yield {
                "account": account.ref,
                "currency": account.available.currency,
                "name": account.name,
                "email": account.email,
                "kind": account.kind.value,
                "available": plain(account.available.amount),
                "service": account.service.value,
                "why_not": "is enrolled already" if account.ref in enrolled else "",
            }
        for ref, why in page.unreadable.items():
            yield {"account": ref, "why_not": why}
        after = page.after
        if after is None:
            return


def write(found: Iterator[ROW]) -> None:
    """Write them to standard output as CSV."""
    writer = csv.DictWriter(sys.stdout, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(found)
