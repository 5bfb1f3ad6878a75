"""``schema_migrations``: which migrations a schema's database records, and whether the files continue them."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from psycopg import sql

from components.mapping.access import VERSION_TABLE
from provider.postgres.migration_files import Migration
from provider.postgres.problems import Problem
from provider.postgres.session import Connection, Target, as_owner

_COLUMNS = """(
  version INTEGER PRIMARY KEY,
  description TEXT,
  applied_at TIMESTAMPTZ,
  checksum VARCHAR(64)
)"""


@dataclass(frozen=True)
class Applied:
    """A row of ``schema_migrations``."""

    version: int
    description: str | None
    applied_at: datetime | None
    checksum: str | None

    @property
    def label(self) -> str:
        """As ``Migration.label`` shows the file that it came from."""
        words = (self.description or "").replace(" ", "_")
        return f"{self.version:04}_{words}.sql.j2 sha256:{self.checksum}"


def has_schema(connection: Connection, schema: str) -> bool:
    query = "SELECT FROM pg_catalog.pg_namespace WHERE nspname = %s"
    return connection.execute(query, (schema,)).fetchone() is not None


def version_table_owner(connection: Connection, schema: str) -> str | None:
    """Who owns the schema's ``schema_migrations``; None where it is not there."""
    row = connection.execute(
        """SELECT pg_catalog.pg_get_userbyid(c.relowner) FROM pg_catalog.pg_class c
           JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = %s AND c.relname = %s""",
        (schema, VERSION_TABLE),
    ).fetchone()
    return str(row[0]) if row else None


def read_applied(connection: Connection, target: Target) -> tuple[Applied, ...]:
    """The rows of ``schema_migrations`` by version; none where the table is not there yet. Changes nothing."""
    if version_table_owner(connection, target.schema) is None:
        return ()
    table = sql.Identifier(target.schema, VERSION_TABLE)
    query = sql.SQL("SELECT version, description, applied_at, checksum FROM {} ORDER BY version").format(table)
    with as_owner(connection, target, read_only=True):
        rows = connection.execute(query).fetchall()
    return tuple(Applied(*row) for row in rows)


def create_version_table(connection: Connection, target: Target) -> None:
    """Call it in a transaction as the owner. Does nothing where the table exists."""
    # Not IF NOT EXISTS: that would ask for CREATE on the schema, and warn, at every run.
    if version_table_owner(connection, target.schema) is not None:
        return
    table = sql.Identifier(target.schema, VERSION_TABLE)
    connection.execute(sql.SQL("CREATE TABLE {} {}").format(table, sql.SQL(_COLUMNS)))
    comment = sql.Literal("Migrations applied to this schema; the migration runner writes it.")
    connection.execute(sql.SQL("COMMENT ON TABLE {} IS {}").format(table, comment))


def record(connection: Connection, target: Target, migration: Migration) -> None:
    """Add the migration's row; call it in a transaction as the owner."""
    insert = sql.SQL(
        "INSERT INTO {} (version, description, applied_at, checksum) VALUES (%s, %s, pg_catalog.now(), %s)"
    ).format(sql.Identifier(target.schema, VERSION_TABLE))
    connection.execute(insert, (migration.version, migration.description, migration.checksum))


def compare(directory: Path, migrations: Iterable[Migration], applied: Iterable[Applied]) -> list[Problem]:
    """Why these files do not continue what was applied: edited, renamed, missing, unknown and out of order."""
    files = {migration.version: migration for migration in migrations}
    recorded = {row.version: row for row in applied}
    newest_file, newest_applied = max(files, default=0), max(recorded, default=0)
    problems = []
    for version, row in recorded.items():
        migration = files.get(version)
        if migration is None and version > newest_file:
            what = f"the database is at version {newest_applied:04} and has {row.label.split()[0]}, unknown here"
            problems.append(Problem(str(directory), None, what, "use the newer release that has this file"))
        elif migration is None:
            what = "it is recorded as applied, but the file is missing"
            problems.append(Problem(str(directory / row.label.split()[0]), None, what, "restore it from git"))
        elif migration.checksum != row.checksum:
            now = f"recorded {short(row.checksum)}, now {short(migration.checksum)}"
            what = f"it was edited after it was applied ({now})"
            todo = (
                "restore it from git and put the change into a new migration; only if the database has the change "
                "already, accept it with repair"
            )
            problems.append(Problem(str(migration.path), None, what, todo))
        elif migration.description != row.description:
            what = f'it was applied as "{row.description}"'
            todo = "give the file its old name back, or accept the new one with repair"
            problems.append(Problem(str(migration.path), None, what, todo))
    for version, migration in files.items():
        if version not in recorded and version < newest_applied:
            what = f"it is out of order: version {newest_applied:04} is applied already"
            todo = f"rename it to {newest_file + 1:04}_..."
            problems.append(Problem(str(migration.path), None, what, todo))
    return problems


def short(checksum: str | None) -> str:
    """A checksum as messages show it."""
    return (checksum or "nothing")[:12]
