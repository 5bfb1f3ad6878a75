"""Connections to one PostgreSQL server: a bounded pool per database, retries of transactions, errors of one line."""

import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import psycopg
from psycopg import sql

from provider.errors import ProviderError
from tools.offline_plugins.postgresql.session import Session
from tools.offline_plugins.postgresql.settings import ConnectionSettings

T = TypeVar("T")

ATTEMPTS = 10
FIRST_PAUSE_SECONDS = 0.03
# Used if the provider's own database does not exist: roles and databases belong to the whole server.
MAINTENANCE_DATABASES = ("postgres", "template1")
UNKNOWN_DATABASE = "3D000"
STARTING_UP = "57P03"
# Deadlock, serialization failure, template in use, and errors of concurrent changes of one catalog row.
_TRANSIENT = {"40P01", "40001", "55006"}
_CATALOG_RACES = {"XX000": "tuple concurrently", "23505": "pg_"}


class UnknownDatabaseError(ProviderError):
    """The database to connect to does not exist."""


class Connections:
    """One server, many databases. Safe for use by many threads."""

    def __init__(self, settings: ConnectionSettings) -> None:
        self.settings = settings
        self._lock = threading.Lock()
        self._pools: dict[str, _Pool] = {}

    def place_of(self, kind: str, id_: str, state: Mapping[str, Any]) -> tuple[str, str]:
        """Return the database and the name of ``kind``, like "a schema"; for an import, from the id ``database.name``."""
        if state.get("name"):
            return state.get("database") or self.settings.database, state["name"]
        database, dot, name = id_.partition(".")
        if not (database and dot and name):
            raise ProviderError(f"{id_!r} is not the id of {kind}; use 'database.{kind.rsplit(maxsplit=1)[-1]}'")
        return database, name

    def run(self, failure: str, work: Callable[[Session], T], database: str | None = None) -> T:
        """Run ``work`` in one transaction; retry after a deadlock or a race for a catalog row.

        ``failure`` begins the error. Raises ProviderError; UnknownDatabaseError if the database does not exist.
        """

        def transaction(session: Session) -> T:
            with session.connection.transaction():
                return work(session)

        return self._attempt(failure, transaction, database)

    def run_outside_transaction(self, failure: str, work: Callable[[Session], T], database: str | None = None) -> T:
        """Run statements like CREATE DATABASE; each is committed separately."""
        return self._attempt(failure, work, database)

    def run_anywhere(
        self, failure: str, work: Callable[[Session], T], *, avoid: str = "", transaction: bool = True
    ) -> T:
        """Run server-wide ``work`` in the first database that exists, but never in ``avoid``."""
        candidates = [name for name in (self.settings.database, *MAINTENANCE_DATABASES) if name != avoid]
        run = self.run if transaction else self.run_outside_transaction
        for name in candidates[:-1]:
            try:
                return run(failure, work, name)
            except UnknownDatabaseError:
                continue
        return run(failure, work, candidates[-1])

    def _attempt(self, failure: str, work: Callable[[Session], T], database: str | None) -> T:
        pool = self._pool(database or self.settings.database)
        for attempt in range(1, ATTEMPTS + 1):
            kept = False
            try:
                with pool.connection() as (connection, kept):
                    return work(Session(connection, self.settings))
            except psycopg.Error as error:
                # A kept connection may have been ended by the server in the meantime.
                if attempt == ATTEMPTS or not (_is_transient(error) or (kept and _is_lost(error))):
                    raise ProviderError(f"{failure}: {describe(error)}") from error
            # The jitter keeps two transactions from colliding again.
            time.sleep(FIRST_PAUSE_SECONDS * 2 ** (attempt - 1) * random.uniform(0.5, 1.5))  # noqa: S311
        raise AssertionError("unreachable")

    def close(self, database: str) -> None:
        """Close idle connections to a database before it is dropped or renamed."""
        self._pool(database).close()

    def cancel(self) -> None:
        with self._lock:
            pools = list(self._pools.values())
        for pool in pools:
            pool.cancel()

    def _pool(self, database: str) -> "_Pool":
        with self._lock:
            if database not in self._pools:
                self._pools[database] = _Pool(self.settings, database)
            return self._pools[database]


class _Pool:
    """Autocommit connections to one database; transactions are explicit."""

    def __init__(self, settings: ConnectionSettings, database: str) -> None:
        self._settings = settings
        self._database = database
        self._free: list[psycopg.Connection[Any]] = []
        self._busy: set[psycopg.Connection[Any]] = set()
        self._lock = threading.Lock()
        self._cancelled = False
        self._slots = threading.BoundedSemaphore(settings.max_connections) if settings.max_connections else None

    @contextmanager
    def connection(self) -> Iterator[tuple[psycopg.Connection[Any], bool]]:
        """Yield a connection and whether it was used before."""
        if self._slots is not None:
            self._slots.acquire()
        try:
            connection, kept = self._take()
            try:
                yield connection, kept
            finally:
                self._give_back(connection)
        finally:
            if self._slots is not None:
                self._slots.release()

    def _take(self) -> tuple[psycopg.Connection[Any], bool]:
        with self._lock:
            if self._cancelled:
                raise ProviderError("cancelled")
            kept = self._free.pop() if self._free else None
        connection = kept or self._connect()
        with self._lock:
            self._busy.add(connection)
        return connection, kept is not None

    def _give_back(self, connection: psycopg.Connection[Any]) -> None:
        with self._lock:
            self._busy.discard(connection)
            if not connection.closed and not connection.broken:
                self._free.append(connection)

    def _connect(self) -> psycopg.Connection[Any]:
        settings = self._settings
        deadline = time.monotonic() + min(settings.connect_timeout_seconds or 60, 60)
        while True:
            try:
                connection = psycopg.connect(
                    host=settings.host,
                    port=settings.port,
                    user=settings.user,
                    password=settings.password,
                    dbname=self._database,
                    connect_timeout=settings.connect_timeout_seconds,
                    application_name="pulumi-postgresql offline",
                    autocommit=True,
                    **settings.ssl,  # type: ignore[arg-type]
                )
            except psycopg.OperationalError as error:
                text = _only_line(error)
                if "starting up" in text and time.monotonic() < deadline:
                    time.sleep(0.2)
                    continue
                raise self._refused(text) from error
            # No timeout: a statement may wait long for a lock.
            connection.execute("SET statement_timeout = 0")
            if settings.database_user:
                connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(settings.database_user)))
            return connection

    def _refused(self, text: str) -> ProviderError:
        settings = self._settings
        where = f"PostgreSQL at {settings.host}:{settings.port}, database {self._database!r}, as {settings.user!r}"
        if f'database "{self._database}" does not exist' in text:
            return UnknownDatabaseError(f"cannot connect to {where}: the database does not exist")
        return ProviderError(
            f"cannot connect to {where}: {text}; check that the server runs and that host and password are correct"
        )

    def close(self) -> None:
        with self._lock:
            free, self._free = self._free, []
        for connection in free:
            connection.close()

    def cancel(self) -> None:
        with self._lock:
            self._cancelled = True
            busy = list(self._busy)
        for connection in busy:
            connection.cancel_safe(timeout=1)


def _only_line(error: psycopg.OperationalError) -> str:
    """Return the first line of libpq's message without the address at its start."""
    lines = [line.rsplit("failed: ", 1)[-1].strip() for line in str(error).splitlines() if line.strip()]
    return lines[0].removeprefix("FATAL:").removeprefix("ERROR:").strip() if lines else "no answer"


def _is_transient(error: psycopg.Error) -> bool:
    code = error.sqlstate or ""
    text = error.diag.message_primary or ""
    return code in _TRANSIENT or (code in _CATALOG_RACES and _CATALOG_RACES[code] in text)


def _is_lost(error: psycopg.Error) -> bool:
    """Whether the connection was lost, as opposed to the statement failing."""
    return isinstance(error, psycopg.OperationalError) and (error.sqlstate or "57P01") in {"57P01", "57P02", "57P03"}


def describe(error: psycopg.Error) -> str:
    """Return the server's message in one line, without the statement, which may contain a password's verifier."""
    diagnosis = error.diag
    if diagnosis.message_primary is None:
        return "the connection was lost" if isinstance(error, psycopg.OperationalError) else type(error).__name__
    text = diagnosis.message_primary
    if diagnosis.message_detail:
        text += f" ({' '.join(diagnosis.message_detail.split())})"
    return f"{text}; {diagnosis.message_hint}" if diagnosis.message_hint else text
