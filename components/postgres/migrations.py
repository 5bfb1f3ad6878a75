"""The migration runner: brings one schema to the newest version of ``sql/<schema>``.

``plan`` checks the files against what the database records and changes nothing; ``apply`` does it, as the owner, one
transaction a file, under the schema's lock. Nothing is applied when any check fails. No pulumi in here.
"""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TypeVar

import psycopg
from psycopg import errors, sql

from components.mapping.access import VERSION_TABLE
from components.postgres import append_only as append_only_tables
from components.postgres import public_access, row_security
from components.postgres.migration_files import Migration, Script, discover, render_all
from components.postgres.ownership import ownership_problems
from components.postgres.problems import MigrationError, Problem
from components.postgres.row_security import OFF, Isolation
from components.postgres.session import (
    Connection,
    Limits,
    Log,
    Target,
    as_owner,
    make_able_to_act_as,
    prepare_connection,
    retried,
    run_lock,
)
from components.postgres.statements import Statement

Result = TypeVar("Result")

_VERSION_COLUMNS = """(
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


@dataclass(frozen=True)
class Plan:
    """What the database has, and what is to be run, both by version."""

    applied: tuple[Applied, ...]
    pending: tuple[Script, ...]


def silent(_line: str) -> None:
    """A log that nobody reads."""


def read_applied(connection: Connection, target: Target) -> tuple[Applied, ...]:
    """The rows of ``schema_migrations`` by version; none where the table is not there yet. Changes nothing."""
    exists = connection.execute(
        """SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
           WHERE n.nspname = %s AND c.relname = %s""",
        (target.schema, VERSION_TABLE),
    ).fetchone()
    if exists is None:
        return ()
    table = sql.Identifier(target.schema, VERSION_TABLE)
    query = sql.SQL("SELECT version, description, applied_at, checksum FROM {} ORDER BY version").format(table)
    with as_owner(connection, target, read_only=True):
        rows = connection.execute(query).fetchall()
    return tuple(Applied(*row) for row in rows)


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
            what = f"it was edited after it was applied (recorded {_short(row.checksum)}, now {_short(migration.checksum)})"
            todo = "restore it from git and put the change into a new migration"
            problems.append(Problem(str(migration.path), None, what, todo))
        elif migration.description != row.description:
            what = f'it was applied as "{row.description}"'
            problems.append(Problem(str(migration.path), None, what, "give the file its old name back"))
    for version, migration in files.items():
        if version not in recorded and version < newest_applied:
            what = f"it is out of order: version {newest_applied:04} is applied already"
            todo = f"rename it to {newest_file + 1:04}_..."
            problems.append(Problem(str(migration.path), None, what, todo))
    return problems


def _short(checksum: str | None) -> str:
    return (checksum or "nothing")[:12]


def plan(connection: Connection, target: Target, directory: Path) -> Plan:
    """What ``apply`` would run. Changes nothing. Raises ``MigrationError`` with everything that speaks against it."""
    migrations = discover(directory)
    scripts = render_all(migrations, target.variables)
    applied = read_applied(connection, target)
    problems = compare(directory, migrations, applied)
    if problems:
        raise MigrationError(*problems)
    done = {row.version for row in applied}
    return Plan(applied, tuple(script for script in scripts if script.migration.version not in done))


def apply(
    connection: Connection,
    target: Target,
    directory: Path,
    append_only: Collection[str] = (),
    limits: Limits | None = None,
    log: Log = silent,
    isolation: Isolation = OFF,
) -> tuple[Applied, ...]:
    """Run what is pending, see to what guards the tables, and check who owns what. Returns what is applied now.

    ``append_only`` names tables of the schema, or patterns of run-time tables (``effective_finding_{policyId}``);
    ``isolation`` says how tenants are kept apart.
    Raises ``MigrationError``; the schema is then at the version before the failing file.
    """
    limits = limits or Limits()
    # First the files: what is wrong with them needs no server.
    render_all(discover(directory), target.variables)
    try:
        prepare_connection(connection)
        with run_lock(connection, target.schema, limits, log):
            return _run(connection, target, directory, append_only, limits, log, isolation)
    except psycopg.Error as error:
        raise MigrationError(Problem(target.schema, None, error_text(error), "mend that and run again")) from None


def _run(
    connection: Connection,
    target: Target,
    directory: Path,
    append_only: Collection[str],
    limits: Limits,
    log: Log,
    isolation: Isolation,
) -> tuple[Applied, ...]:
    """``apply`` with the lock held."""

    def guard(*, complete: bool = True) -> list[str]:
        done = append_only_tables.reconcile(connection, target, append_only, complete=complete)
        return [
            *done,
            *row_security.reconcile(connection, target, isolation),
            *public_access.reconcile(connection, target),
        ]

    make_able_to_act_as(connection, target.owner, log)
    _require_schema(connection, target)
    pending = plan(connection, target, directory).pending
    _in_transaction(connection, target, limits, log, lambda: _create_version_table(connection, target))
    for script in pending:
        _apply_script(connection, target, script, lambda: guard(complete=False), limits, log)
    done = _in_transaction(connection, target, limits, log, guard)
    for line in done:
        log(line)
    problems = ownership_problems(connection, target)
    if problems:
        raise MigrationError(*problems)
    return read_applied(connection, target)


def _require_schema(connection: Connection, target: Target) -> None:
    query = "SELECT FROM pg_catalog.pg_namespace WHERE nspname = %s"
    if connection.execute(query, (target.schema,)).fetchone() is None:
        raise MigrationError(Problem(target.schema, None, "the schema does not exist", "create it before its tables"))


def _in_transaction(
    connection: Connection, target: Target, limits: Limits, log: Log, action: Callable[[], Result]
) -> Result:
    """``action`` in one transaction as the owner."""

    def transaction() -> Result:
        with as_owner(connection, target, limits):
            return action()

    return retried(target.schema, transaction, limits, log)


def _create_version_table(connection: Connection, target: Target) -> None:
    table = sql.Identifier(target.schema, VERSION_TABLE)
    # Not IF NOT EXISTS: that would ask for CREATE on the schema, and warn, at every run.
    found = "SELECT FROM pg_catalog.pg_class WHERE oid = pg_catalog.to_regclass(%s)"
    if connection.execute(found, (table.as_string(connection),)).fetchone() is not None:
        return
    connection.execute(sql.SQL("CREATE TABLE {} {}").format(table, sql.SQL(_VERSION_COLUMNS)))
    comment = sql.Literal("Migrations applied to this schema; the migration runner writes it.")
    connection.execute(sql.SQL("COMMENT ON TABLE {} IS {}").format(table, comment))


def _apply_script(
    connection: Connection, target: Target, script: Script, guard: Callable[[], object], limits: Limits, log: Log
) -> None:
    """One file in one transaction, with what guards its tables and its row in ``schema_migrations``."""
    migration = script.migration
    current: Statement | None = None

    def transaction() -> None:
        nonlocal current
        with as_owner(connection, target, limits):
            for current in script.statements:
                connection.execute(current.text.encode())
            current = None
            # In the same transaction: an append-only table is never seen without its triggers.
            guard()
            insert = sql.SQL(
                "INSERT INTO {} (version, description, applied_at, checksum) VALUES (%s, %s, pg_catalog.now(), %s)"
            ).format(sql.Identifier(target.schema, VERSION_TABLE))
            connection.execute(insert, (migration.version, migration.description, migration.checksum))

    try:
        retried(str(migration.path), transaction, limits, log)
    except (psycopg.Error, MigrationError) as error:
        raise _failure(target, script, current, error) from None
    log(f"{target.schema}: applied {migration.path.name}")


def _failure(
    target: Target, script: Script, statement: Statement | None, error: psycopg.Error | MigrationError
) -> MigrationError:
    migration = script.migration
    line, what = None, str(error)
    if isinstance(error, psycopg.Error):
        what = error_text(error)
    if statement is not None:
        position = error.diag.statement_position if isinstance(error, psycopg.Error) else None
        line = statement.line_at(int(position)) if position else statement.line
        what += f" in `{statement.first_line}`"
    before = migration.version - 1
    state = f"{target.schema} stays at version {before:04}" if before else f"{target.schema} stays empty"
    return MigrationError(Problem(str(migration.path), line, what, f"{state}: mend the file and run again"))


def error_text(error: psycopg.Error) -> str:
    """What the server, or the client library, says, in one line."""
    diag = error.diag
    if diag.message_primary is None:
        return " ".join(str(error).split())
    parts = [diag.message_primary]
    parts += [
        f"{label}: {text}" for label, text in (("detail", diag.message_detail), ("hint", diag.message_hint)) if text
    ]
    if diag.context:
        parts.append(f"at: {diag.context}")
    if isinstance(error, errors.LockNotAvailable):
        parts.append("somebody else holds the table; see pg_locks and pg_stat_activity")
    return " ".join("; ".join(parts).split())
