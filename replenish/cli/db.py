"""`replenish db …`: the schema of the ledger, and of the bundled package."""

import click

from replenish.adapters.ledger import grants as ledger_grants
from replenish.adapters.ledger import migrations
from replenish.billing import schema
from replenish.billing.database import transaction
from replenish.cli import wiring
from replenish.cli.failures import ExitCode
from replenish.cli.output import json_option, print_json, print_table
from replenish.settings import Settings


@click.group()
def db() -> None:
    """The ledger's schema, and that of the bundled billing package.

    \b
    replenish db status
    replenish db upgrade
    """


@db.command("upgrade")
@json_option
def upgrade(*, as_json: bool) -> None:
    """Bring the schemas up to this release; safe to repeat and to run twice.

    Another billing package's tables are never touched.

    \b
    replenish db upgrade
    """
    app = wiring.application()
    migrations.upgrade(app.ledger_engine)
    if app.settings.billing_package == "bundled":
        schema.create(app.billing_engine)
    _print(app.settings, _ledger_row(), as_json=as_json)


@db.command("status")
@json_option
def status(*, as_json: bool) -> None:
    """Compare the schemas with this release; exits 1 when they do not fit.

    \b
    replenish db status
    """
    settings = wiring.settings()
    if not _print(settings, _ledger_row(), as_json=as_json):
        click.get_current_context().exit(ExitCode.BAD_ANSWER)


@db.command("grants")
@click.argument("role")
@json_option
def grants(role: str, *, as_json: bool) -> None:
    """Print what ROLE needs in the ledger to run everything but `db upgrade`.

    Run it as the schema's owner, after each upgrade; ROLE can then change rows, and
    neither tables nor what the journal says. What a billing package's database needs,
    `replenish check --grants` prints.

    \b
    replenish db grants replenish
    """
    statements = list(ledger_grants.statements(role))
    if as_json:
        print_json(statements)
        return
    for statement in statements:
        click.echo(f"{statement};")


def _print(
    settings: Settings, ledger: tuple[str, str, str, str], *, as_json: bool
) -> bool:
    rows = [ledger]
    if settings.billing_package == "bundled":
        rows.append(_billing_row())
    columns = ("schema", "is", "needs", "problem")
    if as_json:
        print_json([dict(zip(columns, row, strict=True)) for row in rows])
    else:
        print_table(columns, rows)
    return not any(problem for *_, problem in rows)


def _ledger_row() -> tuple[str, str, str, str]:
    found = migrations.status(wiring.application().ledger_engine)
    return "replenish", found.current or "-", found.head, found.problem or ""


def _billing_row() -> tuple[str, str, str, str]:
    with transaction(wiring.application().billing_engine) as connection:
        found = schema.version(connection)
    problem = schema.mismatch(found)
    return "billing", str(found or "-"), str(schema.VERSION), problem
