"""What `replenish check` says about somebody else's database before we charge."""

from collections.abc import Iterator, Mapping

import sqlalchemy as sa

from replenish.adapters.sql_billing import rights, server
from replenish.adapters.sql_billing.profile import Profile


def problems(
    connection: sa.Connection, profile: Profile, *, currency: str
) -> Iterator[str]:
    """Give a sentence for each thing that is wrong or dangerous."""
    ours = rights.read(connection, profile)
    unread = list(rights.unread(profile, ours))
    yield from unread
    if unread:
        return  # what follows would ask for them
    yield from rights.unwritten(profile, ours)
    yield from rights.unnumbered(connection, profile)
    about = server.read(connection)
    yield from server.faults(about)
    if profile.credit.pending is None:
        written = _written(profile)
        yield from server.without_transactions(about, written, name=profile.name)
    yield from _found(connection, profile.warnings, currency)


def remarks(
    connection: sa.Connection, profile: Profile, *, currency: str
) -> Iterator[str]:
    """Give a sentence for each thing that is worth knowing and no fault."""
    version = _version(connection, profile)
    about = server.told(server.read(connection), _written(profile))
    yield f"{profile.name} {version or '(it keeps no version)'} on {about}."
    if version and not version.startswith(profile.tried):
        yield (
            f"{profile.name} says it is {version}, and this release was tried with"
            f" {', '.join(profile.tried)}; try it on a copy first."
        )
    yield from rights.too_wide(profile, rights.read(connection, profile))
    yield from _found(connection, profile.remarks, currency)


def _version(connection: sa.Connection, profile: Profile) -> str:
    if not profile.version:
        return ""
    return str(connection.execute(sa.text(profile.version)).scalar() or "")


def _found(
    connection: sa.Connection, told: Mapping[str, str], currency: str
) -> Iterator[str]:
    for query, sentence in told.items():
        values = {"currency": currency}
        row = connection.execute(sa.text(query), values).mappings().first()
        if row is not None:
            yield sentence.format(**row)


def _written(profile: Profile) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*profile.updates, *profile.inserts)))
