"""How each billing package itself writes: its tables, its switch, its own forms.

Used to play a package's traffic, in the demonstration, in tests and in measurements;
never by what Replenish itself does. Tables and statements are written from the
packages' documented schemas, with their engines, keys and triggers, and know nothing
of our profiles: they are a second opinion on them.

    writes     what there is to say about a package, as data
    a2billing, astpp, magnusbilling, pyfreebilling   one each, and its tables as SQL
    hands      the same by a connection: sign up, call, hang up, refill
    site       a database with the tables, the package's role and ours
"""

from collections.abc import Mapping

from replenish.demo.packages import a2billing, astpp, magnusbilling, pyfreebilling
from replenish.demo.packages.writes import Writes

WRITES: Mapping[str, Writes] = {
    each.WRITES.name: each.WRITES
    for each in (a2billing, astpp, magnusbilling, pyfreebilling)
}
"""`BILLING_PACKAGE` → how that package writes."""

ON_INNODB = "a2billing on innodb"
VARIANTS = (*WRITES, ON_INNODB)
"""What is tried: each package as installed, and A2Billing as some sites convert it."""


def writes_of(variant: str) -> Writes:
    """Give how the package of a variant writes."""
    return WRITES[variant.partition(" ")[0]]


def tables_of(variant: str) -> str:
    """Give the statements that make a variant's tables."""
    tables = writes_of(variant).tables()
    if variant == ON_INNODB:
        return tables.replace("ENGINE=MyISAM", "ENGINE=InnoDB")
    return tables
