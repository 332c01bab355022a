"""Alembic, configured in code; run by `replenish db upgrade`."""

from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from replenish.adapters.ledger.models import SCHEMA
from replenish.errors import ConfigurationError

VERSION_TABLE = "schema_version"


@dataclass(frozen=True, slots=True)
class SchemaStatus:
    """Which schema version stands and which this code was written for."""

    current: str | None
    head: str
    known: bool

    @property
    def problem(self) -> str | None:
        """Say what is wrong with the schema, or None."""
        if self.current == self.head:
            return None
        if self.current is None:
            return "The ledger's schema is missing; run `replenish db upgrade`."
        if self.known:
            return (
                f"The ledger's schema is at {self.current}, this code needs"
                f" {self.head}; run `replenish db upgrade`."
            )
        return (
            f"The ledger's schema is at {self.current}, which is newer than this"
            f" code ({self.head}); run the newer release, or restore a backup."
        )


def status(engine: sa.Engine) -> SchemaStatus:
    """Compare the database with this code; changes nothing."""
    scripts = ScriptDirectory.from_config(_config())
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection,
            opts={"version_table": VERSION_TABLE, "version_table_schema": SCHEMA},
        )
        current = context.get_current_revision()
    head = scripts.get_current_head() or ""
    revisions = {script.revision for script in scripts.walk_revisions()}
    return SchemaStatus(current, head, current in revisions)


def upgrade(engine: sa.Engine) -> SchemaStatus:
    """Bring the schema up to this code's version; safe to repeat and to race.

    Where it is, nothing is run: the workers' role, which may change no schema, may ask.

    Raises:
        ConfigurationError: the database is newer than this code.
    """
    found = status(engine)
    if found.current and not found.known:
        raise ConfigurationError(found.problem or "", subject="DATABASE_URL")
    if found.problem is None:
        return found
    with engine.begin() as connection:
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    return status(engine)


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.set_main_option("path_separator", "os")
    config.set_main_option("version_table", VERSION_TABLE)
    return config
