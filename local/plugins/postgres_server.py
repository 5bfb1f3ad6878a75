"""The offline postgresql plugin's way to the server: connections, errors in words, membership for the time needed."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from local.plugins.base import PluginError

if TYPE_CHECKING:
    import psycopg
    from psycopg import sql

Result = TypeVar("Result")
CONNECT_TIMEOUT_SECONDS = 10
RETRIES = 5
# Deadlock, serialization, and "tuple concurrently updated", which has no code of its own.
PASSING = frozenset({"40P01", "40001", "XX000"})


@dataclass
class Server:
    """One PostgreSQL server as one admin. Changes run one at a time: they take milliseconds, and catalog rows that
    two grants update at once make one of them fail."""

    host: str
    port: int
    user: str
    password: str
    database: str
    sslmode: str
    superuser: bool
    _idle: dict[str, list[Any]] = field(default_factory=dict)
    _pool: threading.Lock = field(default_factory=threading.Lock)
    _writing: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def connection(self, database: str | None = None) -> Iterator["psycopg.Connection[Any]"]:
        """A connection in autocommit mode, kept for the next use. Raises ``PluginError`` for what the server says."""
        import psycopg

        name = database or self.database
        try:
            connection = self._take(name)
            try:
                yield connection
            except BaseException:
                connection.close()
                raise
            with self._pool:
                self._idle.setdefault(name, []).append(connection)
        except psycopg.Error as error:
            raise PluginError(self.explain(error, name)) from None

    def _take(self, database: str) -> "psycopg.Connection[Any]":
        import psycopg

        with self._pool:
            waiting = self._idle.get(database)
            while waiting:
                connection: psycopg.Connection[Any] = waiting.pop()
                if not connection.closed and not connection.broken:
                    return connection
        return psycopg.connect(
            host=self.host, port=self.port, user=self.user, password=self.password, dbname=database, sslmode=self.sslmode,
            connect_timeout=CONNECT_TIMEOUT_SECONDS, application_name="stellaops-storage", autocommit=True,
        )  # fmt: skip

    def drop_connections(self, database: str) -> None:
        """Close what is kept open to a database, which could not be dropped otherwise."""
        with self._pool:
            for connection in self._idle.pop(database, []):
                connection.close()

    def change(self, database: str | None, action: Callable[["psycopg.Connection[Any]"], Result]) -> Result:
        """``action`` in one transaction, alone, and again when a passing conflict with somebody else ended it."""
        import psycopg

        with self._writing:
            for attempt in range(RETRIES + 1):
                with self.connection(database) as connection:
                    try:
                        with connection.transaction():
                            return action(connection)
                    except psycopg.Error as error:
                        passing = error.sqlstate in PASSING and "tuple" not in str(error).replace(
                            "tuple concurrently", ""
                        )
                        if not passing or attempt == RETRIES:
                            raise
        raise AssertionError("the loop ends by returning or raising")

    def explain(self, error: "psycopg.Error", database: str) -> str:
        """What went wrong in one line, with what to do when the server could not be used at all."""
        place = f"PostgreSQL at {self.host}:{self.port}, database {database}, as {self.user}"
        if error.diag.message_primary is None:
            return f"{place}: {' '.join(str(error).split())}; see that it runs and that the postgres settings are right"
        hint = f"; hint: {error.diag.message_hint}" if error.diag.message_hint else ""
        detail = f"; detail: {error.diag.message_detail}" if error.diag.message_detail else ""
        return " ".join(f"{place}: {error.diag.message_primary}{detail}{hint}".split())


@contextmanager
def acting_for(connection: "psycopg.Connection[Any]", server: Server, roles: Sequence[str]) -> Iterator[None]:
    """Be a member of ``roles`` inside; an admin without SUPERUSER may change only what belongs to its roles."""
    from psycopg import sql

    granted = []
    if not server.superuser:
        for role in roles:
            if role in ("", "public", server.user):
                continue
            row = connection.execute(
                "SELECT pg_catalog.pg_has_role(current_user, oid, 'USAGE') FROM pg_catalog.pg_roles WHERE rolname = %s",
                (role,),
            ).fetchone()
            if row is not None and not row[0]:
                connection.execute(sql.SQL("GRANT {} TO CURRENT_USER").format(sql.Identifier(role)))
                granted.append(role)
    yield
    for role in granted:
        connection.execute(sql.SQL("REVOKE {} FROM CURRENT_USER").format(sql.Identifier(role)))


def who(role: str) -> "sql.Composable":
    """A grantee as it stands in a statement: ``public`` is a keyword, everything else a quoted name."""
    from psycopg import sql

    return sql.SQL("PUBLIC") if role.lower() == "public" else sql.Identifier(role)
