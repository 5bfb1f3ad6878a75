"""Running one migration file on a locked schema, as its owner.

In one transaction; or, where its header says ``-- transactional: false``, statement by statement, each committed by
itself. Such a statement can be interrupted and must be able to run again, so ``migration_files`` lets only those in
that can; an index that an interrupted CREATE INDEX CONCURRENTLY left INVALID is dropped before the next try.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TypeVar

import psycopg
from psycopg import errors, sql

from provider.postgres.history import record
from provider.postgres.migration_files import Script
from provider.postgres.problems import MigrationError, MigrationProblem, error_text
from provider.postgres.session import Connection, Limits, Log, as_owner, retried
from provider.postgres.statements import Statement
from provider.postgres.target import SchemaTarget

Result = TypeVar("Result")


def in_transaction(
    connection: Connection, target: SchemaTarget, limits: Limits, log: Log, action: Callable[[], Result]
) -> Result:
    """``action`` in one transaction as the owner."""

    def transaction() -> Result:
        with as_owner(connection, target, limits):
            return action()

    return retried(target.schema, transaction, limits, log)


def run_script(
    connection: Connection, target: SchemaTarget, script: Script, guard: Callable[[], object], limits: Limits, log: Log
) -> None:
    """One file, with what ``guard`` does for its tables and its row in ``schema_migrations``.

    Raises ``MigrationError`` naming statement and line; the schema stays at the version before.
    """
    migration = script.migration
    current: Statement | None = None

    def transaction() -> None:
        nonlocal current
        with as_owner(connection, target, limits):
            if migration.transactional:
                for current in script.statements:
                    connection.execute(current.text.encode())
            current = None
            # In the same transaction: an append-only table is never seen without its triggers.
            guard()
            record(connection, target, migration)

    try:
        if not migration.transactional:
            for current in script.statements:
                _run_alone(connection, target, script, current, limits, log)
        retried(str(migration.path), transaction, limits, log)
    except (psycopg.Error, MigrationError) as error:
        raise _failure(connection, target, script, current, error) from None
    log(f"{target.schema}: applied {migration.path.name}")


def _run_alone(
    connection: Connection, target: SchemaTarget, script: Script, statement: Statement, limits: Limits, log: Log
) -> None:
    """One statement in autocommit mode, again after a lock timeout or a deadlock."""
    # It blocks nobody while it waits, so it may wait longer; and an index of a large table takes its time.
    patient = replace(limits, lock_timeout=limits.concurrent_lock_timeout, statement_timeout=0)
    index = statement.concurrent_index
    log(f"{target.schema}: {script.migration.path.name}: {statement.first_line}")

    def attempt() -> None:
        with _session_as_owner(connection, target, patient):
            if index is not None and index in invalid_indexes(connection, target.schema):
                log(f"{target.schema}: dropping index {index}, which an interrupted run left INVALID")
                name = sql.Identifier(target.schema, index)
                connection.execute(sql.SQL("DROP INDEX CONCURRENTLY IF EXISTS {}").format(name))
            connection.execute(statement.text.encode())

    retried(str(script.migration.path), attempt, limits, log)


@contextmanager
def _session_as_owner(connection: Connection, target: SchemaTarget, limits: Limits) -> Iterator[None]:
    """As ``as_owner``, for statements that refuse a transaction; the session is itself again afterwards."""
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
        # On a connection that is gone there is nothing to put back; the first error is the one to report.
        with suppress(psycopg.Error):
            for name in settings:
                connection.execute(sql.SQL("RESET {}").format(sql.Identifier(name)))


def invalid_indexes(connection: Connection, schema: str) -> list[str]:
    """Indexes that PostgreSQL keeps up and never uses, sorted. Those of a partitioned table may wait for partitions."""
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
    error: psycopg.Error | MigrationError,
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
    if isinstance(error, errors.ActiveSqlTransaction):
        todo = f"{state}: put it into a file of its own that begins with `-- transactional: false`"
    elif isinstance(error, errors.DuplicateTable) and before == 0:
        todo = f"{state}: if its tables are there already, record that: make migrate-baseline SCHEMA={target.schema}"
    elif migration.transactional:
        todo = f"{state}: mend the file and run again"
    else:
        todo = f"{state}; {_left_behind(connection, target, script)}mend what stopped it and run again"
    return MigrationError(MigrationProblem(str(migration.path), line, what, todo))


def _left_behind(connection: Connection, target: SchemaTarget, script: Script) -> str:
    """What a file that is no transaction leaves when it stops half-way, and what becomes of it."""
    parts = ["statements before this one stay done and are repeated without effect; "]
    ours = {statement.concurrent_index for statement in script.statements}
    # The connection may be what failed.
    with suppress(psycopg.Error):
        for index in invalid_indexes(connection, target.schema):
            if index in ours:
                parts.append(f"index {target.schema}.{index} is left INVALID, the next run drops it first; ")
            else:
                name = sql.Identifier(target.schema, index).as_string(connection)
                parts.append(f"index {name} is INVALID, drop it: DROP INDEX CONCURRENTLY {name}; ")
    return "".join(parts)
