"""What there is to say about how a package writes, as data.

Statements are in the package's own dialect, each committed by itself, as the packages
do. They are run in order, and know what was given, the columns that an earlier one has
read, and an earlier one's new id as `:NAME_id`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files

from replenish.domain.account import Service

Steps = Mapping[str, str]
"""Name → statement, in the order in which the package sends them."""


@dataclass(frozen=True, slots=True)
class Writes:
    """A billing package's own statements; all know `:id`, the account's primary key.

    Attributes:
        name: as in `BILLING_PACKAGE`.
        dialect: `mysql` or `postgresql`.
        places: of a call's cost, in currency units.
        sign_up: opens a prepaid account with `:balance`.
        sign_up_real_time: the same for one that is charged in real time, with `:limit`.
        set_state: writes `:state`, one of `states`.
        authorise: what the switch asks before a call: a row with what may be spent on
            it (`spendable`) if it may start.
        by_balance: whether a call is given no longer than that lasts.
        begin: when a call starts.
        end: when it ends: the call record (`record`) and the debit of `:cost`, in this
            package's order. It has lasted `:seconds`.
        balance: what the account holds, debts negative.
        purse: the table and the column of the balance.
        report: account, amount and our reference, as its own refill report joins them.
        refill: the operator's refill of `:amount`, by a relative change.
        form: the same where a whole row is read first and written back; what came in
            between is overwritten.
        spoil: makes a row senseless, where its columns allow that.
        on_connect: statements for every new connection of the package.
    """

    name: str
    dialect: str
    places: int
    sign_up: str
    sign_up_real_time: str
    states: Mapping[Service, object]
    set_state: str
    authorise: str
    end: Steps
    balance: str
    purse: tuple[str, str]
    report: str
    begin: Steps = field(default_factory=dict)
    refill: Steps = field(default_factory=dict)
    form: Steps = field(default_factory=dict)
    by_balance: bool = True
    spoil: str = ""
    on_connect: tuple[str, ...] = ()

    def tables(self) -> str:
        """Read the statements that make its tables, empty but for its settings."""
        home = files("replenish.demo.packages")
        return (home / f"{self.name}.sql").read_text(encoding="utf-8")
