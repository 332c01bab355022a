"""The order of the demonstration, from an empty folder to the checked end."""

import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from shutil import which

from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from replenish import bootstrap
from replenish.bootstrap import Application
from replenish.demo import installation, operator
from replenish.demo.fleet import Fleet
from replenish.demo.installation import GATEWAY_LEDGER
from replenish.demo.operator import PREPAID, REAL_TIME, STORIES, Customer
from replenish.demo.switch import Switch
from replenish.demo.traffic import Traffic
from replenish.demo.watch import Watch
from replenish.domain.story import tell
from replenish.settings import Settings
from replenish.verify import Report, run, sources

HOME = Path(".replenish/demo")
SETTLING = 30.0  # seconds at most for what is under way to end
A_FEW_SWEEPS = timedelta(seconds=3)  # hot ones, that find nothing to do any more
CASH = Decimal(40)  # USD that somebody without a card pays at the counter
STORY = 14  # events of one account that are told at the end
REFRESH = 0.5  # seconds between two looks at the rows


@dataclass(frozen=True)
class Plan:
    """What was asked for.

    Attributes:
        seconds: how long calls are played.
        accounts: about how many.
        turns: calls a second, about.
        keep: stay up afterwards, until Ctrl-C.
        package: whose tables calls and credits are written to.
    """

    seconds: float = 40.0
    accounts: int = 200
    turns: float = 45.0
    keep: bool = False
    package: str = bootstrap.BUNDLED
    home: Path = HOME


def show(plan: Plan, console: Console) -> Report:
    """Run the demonstration; everything it started is gone when this returns.

    Raises:
        BadInput: another one is running in this folder.
        BillingUnavailable: the package's database server is not installed.
        ConfigurationError: something is missing or did not start; says what.
    """
    installation.need(plan.package)
    with _interruptible(), installation.alone(plan.home), ExitStack() as ends:
        begun = time.monotonic()
        with console.status("Starting the servers ..."):
            settings, theirs = installation.servers(plan.home, plan.package)
            fleet = ends.enter_context(
                Fleet(installation.environment(settings), plan.home / "logs")
            )
            app = installation.services(settings, fleet)
            switch = installation.switch(app, theirs, ends)
        customers = _customers(app, switch, plan, console)
        installation.start_workers(fleet, settings)
        installation.wait_for_sweeps(app, fleet)
        console.print(
            f"Ready after {time.monotonic() - begun:.0f} s, on the billing package"
            f" {plan.package}. Flower, to look inside:"
            f" http://127.0.0.1:{settings.flower_port}/tasks"
        )
        traffic = Traffic(app, switch, customers, plan.turns)
        return _play(app, traffic, fleet, plan, console)


def _play(
    app: Application, traffic: Traffic, fleet: Fleet, plan: Plan, console: Console
) -> Report:
    watch = Watch(app, traffic.customers, traffic)
    traffic.start()
    try:
        mended = _watch_calls(watch, fleet, plan, console)
    finally:
        traffic.stop()
    mended = mended or _mend_one(app, watch)
    _settle(watch, fleet, console)
    report = _check(app, traffic, plan)
    _tell(watch, report, mended, console)
    if plan.keep:
        installation.start_beat(fleet)
        installation.start_guard(fleet)
        _stay(app.settings, fleet, console)
    else:
        console.print("Look around while it runs: make demo KEEP=1, then Flower's")
        console.print("address above, replenish report, replenish account list.")
    return report


def _check(app: Application, traffic: Traffic, plan: Plan) -> Report:
    read = sources.reader(
        bootstrap.profile_of(app.settings), currency=app.settings.billing_currency
    )
    return run(
        app.ledger_engine,
        app.billing_engine,
        read=lambda engine: traffic.added_up(read(engine)),
        gateway_ledger=plan.home / GATEWAY_LEDGER,
        defaults=app.defaults,
        quiet=True,
    )


def _watch_calls(
    watch: Watch, fleet: Fleet, plan: Plan, console: Console
) -> Customer | None:
    """Show what happens while calls are played; mend a card on the way."""
    begun = time.monotonic()
    mended: Customer | None = None
    with _screen(console) as draw:
        while (elapsed := time.monotonic() - begun) < plan.seconds:
            fleet.check()
            draw(watch, elapsed)
            if elapsed > plan.seconds * 0.6:
                mended = mended or _mend_one(watch.app, watch)
                _pay_one(watch)
            time.sleep(REFRESH)
    return mended


def _mend_one(app: Application, watch: Watch) -> Customer | None:
    """Have one customer who was cut off for a dead card bring a good one."""
    standing = set(app.services.cut_offs.standing(after="", limit=1000))
    for customer in watch.customers:
        if customer.account in standing and customer.story.expected == "card_dead":
            operator.new_card(app, customer)
            return customer
    return None


def _pay_one(watch: Watch) -> None:
    """Have one customer who was cut off without a card pay at the counter."""
    if watch.traffic.paid:
        return
    standing = set(watch.app.services.cut_offs.standing(after="", limit=1000))
    for customer in watch.customers:
        if customer.account in standing and customer.story.card is None:
            watch.traffic.pay(customer.account, CASH)
            return


def _settle(watch: Watch, fleet: Fleet, console: Console) -> None:
    """Wait until nothing is under way, and everybody's last state is known.

    Who is low after the last answer is for the full sweep to find again, where the
    package itself does not know who is low. Then beat ends, so that no card whose time
    comes just then is tried while the books are compared.
    """
    console.print("Calls have ended; letting everything settle ...")
    quiet_since = watch.app.clock()
    end = time.monotonic() + SETTLING
    while time.monotonic() < end:
        fleet.check()
        now = watch.app.clock()
        if not watch.quiet():
            quiet_since = now
        if now - quiet_since > A_FEW_SWEEPS and installation.swept(
            watch.app, installation.FULL_SWEEP, since=quiet_since
        ):
            break
        time.sleep(REFRESH)
    fleet.end(installation.BEAT)
    _await_quiet(watch)
    watch.counts()


def _await_quiet(watch: Watch) -> None:
    """Wait until what beat had sent is done, and a moment longer."""
    end = time.monotonic() + SETTLING
    quiet_since: float | None = None
    while time.monotonic() < end:
        now = time.monotonic()
        quiet_since = (quiet_since or now) if watch.quiet() else None
        if quiet_since and now - quiet_since > 1:
            return
        time.sleep(REFRESH)


def _tell(
    watch: Watch, report: Report, mended: Customer | None, console: Console
) -> None:
    counts = watch.counts()
    console.print()
    console.print(
        f"{watch.traffic.calls} calls cost their callers {watch.traffic.cost} USD."
        f" {counts['settled']} charges brought {counts['amount']:.2f} USD;"
        f" {counts['declined']} were declined."
    )
    kinds = watch.replenished()
    console.print(
        f"{kinds[PREPAID]} prepaid and {kinds[REAL_TIME]} real-time paid accounts were"
        " replenished."
    )
    console.print(f"From low to credited: {watch.delay_words()}.")
    console.print(
        f"{counts['cut_off']} cut-offs, {counts['restored']} restored;"
        f" {watch.traffic.refused} calls were refused."
    )
    console.print(f"{watch.traffic.failed} of the package's own statements failed.")
    for story, reasons in sorted(
        watch.cut_by_story().items(), key=lambda item: STORIES.index(item[0])
    ):
        console.print(f"  {story.name}: cut off for {', '.join(sorted(reasons))}")
    for account, amount in watch.traffic.paid.items():
        console.print(f"Account {account} (no card) paid {amount} USD at the counter.")
    if mended:
        console.print(
            f"Account {mended.account} ({mended.story.name}) was given a new card on"
            " the way. Its story:"
        )
        _tell_story(watch.app, mended, console)
    console.print()
    console.print(report.table())


def _tell_story(app: Application, customer: Customer, console: Console) -> None:
    """Tell the end of its history; what is told twice at once is told once."""
    cards = app.reading.card_faces(customer.account)
    events = app.reading.history(customer.account)[-STORY:]
    lines = [f"  {each.at:%H:%M:%S}  {tell(each, cards=cards)}" for each in events]
    for line in dict.fromkeys(lines):
        console.print(line, highlight=False)


def _stay(settings: Settings, fleet: Fleet, console: Console) -> None:
    """Stay up until Ctrl-C, which is the ordinary end of it."""
    shell = installation.write_down(settings)
    ledger = shell.with_name(GATEWAY_LEDGER)
    replenish = which("replenish") or Path(sys.executable).with_name("replenish")
    console.print("Everything stays up until Ctrl-C. In another terminal, from here:")
    for line in (
        f". {shell}",
        *(f"{replenish} {each}" for each in ("check", "report", "account list")),
        f"{replenish} verify --during --gateway-ledger {ledger}",
    ):
        console.print(f"  {line}", soft_wrap=True, highlight=False)
    with suppress(KeyboardInterrupt):
        while True:
            fleet.check()
            time.sleep(1)


def _customers(
    app: Application, switch: Switch, plan: Plan, console: Console
) -> Sequence[Customer]:
    columns = (TextColumn("Customers sign up"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=plan.accounts)
        return operator.open_shop(
            app,
            switch,
            accounts=plan.accounts,
            progress=lambda done: bar.update(task, completed=done),
        )


@contextmanager
def _screen(console: Console) -> Iterator[Callable[[Watch, float], None]]:
    """Draw in place on a terminal; elsewhere print a line every few seconds."""
    if console.is_terminal:
        with Live(console=console, refresh_per_second=4, transient=True) as live:
            yield lambda watch, elapsed: live.update(watch.screen(elapsed))
        return
    told = 0.0

    def print_line(watch: Watch, elapsed: float) -> None:
        nonlocal told
        if elapsed >= told:
            console.print(watch.line(elapsed))
            told = elapsed + 5

    yield print_line


@contextmanager
def _interruptible() -> Iterator[None]:
    """End as on Ctrl-C when somebody sends SIGTERM."""

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
