"""Numbered, timestamped commits, which show a drill which commits a restore has lost."""

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from threading import Event, Thread

import psycopg
from psycopg import sql

from provider.errors import ProviderError
from provider.postgres.server import PostgresServer
from tools.operations.recovery import logical
from tools.operations.recovery.context import RecoveryContext

MARK_SECONDS = 0.1


class Marks:
    """Numbered rows in the drill's own database on the running server."""

    def __init__(self, server: PostgresServer) -> None:
        self._server = server
        self._stopped = Event()

    @staticmethod
    @contextlib.contextmanager
    def of(context: RecoveryContext) -> "Iterator[Marks]":
        admin = context.stack.postgres
        name = f"{admin.database}_drill"
        server = replace(admin, database=name)
        try:
            with admin.open(admin.maintenance_database) as session:
                logical.drop(session, name)  # left by a killed drill
                session.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
            with server.open(name) as session:
                session.execute("CREATE TABLE marks (number bigint GENERATED ALWAYS AS IDENTITY, at timestamptz)")
            yield Marks(server)
        except psycopg.Error as error:
            raise ProviderError(f"database {name}: {' '.join(str(error).split())}") from None
        finally:
            logical.discard(context, name)

    def write(self, count: int) -> None:
        with self._server.open(self._server.database) as session:
            for _ in range(count):
                _commit(session)

    def now(self) -> tuple[int, datetime]:
        """Return the last number, and a time after its commit by the server's clock."""
        with self._server.open(self._server.database) as session:
            row = session.execute("SELECT max(number), clock_timestamp() FROM marks").fetchone()
        assert row is not None
        return int(row[0]), row[1].astimezone(UTC)

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Commit rows in the background."""
        thread = Thread(target=self._write, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._stopped.set()
            thread.join()

    def _write(self) -> None:
        with self._server.open(self._server.database) as session:
            while not self._stopped.wait(MARK_SECONDS):
                _commit(session)

    def all(self) -> list[tuple[int, datetime]]:
        return self.of_server(self._server)

    def of_server(self, server: PostgresServer) -> list[tuple[int, datetime]]:
        """Return all marks of ``server``: (number, time), by number."""
        with replace(server, database=self._server.database).open(self._server.database) as session:
            rows = session.execute("SELECT number, at FROM marks ORDER BY number").fetchall()
        return [(int(number), at) for number, at in rows]


def _commit(session: psycopg.Connection[tuple[object, ...]]) -> None:
    session.execute("INSERT INTO marks (at) VALUES (clock_timestamp())")
