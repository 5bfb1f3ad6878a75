"""One database session of the migration runner: who it acts as, how long it waits, and what it holds.

Needs no SUPERUSER. The connection must be in autocommit mode; each transaction here is explicit.
"""

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TypeVar

import psycopg
from psycopg import errors, sql
from psycopg.rows import TupleRow

from provider.postgres.problems import MigrationError, MigrationProblem
from provider.postgres.target import SchemaTarget

MINIMUM_SERVER = 16
_POLL_SECONDS = 0.2

Connection = psycopg.Connection[TupleRow]
Log = Callable[[str], None]
Result = TypeVar("Result")


@dataclass(frozen=True)
class Limits:
    """How long a run waits. ``run_lock`` is in seconds, the timeouts in milliseconds; ``retries`` bounds how often a
    transaction that could not get its locks, or was the victim of a deadlock, is tried again.

    ``concurrent_lock_timeout`` is for statements that are no transaction: they wait until every older transaction has
    ended, and block nobody while they do.
    """

    run_lock: float = 60.0
    lock_timeout: int = 5_000
    concurrent_lock_timeout: int = 600_000
    statement_timeout: int = 900_000
    retries: int = 5
    pause: float = 0.5


def prepare_connection(connection: Connection) -> None:
    """Settings of the whole session. Raises ``MigrationError`` when the server is too old."""
    version = connection.info.server_version // 10_000
    if version < MINIMUM_SERVER:
        place = f"{connection.info.host}:{connection.info.port}"
        raise MigrationError(
            MigrationProblem(
                place, None, f"PostgreSQL {version} is too old", f"use PostgreSQL {MINIMUM_SERVER} or newer"
            )
        )
    connection.autocommit = True
    connection.prepare_threshold = None
    connection.isolation_level = psycopg.IsolationLevel.READ_COMMITTED
    connection.execute("SET standard_conforming_strings = on")
    connection.execute("SET client_min_messages = warning")
    # A server whose client was killed ends the statement, and with it lets go of the run's lock.
    with suppress(psycopg.Error):
        connection.execute("SET client_connection_check_interval = '2s'")


@contextmanager
def as_owner(
    connection: Connection, target: SchemaTarget, limits: Limits | None = None, *, read_only: bool = False
) -> Iterator[None]:
    """One transaction as the owner, with an empty search path and bounded waiting.

    Where tenants are kept apart, a statement that would see a part of the rows fails instead.
    """
    limits = limits or Limits()
    connection.read_only = read_only
    with connection.transaction():
        connection.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(target.owner)))
        connection.execute("SET LOCAL search_path = ''")
        connection.execute("SET LOCAL row_security = off")
        settings = {"lock_timeout": limits.lock_timeout, "statement_timeout": limits.statement_timeout}
        for name, milliseconds in settings.items():
            connection.execute("SELECT pg_catalog.set_config(%s, %s, true)", (name, str(milliseconds)))
        yield


def may_act_as(connection: Connection, owner: str) -> bool:
    """Whether ``SET ROLE owner`` will work. Raises ``MigrationError`` when there is no such role."""
    try:
        row = connection.execute("SELECT pg_catalog.pg_has_role(%s, 'SET')", (owner,)).fetchone()
    except errors.UndefinedObject:
        raise MigrationError(MigrationProblem(f"role {owner}", None, "it does not exist", "create it first")) from None
    return bool(row and row[0])


def make_able_to_act_as(connection: Connection, owner: str, log: Log) -> None:
    """Let the admin ``SET ROLE`` to the owner. Since PostgreSQL 16 whoever creates a role may only administer it.

    A CREATEROLE admin that made the role grants it to itself, without inheriting its privileges. Raises
    ``MigrationError`` when it may not.
    """
    if may_act_as(connection, owner):
        return
    admin = connection.info.user
    connection.read_only = False
    grant = sql.SQL("GRANT {} TO CURRENT_USER WITH INHERIT FALSE, SET TRUE").format(sql.Identifier(owner))
    try:
        connection.execute(grant)
    except errors.InsufficientPrivilege as error:
        what = f"{admin} may not act as this role: {error.diag.message_primary}"
        todo = f"as an administrator of it run: GRANT {owner} TO {admin} WITH INHERIT FALSE, SET TRUE"
        raise MigrationError(MigrationProblem(f"role {owner}", None, what, todo)) from None
    log(f"granted {owner} to {admin} (SET TRUE, INHERIT FALSE), so that migrations run as the owner")


def lock_key(database: str, schema: str) -> int:
    """The advisory lock of a schema's migrations: 64 bits, signed, as PostgreSQL wants it."""
    digest = hashlib.sha256(f"stellaops-storage migrations {database}.{schema}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


@contextmanager
def run_lock(connection: Connection, schema: str, limits: Limits, log: Log) -> Iterator[None]:
    """Hold the schema's migration lock. Tried again and again rather than waited for: a session that waits for a lock
    has a snapshot, which would block CREATE INDEX CONCURRENTLY in the session that holds it.

    Raises ``MigrationError`` naming the holder when the lock is not free in time.
    """
    key = lock_key(connection.info.dbname, schema)
    deadline = time.monotonic() + limits.run_lock
    told = False
    while not _scalar(connection, "SELECT pg_catalog.pg_try_advisory_lock(%s)", key):
        if time.monotonic() >= deadline:
            raise MigrationError(_lock_held(connection, schema, key, limits))
        if not told:
            log(f"{schema}: another migration run is at work; waiting up to {limits.run_lock:.0f} s for it")
            told = True
        time.sleep(_POLL_SECONDS)
    try:
        yield
    finally:
        # With the connection gone the lock is gone too; the first error is the one to report.
        with suppress(psycopg.Error):
            connection.execute("SELECT pg_catalog.pg_advisory_unlock(%s)", (key,))


def _scalar(connection: Connection, query: str, *parameters: object) -> object:
    row = connection.execute(query.encode(), parameters).fetchone()
    return row[0] if row else None


def _lock_held(connection: Connection, schema: str, key: int, limits: Limits) -> MigrationProblem:
    unsigned = key % 2**64
    row = connection.execute(
        """SELECT l.pid, a.usename FROM pg_catalog.pg_locks l LEFT JOIN pg_catalog.pg_stat_activity a USING (pid)
           WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
             AND l.classid::pg_catalog.int8 = %s AND l.objid::pg_catalog.int8 = %s""",
        (unsigned >> 32, unsigned & 0xFFFFFFFF),
    ).fetchone()
    holder = f"by server process {row[0]} of {row[1]}" if row else "by a run that just ended"
    what = f"its migrations are still locked after {limits.run_lock:.0f} s {holder}"
    todo = f"wait for that run, or end it: SELECT pg_terminate_backend({row[0]})" if row else "run again"
    return MigrationProblem(schema, None, what, todo)


def retried(what: str, action: Callable[[], Result], limits: Limits, log: Log) -> Result:
    """``action``, a whole transaction, again after a lock timeout or a deadlock, with growing pauses."""
    for attempt in range(limits.retries):
        try:
            return action()
        except (errors.LockNotAvailable, errors.DeadlockDetected) as error:
            pause = limits.pause * 2**attempt
            log(f"{what}: {error.diag.message_primary}; trying again in {pause:.1f} s")
            time.sleep(pause)
    return action()
