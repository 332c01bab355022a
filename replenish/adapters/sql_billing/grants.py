"""The least that our role needs: columns to read, rows to add, two columns to change.

Whoever takes over our process can then read no password and change no price.
"""

from collections.abc import Iterator

from replenish.adapters.sql_billing.profile import Profile

DROP_IN = "replenish"  # the role's name, where none is given


def statements(profile: Profile, *, database: str, role: str) -> Iterator[str]:
    """Give the GRANT statements of a package, in its dialect.

    Args:
        profile: the package.
        database: its database (MySQL), or its schema (PostgreSQL).
        role: who we are there: `replenish`, or `'replenish'@'10.0.0.7'`.
    """
    for table, columns in profile.needs.items():
        rights = [f"SELECT ({', '.join(columns)})"]
        if table in profile.updates:
            rights.append(f"UPDATE ({', '.join(profile.updates[table])})")
        if table in profile.inserts:
            rights.append("INSERT")
        where = f"{_quoted(profile, database)}.{_quoted(profile, table)}"
        yield f"GRANT {', '.join(rights)} ON {where} TO {role}"
    for sequence in profile.sequences:
        where = f"{_quoted(profile, database)}.{_quoted(profile, sequence)}"
        yield f"GRANT USAGE ON SEQUENCE {where} TO {role}"


def _quoted(profile: Profile, name: str) -> str:
    mark = "`" if profile.dialect == "mysql" else '"'
    return f"{mark}{name}{mark}"
