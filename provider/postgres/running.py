"""Run one migration file on a locked schema, as its owner.

A file runs in one transaction or, if its header has ``-- transactional: false``, statement by statement, each
committed separately. Such a file may be interrupted and is then run again, so ``migration_files`` accepts only
statements that can be repeated. An index that an interrupted CREATE INDEX CONCURRENTLY left INVALID is dropped before the next attempt.
"""

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TypeVar

import psycopg
from psycopg import errors, sql

from components.mapping.access import VERSION_TABLE
from provider.postgres.confinement import ForbiddenChangeError, confined, position_of, session_unchanged, text_of
from provider.postgres.evidence_check import snapshot
from provider.postgres.history import record
from provider.postgres.migration_files import Script
from provider.postgres.problems import MigrationError, MigrationProblem, error_text
from provider.postgres.run_lock import lock_holders
from provider.postgres.session import Connection, Limits, Log, as_owner, with_retries
from provider.postgres.statements import Statement
from provider.postgres.target import SchemaTarget

Result = TypeVar("Result")

# A table, another object, a function, a column or a schema exists already.
_EXISTS_ALREADY = {"42P07", "42710", "42723", "42701", "42P06"}


def in_transaction(
    connection: Connection, target: SchemaTarget, limits: Limits, log: Log, action: Callable[[], Result]
) -> Result:
    """Run ``action`` in one transaction as the owner, with retries."""

    def transaction() -> Result:
        with as_owner(connection, target, limits):
            return action()

    return with_retries(target.schema, transaction, limits, log)


def run_script(
    connection: Connection,
    target: SchemaTarget,
    script: Script,
    append_only: Collection[str],
    guard: Callable[[], object],
    limits: Limits,
    log: Log,
) -> None:
    """Run one file, call ``guard`` to protect its tables, and record the version.

    The file cannot leave the owner role. It is rolled back if it changes the columns or the protection of a table in
    ``append_only`` that existed before.

    Raises ``MigrationError`` with statement and line; the schema stays at the version before.
    """
    migration = script.migration
    current: Statement | None = None

    def transaction() -> None:
        nonlocal current
        with as_owner(connection, target, limits):
            before = snapshot(connection, target, append_only)
            if migration.transactional:
                with confined(connection, target) as confinement:
                    for current in script.statements:
                        before.require_no_row_changes(current)
                        confinement.execute(current.text)
                    current = None
            before.require_unchanged(connection)
            # In the same transaction, so that an append-only table never exists without its triggers.
            guard()
            record(connection, target, migration)

    try:
        if not migration.transactional:
            for current in script.statements:
                _run_outside_transaction(connection, target, script, current, limits, log)
        with_retries(str(migration.path), transaction, limits, log)
    except (psycopg.Error, ForbiddenChangeError, MigrationError) as error:
        raise _failure(connection, target, script, current, error) from None
    log(f"{target.schema}: applied {migration.path.name}")


def _run_outside_transaction(
    connection: Connection, target: SchemaTarget, script: Script, statement: Statement, limits: Limits, log: Log
) -> None:
    """Run one statement in autocommit mode; retry after a lock timeout or a deadlock."""
    # It blocks nobody while it waits for a lock, and creating an index on a large table takes a long time.
    long_limits = replace(limits, lock_timeout=limits.concurrent_lock_timeout, statement_timeout=0)
    index = statement.concurrent_index
    log(f"{target.schema}: {script.migration.path.name}: {statement.first_line}")

    def attempt() -> None:
        with _session_as_owner(connection, target, long_limits):
            if index is not None and index in invalid_indexes(connection, target.schema):
                log(f"{target.schema}: dropping index {index}, which an interrupted run left INVALID")
                name = sql.Identifier(target.schema, index)
                connection.execute(sql.SQL("DROP INDEX CONCURRENTLY IF EXISTS {}").format(name))
            with session_unchanged(connection):
                connection.execute(statement.text.encode())

    with_retries(str(script.migration.path), attempt, limits, log)


@contextmanager
def _session_as_owner(connection: Connection, target: SchemaTarget, limits: Limits) -> Iterator[None]:
    """Like ``as_owner``, for statements that cannot run in a transaction. Resets role and limits afterwards."""
    settings = {
        "role": target.owner,
        "search_path": "",
        "lock_timeout": str(limits.lock_timeout),
        "statement_timeout": str(limits.statement_timeout),
    }
    try:
        for name, value in settings.items():
            connection.execute("SELECT pg_catalog.set_config(%s, %s, false)", (name, value))
        yield
    finally:
        # A lost connection needs no reset, and the first error is the one to report.
        with suppress(psycopg.Error):
            for name in settings:
                connection.execute(sql.SQL("RESET {}").format(sql.Identifier(name)))


def invalid_indexes(connection: Connection, schema: str) -> list[str]:
    """Return INVALID indexes, sorted. Excludes indexes of partitioned tables: one may be waiting for its partitions."""
    rows = connection.execute(
        """SELECT c.relname FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
           JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
           WHERE n.nspname = %s AND NOT i.indisvalid AND c.relkind = 'i' ORDER BY 1""",
        (schema,),
    ).fetchall()
    return [str(row[0]) for row in rows]


def _failure(
    connection: Connection,
    target: SchemaTarget,
    script: Script,
    statement: Statement | None,
    error: psycopg.Error | ForbiddenChangeError | MigrationError,
) -> MigrationError:
    migration = script.migration
    line, message = None, str(error)
    if isinstance(error, psycopg.Error):
        message = error_text(error) if statement is None else text_of(error, statement.text)
    if statement is not None:
        position = position_of(error, statement.text) if isinstance(error, psycopg.Error) else None
        line = statement.line_at(position) if position else statement.line
        message += f" in `{statement.first_line}`"
    before = migration.version - 1
    state = f"{target.schema} stays at version {before:04}" if before else f"{target.schema} stays empty"
    if isinstance(error, errors.ActiveSqlTransaction):
        remedy = f"{state}: move it to its own file that begins with `-- transactional: false`"
    elif isinstance(error, psycopg.Error) and error.sqlstate in _EXISTS_ALREADY and before == 0:
        remedy = f"{state}: if its tables exist already, record them: make migrate-baseline SCHEMA={target.schema}"
    elif isinstance(error, ForbiddenChangeError):
        remedy = f"{state}: {error.remedy}"
    else:
        effects = "" if migration.transactional else _incomplete_effects(connection, target, script)
        cause = "correct the file"
        if isinstance(error, errors.LockNotAvailable):
            # Without another holder, the file waited for this run's own lock on ``schema_migrations``.
            cause = lock_holders(connection, target.schema) or f"remove what changes {VERSION_TABLE} from the file"
        remedy = f"{state}: {effects}{cause}; then run again"
    return MigrationError(MigrationProblem(str(migration.path), line, message, remedy))


def _incomplete_effects(connection: Connection, target: SchemaTarget, script: Script) -> str:
    """Describe what an interrupted non-transactional file left and what the next run does with it."""
    parts = ["earlier statements of the file are committed, and repeating them changes nothing; "]
    own_indexes = {statement.concurrent_index for statement in script.statements}
    # The connection may be lost.
    with suppress(psycopg.Error):
        for index in invalid_indexes(connection, target.schema):
            if index in own_indexes:
                parts.append(f"index {target.schema}.{index} is left INVALID; the next run drops it first; ")
            else:
                name = sql.Identifier(target.schema, index).as_string(connection)
                parts.append(f"index {name} is INVALID; drop it: DROP INDEX CONCURRENTLY {name}; ")
    return "".join(parts)
