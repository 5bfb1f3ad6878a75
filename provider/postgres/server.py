"""Connections to PostgreSQL, for the resources of our own provider and the day-two commands."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from provider.errors import ProviderError
from provider.postgres.problems import MigrationError, error_text

# psycopg is imported where a connection is opened: a preview opens none and would pay 0.2 s for it.
if TYPE_CHECKING:
    import psycopg

    from provider.postgres.session import Connection

CONNECT_TIMEOUT_SECONDS = 10
LOGIN_FAILED = "password authentication failed"


class MissingDatabaseError(ProviderError):
    """The server answers, and does not have the database."""


@dataclass(frozen=True)
class PostgresServer:
    """How to reach the database: configuration of the provider, never a resource's inputs."""

    host: str
    port: int
    user: str
    password: str
    database: str
    maintenance_database: str
    ssl_mode: str

    def open(self, database: str) -> "Connection":
        import psycopg

        return psycopg.connect(
            host=self.host,
            port=self.port,
            user=self.user,
            password=self.password,
            dbname=database,
            sslmode=self.ssl_mode,
            connect_timeout=CONNECT_TIMEOUT_SECONDS,
            application_name="stellaops-storage migrations",
            client_encoding="UTF8",
            autocommit=True,
        )

    @contextmanager
    def connected(self) -> Iterator["Connection"]:
        """A connection to the database, closed afterwards.

        Whatever goes wrong becomes a ``ProviderError``: a ``MissingDatabaseError`` when there is no such database.
        """
        import psycopg

        try:
            with self._open_ours() as connection:
                yield connection
        except MigrationError as error:
            raise ProviderError(str(error)) from None
        except psycopg.Error as error:
            raise ProviderError(self._complaint(error)) from None

    def _open_ours(self) -> "Connection":
        import psycopg

        try:
            return self.open(self.database)
        except psycopg.OperationalError as error:
            if not self.database_exists():
                raise MissingDatabaseError(self._complaint(error)) from None
            raise

    def _complaint(self, error: "psycopg.Error") -> str:
        place = f"PostgreSQL at {self.host}:{self.port}, database {self.database}, as {self.user}"
        said = error_text(error)
        todo = "see that the server runs and that the postgres settings of the stack's config are right"
        if LOGIN_FAILED in said:
            # The server tells its log alone which of the two it is.
            todo = (
                "set stellaops-storage:postgresAdminPassword to the right one or, if the server's log calls it expired, let an"
                f" administrator run: ALTER ROLE {self.user} VALID UNTIL 'infinity'"
            )
        return f"{place}: {said}; {todo}"

    def database_exists(self) -> bool:
        """Asked elsewhere, since the text of a failed connection depends on the server's language."""
        with self.open(self.maintenance_database) as connection:
            query = "SELECT FROM pg_catalog.pg_database WHERE datname = %s"
            return connection.execute(query, (self.database,)).fetchone() is not None
