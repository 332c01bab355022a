"""What there is to say about a billing package, as data.

Statements are in the package's own dialect, with `:name` parameters. They may use
what `facts` has read of the package's configuration.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

State = int | bool
"""What a package writes for a state of the service."""


@dataclass(frozen=True, slots=True)
class Accounts:
    """Where accounts stand, and how a row is read. All but `table` are expressions.

    Attributes:
        table: with its alias: `pkg_user u`.
        by_key: said after it where a page is read in the order of the key.
        only: which rows are customers.
        id: the primary key, a number; pages go by it, and as text it is the ref.
        available: what may still be spent; the sign rule stands here.
        real_time: whether it is paid in real time, with a credit limit.
        state: the column of the service's state.
        active, suspended: its values when calls are allowed, and after our cut-off.
        name, email: for people.
        expired: whether the package refuses calls because of a date, whatever the
            state says; never where it says so by the state alone.
    """

    table: str
    only: str
    id: str
    available: str
    real_time: str
    state: str
    active: State
    suspended: State
    name: str
    email: str
    expired: str = "FALSE"
    by_key: str = ""


@dataclass(frozen=True, slots=True)
class Log:
    """A log table without an index on the account: it is searched by its end only.

    Attributes:
        table, id, date: the date rises with the id, but for rows that an operator
            has dated otherwise.
        by_key: said after the table where it is read in the order of the id.
    """

    table: str
    id: str = "id"
    date: str = "date"
    by_key: str = ""


@dataclass(frozen=True, slots=True)
class Pending:
    """How a credit is made once where the engine has no transactions.

    Attributes:
        engine: counts the tables without transactions; with none, one is used.
        account: reads what `Credit.lock` reads, without a lock.
        mark: what `:mark` is in the log row until it is added to the balance; its
            `Credit.find` gives `id` and whether it is still `pending` as well.
        refill: the step that writes the log row.
        settle: one statement that adds the row to the balance and takes the mark
            away; it does nothing the second time.
        exists: step → query of the row it has written before a crash, by its id.
    """

    engine: str
    account: str
    mark: str
    refill: str
    settle: str
    exists: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Credit:
    """How a refill is written, in this order, in one transaction.

    All statements know `:id`, `:reference`, `:note`, `:gross` (what the card paid),
    `:net` (what is credited), `:before` and `:after` (available, around it) and the
    columns that `lock` has read. A statement's new id is known to the later ones as
    `:NAME_id`.

    Refunds and corrections are written by the same statements: a refund with `:gross`
    and `:net` below zero; a correction, for which nobody pays, with `:paid` 0 and only
    by the steps in `corrects`. `:correction` is 1 for both.

    Attributes:
        lock: reads the account and keeps its row locked: `available` and whatever
            the steps need. Comes first, so that no statement of the package's own
            ever waits for us in a circle.
        find: reads an earlier credit of `:id` by `:reference`, as `amount` (what the
            card paid) and `after`.
        trail: reads what became of that credit, as the fields of
            `replenish.domain.trail.Trail`.
        ahead: name → query of one value that is read before the row is locked, since
            it may take a while.
        steps: name → statement.
        corrects: the steps of a correction.
        log: set where `find` must not read the whole of a log.
        vat: the column of `lock` that holds a tax in per cent, or none.
        width: how long `:note` may be.
        pending: set where the tables may lack transactions.
    """

    lock: str
    find: str
    trail: str
    steps: Mapping[str, str]
    corrects: tuple[str, ...]
    log: Log | None = None
    ahead: Mapping[str, str] = field(default_factory=dict)
    vat: str = ""
    width: int = 255
    pending: Pending | None = None


@dataclass(frozen=True, slots=True)
class Calls:
    """The package's call records, and whom they debit.

    Attributes:
        table, id: a table whose ids rise as calls end.
        account: the column with the account's primary key.
        settles: seconds after which a seen account is listed once more, because the
            package debits in a statement of its own after writing the record.
        by_key: said after the table where it is read in the order of the id.
    """

    table: str
    account: str
    id: str = "id"
    settles: float = 0.0
    by_key: str = ""


@dataclass(frozen=True, slots=True)
class ByStart:
    """Call records without a key, but with an index on when calls began (UTC).

    Attributes:
        seconds: the column with how long was talked, never NULL.
        usual: minutes that are looked over each time; most calls are shorter.
        longest: minutes of the longest call there can be, a multiple of `usual`.
        every: seconds in which the older parts of so long are looked over in turn.
    """

    table: str
    account: str
    started: str
    seconds: str
    usual: int = 5
    longest: int = 120
    every: float = 60.0

    @property
    def parts(self) -> int:
        """How many times `usual` the longest call is."""
        return self.longest // self.usual


@dataclass(frozen=True, slots=True)
class Profile:
    """A billing package.

    Attributes:
        name: as in `BILLING_PACKAGE`.
        dialect: `mysql` or `postgresql`.
        scale: decimal places of the balance.
        most: the largest balance its column holds.
        needs: table → the columns we read; checked before anything is charged.
        inserts: the tables we add rows to.
        updates: table → the columns we change; of accounts, balance and state.
        sequences: where a new row's id comes from, in PostgreSQL.
        on_connect: statements for every new connection.
        facts: name → query of one value of the package's configuration.
        warnings: query → sentence, told by `check` when the query finds a row.
        remarks: the same for what is worth knowing and no fault.
        version: query of the package's own version, where it keeps one.
        tried: how the versions begin that this release was tried with.
        secrets: table → columns of passwords and the like, which nobody needs who
            only credits; `check` remarks on a role that may read them.
        credits: all credits of ours, for `replenish verify`: `reference`, `account`
            (its primary key) and `amount` (what the card paid).
    """

    name: str
    dialect: str
    scale: int
    most: Decimal
    accounts: Accounts
    credit: Credit
    calls: Calls | ByStart
    credits: str
    needs: Mapping[str, tuple[str, ...]]
    inserts: tuple[str, ...]
    updates: Mapping[str, tuple[str, ...]]
    sequences: tuple[str, ...] = ()
    on_connect: tuple[str, ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)
    warnings: Mapping[str, str] = field(default_factory=dict)
    remarks: Mapping[str, str] = field(default_factory=dict)
    version: str = ""
    tried: tuple[str, ...] = ()
    secrets: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
