"""A database session of the migration runner: its role, timeouts and retries.

Needs no SUPERUSER. The connection must be in autocommit mode; each transaction here is explicit.
"""

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

Connection = psycopg.Connection[TupleRow]
Log = Callable[[str], None]
Result = TypeVar("Result")


@dataclass(frozen=True)
class Limits:
    """How long a run waits: ``run_lock`` and ``pause`` in seconds, the timeouts in milliseconds.

    A transaction is retried ``retries`` times after a lock timeout or a deadlock, first after ``pause``.
    ``concurrent_lock_timeout`` is for statements outside a transaction: they wait until every older transaction has
    ended, and block nobody meanwhile.
    """

    run_lock: float = 60.0
    lock_timeout: int = 5_000
    concurrent_lock_timeout: int = 600_000
    statement_timeout: int = 900_000
    retries: int = 5
    pause: float = 0.5


def prepare_connection(connection: Connection) -> None:
    """Set the parameters of the whole session. Raises ``MigrationError`` if the server is too old."""
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
    # If the client is killed, the server ends its statement soon and releases the run's lock.
    with suppress(psycopg.Error):
        connection.execute("SET client_connection_check_interval = '2s'")


@contextmanager
def as_owner(
    connection: Connection, target: SchemaTarget, limits: Limits | None = None, *, read_only: bool = False
) -> Iterator[None]:
    """Open a transaction as the owner, with an empty search path and timeouts.

    With tenant isolation, a statement fails if row-level security would hide rows from it.
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
    """Whether the session may ``SET ROLE owner``. Raises ``MigrationError`` if the role does not exist."""
    try:
        row = connection.execute("SELECT pg_catalog.pg_has_role(%s, 'SET')", (owner,)).fetchone()
    except errors.UndefinedObject:
        raise MigrationError(MigrationProblem(f"role {owner}", None, "it does not exist", "create it first")) from None
    return bool(row and row[0])


def ensure_may_act_as(connection: Connection, owner: str, log: Log) -> None:
    """Grant the owner role to the admin, if needed, so that it can ``SET ROLE`` to it.

    Since PostgreSQL 16 a CREATEROLE admin can grant the roles that it created, but not use them without a grant. The
    grant does not inherit the owner's privileges. Raises ``MigrationError`` if the admin may not grant the role.
    """
    if may_act_as(connection, owner):
        return
    admin = connection.info.user
    connection.read_only = False
    grant = sql.SQL("GRANT {} TO CURRENT_USER WITH INHERIT FALSE, SET TRUE").format(sql.Identifier(owner))
    try:
        connection.execute(grant)
    except (errors.InternalError_, errors.UniqueViolation):
        # Another run granted it at the same moment.
        if not may_act_as(connection, owner):
            raise
    except errors.InsufficientPrivilege as error:
        message = f"{admin} may not act as this role: {error.diag.message_primary}"
        remedy = f"as a role with ADMIN OPTION on it, run: GRANT {owner} TO {admin} WITH INHERIT FALSE, SET TRUE"
        raise MigrationError(MigrationProblem(f"role {owner}", None, message, remedy)) from None
    log(f"granted {owner} to {admin} (SET TRUE, INHERIT FALSE), so that migrations run as the owner")


def with_retries(place: str, action: Callable[[], Result], limits: Limits, log: Log) -> Result:
    """Run ``action``, a whole transaction; retry after a lock timeout or a deadlock, with growing pauses."""
    for attempt in range(limits.retries):
        try:
            return action()
        except (errors.LockNotAvailable, errors.DeadlockDetected) as error:
            pause = limits.pause * 2**attempt
            log(f"{place}: {error.diag.message_primary}; trying again in {pause:.1f} s")
            time.sleep(pause)
    return action()
