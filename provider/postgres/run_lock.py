"""The lock of a schema's migrations: a lock on its ``schema_migrations``, which only the schema's owner role may take.

Any login may take an advisory lock, and so could block every run. A lock on a table ends with its transaction, so a
second connection holds it. It has no snapshot while it is idle, so CREATE INDEX CONCURRENTLY does not wait for it.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg
from psycopg import errors, sql

from components.mapping.access import VERSION_TABLE
from provider.postgres.history import create_version_table
from provider.postgres.problems import MigrationError, MigrationProblem
from provider.postgres.session import Connection, Limits, Log
from provider.postgres.target import SchemaTarget

# Two runs exclude each other; reading and writing the table, and so recording a migration, is allowed.
_MODE = "SHARE UPDATE EXCLUSIVE"
_POLL_SECONDS = 0.2
# Timeouts that would end the idle transaction; older servers lack the last one.
_TIMEOUTS = ["idle_in_transaction_session_timeout", "idle_session_timeout", "transaction_timeout"]


@contextmanager
def run_lock(connection: Connection, target: SchemaTarget, limits: Limits, log: Log) -> Iterator[None]:
    """Hold the lock inside the block. Creates ``schema_migrations`` if it does not exist, and drops it again if nothing is
    recorded in it.

    Raises ``MigrationError``, which names the holder, on timeout.
    """
    with psycopg.connect(connection.info.dsn, password=connection.info.password, autocommit=True) as holder:
        holder.execute(
            "SELECT pg_catalog.set_config(name, '0', false) FROM pg_catalog.pg_settings WHERE name = ANY (%s)",
            (_TIMEOUTS,),
        )
        holder.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(target.owner)))
        created = _acquire(holder, target, limits, log)
        try:
            yield
        finally:
            # A lost connection has released the lock, and the first error is the one to report.
            with suppress(psycopg.Error):
                if created:
                    _drop_if_empty(holder, target)
                holder.execute("COMMIT")


def lock_holders(connection: Connection, schema: str) -> str:
    """Name the sessions that have locks on relations of the schema, with the command that ends them; empty if none."""
    rows = connection.execute(
        """SELECT DISTINCT l.pid, a.usename FROM pg_catalog.pg_locks l
           JOIN pg_catalog.pg_class c ON c.oid = l.relation JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
           JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
           WHERE l.granted AND n.nspname = %s AND a.datname = pg_catalog.current_database()
             AND l.pid <> pg_catalog.pg_backend_pid() AND c.relname <> %s AND a.usename IS NOT NULL ORDER BY 1""",
        (schema, VERSION_TABLE),
    ).fetchall()
    if not rows:
        return ""
    named = ", ".join(f"server process {pid} of {user}" for pid, user in rows)
    commands = "; ".join(f"SELECT pg_terminate_backend({pid})" for pid, _ in rows)
    return f"locks in the schema are held by {named}; wait for them, or end them: {commands}"


def _acquire(holder: Connection, target: SchemaTarget, limits: Limits, log: Log) -> bool:
    """Poll for the lock: a session that waits for it has a snapshot, which would block CREATE INDEX CONCURRENTLY.

    Return whether ``schema_migrations`` was created.
    """
    table = sql.Identifier(target.schema, VERSION_TABLE)
    statement = sql.SQL("LOCK TABLE {} IN {} MODE NOWAIT").format(table, sql.SQL(_MODE))
    deadline = time.monotonic() + limits.run_lock
    created = logged = False
    while True:
        holder.execute("BEGIN")
        try:
            holder.execute(statement)
        except errors.UndefinedTable:
            holder.execute("ROLLBACK")
            created = _create(holder, target)
            continue
        except errors.LockNotAvailable:
            holder.execute("ROLLBACK")
        else:
            return created
        if time.monotonic() >= deadline:
            raise MigrationError(_lock_held(holder, target.schema, limits))
        if not logged:
            log(f"{target.schema}: another migration run is active; waiting up to {limits.run_lock:.0f} s for it")
            logged = True
        time.sleep(_POLL_SECONDS)


def _create(holder: Connection, target: SchemaTarget) -> bool:
    """Create ``schema_migrations``; False if another run created it at the same time."""
    try:
        with holder.transaction():
            create_version_table(holder, target)
    except (errors.DuplicateTable, errors.UniqueViolation):
        return False
    return True


def _drop_if_empty(holder: Connection, target: SchemaTarget) -> None:
    table = sql.Identifier(target.schema, VERSION_TABLE)
    if holder.execute(sql.SQL("SELECT FROM {} LIMIT 1").format(table)).fetchone() is None:
        holder.execute(sql.SQL("DROP TABLE {}").format(table))


def _lock_held(connection: Connection, schema: str, limits: Limits) -> MigrationProblem:
    row = connection.execute(
        """SELECT l.pid, a.usename FROM pg_catalog.pg_locks l
           JOIN pg_catalog.pg_class c ON c.oid = l.relation JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
           LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
           WHERE l.granted AND n.nspname = %s AND c.relname = %s
             AND l.mode IN ('ShareUpdateExclusiveLock', 'ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')""",
        (schema, VERSION_TABLE),
    ).fetchone()
    holder = f"by server process {row[0]} of {row[1]}" if row else "by a run that just ended"
    message = f"its migrations are still locked after {limits.run_lock:.0f} s {holder}"
    remedy = f"wait for that run, or end it: SELECT pg_terminate_backend({row[0]})" if row else "run again"
    return MigrationProblem(schema, None, message, remedy)
