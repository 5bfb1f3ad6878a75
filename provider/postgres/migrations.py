"""The migration runner: brings one schema to the newest version of ``sql/<schema>``.

``plan`` compares the files with the applied migrations; ``verify`` compares everything; both change nothing. ``apply``
runs the pending files as the owner, under the schema's lock, and runs none if a check fails. Does not import pulumi.
``running`` runs one file; ``adoption`` is for databases with existing tables.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psycopg

from components.mapping.access import VERSION_TABLE
from provider.postgres import guards, tables
from provider.postgres.applied import Applied, compare
from provider.postgres.declared_tables import read_tables
from provider.postgres.history import has_schema, read_applied
from provider.postgres.migration_files import Script, discover, render_all
from provider.postgres.ownership import foreign_objects, ownership_problems
from provider.postgres.problems import MigrationError, MigrationProblem, error_text
from provider.postgres.row_security import OFF, Isolation
from provider.postgres.run_lock import lock_holders, run_lock
from provider.postgres.running import in_transaction, invalid_indexes, run_script
from provider.postgres.session import (
    Connection,
    Limits,
    Log,
    ensure_may_act_as,
    may_act_as,
    prepare_connection,
)
from provider.postgres.tables import MappedTables
from provider.postgres.target import SchemaTarget


@dataclass(frozen=True)
class MigrationPlan:
    """Applied migrations and pending scripts, both by version."""

    applied: tuple[Applied, ...]
    pending: tuple[Script, ...]


def silent(_line: str) -> None:
    """Discard a log line."""


def plan(connection: Connection, target: SchemaTarget, directory: Path) -> MigrationPlan:
    """Return what ``apply`` would run. Changes nothing. Raises ``MigrationError`` with all reasons to refuse."""
    migrations = discover(directory)
    applied = read_applied(connection, target)
    problems = compare(directory, migrations, applied)
    if problems:
        raise MigrationError(*problems)
    versions = {row.version for row in applied}
    pending = [migration for migration in migrations if migration.version not in versions]
    return MigrationPlan(applied, tuple(render_all(pending, target.variables)))


def verify(
    connection: Connection,
    target: SchemaTarget,
    directory: Path,
    mapped: MappedTables,
    append_only: Collection[str] = (),
    isolation: Isolation = OFF,
) -> list[MigrationProblem]:
    """Return every difference of the schema from the files and the mapping. Changes nothing.

    ``mapped`` are the tables of the mapping. Raises ``MigrationError`` if the schema cannot be read.
    """
    schema = target.schema
    prepare_connection(connection)
    require_schema(connection, target)
    require_owner(connection, target)
    problems: list[MigrationProblem] = []
    try:
        planned = plan(connection, target, directory)
        pending = planned.pending
        problems += [
            MigrationProblem(str(script.migration.path), None, "it is not applied yet", "apply it")
            for script in pending
        ]
        problems += tables.catalog_problems(connection, mapped, _changed_by(planned, target, directory))
    except MigrationError as error:
        problems += error.problems
    problems += [
        MigrationProblem(schema, None, sentence, "run apply to correct it")
        for sentence in guards.drift(connection, target, append_only, isolation)
    ]
    problems += ownership_problems(connection, target)
    for index in invalid_indexes(connection, schema):
        message = f"index {index} is INVALID: PostgreSQL maintains it but never uses it"
        remedy = "drop it with DROP INDEX CONCURRENTLY, or run again the migration that creates it"
        problems.append(MigrationProblem(schema, None, message, remedy))
    return problems


def _changed_by(planned: MigrationPlan, target: SchemaTarget, directory: Path) -> set[str]:
    """Return the tables that the pending migrations create, change or drop."""
    scripts = render_all(discover(directory), target.variables)
    applied = scripts[: len(scripts) - len(planned.pending)]
    before, after = (read_tables(part, target.schema).columns for part in (applied, scripts))
    return {table for table in before.keys() | after.keys() if before.get(table) != after.get(table)}


def apply(
    connection: Connection,
    target: SchemaTarget,
    directory: Path,
    append_only: Collection[str] = (),
    limits: Limits | None = None,
    log: Log = silent,
    isolation: Isolation = OFF,
    mapped: MappedTables | None = None,
) -> tuple[Applied, ...]:
    """Run pending migrations, reconcile ``guards`` and check ownership. Return all applied migrations.

    ``append_only`` lists tables of the schema, or patterns of run-time tables (``effective_finding_{policyId}``);
    ``isolation`` defines tenant isolation. With ``mapped``, the last file is rolled back if the tables then differ from
    the mapping. Raises ``MigrationError``; the schema then stays at the version before the failing file.
    """
    limits = limits or Limits()
    # Check the files first: that needs no server.
    discover(directory)
    with locked_schema(connection, target, limits, log):
        return _run(connection, target, directory, append_only, limits, log, isolation, mapped)


@contextmanager
def locked_schema(connection: Connection, target: SchemaTarget, limits: Limits, log: Log) -> Iterator[None]:
    """Hold the schema's lock and ensure that the session may act as its owner. Raises ``MigrationError`` for any error."""
    try:
        prepare_connection(connection)
        ensure_may_act_as(connection, target.owner, log)
        require_schema(connection, target)
        require_own_history(connection, target)
        with run_lock(connection, target, limits, log):
            yield
    except psycopg.Error as error:
        remedy = "correct that and run again"
        if isinstance(error, psycopg.errors.LockNotAvailable):
            holders = lock_holders(connection, target.schema)
            remedy = f"{holders}; then run again" if holders else "run again"
        raise MigrationError(MigrationProblem(target.schema, None, error_text(error), remedy)) from None


def _run(
    connection: Connection,
    target: SchemaTarget,
    directory: Path,
    append_only: Collection[str],
    limits: Limits,
    log: Log,
    isolation: Isolation,
    mapped: MappedTables | None,
) -> tuple[Applied, ...]:
    """Do the work of ``apply``, with the lock held."""
    pending = plan(connection, target, directory).pending

    def protect(*, complete: bool) -> list[str]:
        changes = guards.reconcile(connection, target, append_only, isolation, complete=complete)
        if complete and mapped:
            tables.require(connection, mapped)
        return changes

    for script in pending:
        is_last = script is pending[-1]
        run_script(connection, target, script, append_only, partial(protect, complete=is_last), limits, log)
    changes = in_transaction(connection, target, limits, log, partial(protect, complete=True))
    for line in changes:
        log(line)
    problems = ownership_problems(connection, target)
    if problems:
        raise MigrationError(*problems)
    return read_applied(connection, target)


def require_schema(connection: Connection, target: SchemaTarget) -> None:
    """Raise ``MigrationError`` if the schema does not exist."""
    if not has_schema(connection, target.schema):
        raise MigrationError(
            MigrationProblem(target.schema, None, "the schema does not exist", "create it before its tables")
        )


def require_own_history(connection: Connection, target: SchemaTarget) -> None:
    """Raise ``MigrationError`` with the remedy if the owner role cannot use ``schema_migrations``, because the table or
    the schema belongs to another role."""
    history = f"table {target.schema}.{VERSION_TABLE}"
    if any(item.name in (history, f"schema {target.schema}") for item in foreign_objects(connection, target)):
        raise MigrationError(*ownership_problems(connection, target))


def require_owner(connection: Connection, target: SchemaTarget) -> None:
    """Raise ``MigrationError`` if the session may not act as the owner. Unlike ``ensure_may_act_as``, grant nothing."""
    if not may_act_as(connection, target.owner):
        admin = connection.info.user
        message = f"{admin} may not act as this role"
        remedy = f"run apply, which grants it, or: GRANT {target.owner} TO {admin} WITH INHERIT FALSE, SET TRUE"
        raise MigrationError(MigrationProblem(f"role {target.owner}", None, message, remedy))
