"""Connections to PostgreSQL, for the resources of our own provider and the operations commands."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from provider.errors import ProviderError
from provider.postgres.problems import MigrationError, error_text

# psycopg is imported where a connection is opened: importing it takes 0.2 s, and a preview needs no connection.
if TYPE_CHECKING:
    import psycopg

    from provider.postgres.session import Connection

CONNECT_TIMEOUT_SECONDS = 10
LOGIN_FAILED = "password authentication failed"
_CONNECT_REFUSED = re.compile(r'permission denied for database "([^"]+)"')


class MissingDatabaseError(ProviderError):
    """The server is reachable, but the database does not exist."""


@dataclass(frozen=True)
class PostgresServer:
    """Address and credentials of the database, from the provider's settings, never from a resource's inputs."""

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
        """Open a connection to the database and close it afterwards.

        Every error becomes a ``ProviderError``, a missing database a ``MissingDatabaseError``.
        """
        import psycopg

        try:
            with self._open_database() as connection:
                yield connection
        except MigrationError as error:
            raise ProviderError(str(error)) from None
        except psycopg.Error as error:
            raise ProviderError(self._error_message(error)) from None

    def _open_database(self) -> "Connection":
        import psycopg

        try:
            return self.open(self.database)
        except psycopg.OperationalError as error:
            if not self.database_exists():
                raise MissingDatabaseError(self._error_message(error)) from None
            raise

    def _error_message(self, error: "psycopg.Error") -> str:
        from psycopg import errors

        place = f"PostgreSQL at {self.host}:{self.port}, database {self.database}, as {self.user}"
        text = error_text(error)
        remedy = "check that the server runs and that the postgres settings in the stack config are correct"
        if isinstance(error, errors.InsufficientPrivilege):
            remedy = "a role has lost a privilege or an object; run drift, which names it and the remedy"
        if LOGIN_FAILED in text:
            # Only the server's log shows whether the password is wrong or expired.
            remedy = (
                "correct stellaops-storage:postgresAdminPassword or, if the server's log reports it as expired, have an"
                f" administrator run: ALTER ROLE {self.user} VALID UNTIL 'infinity'"
            )
        elif refused := _CONNECT_REFUSED.search(text):
            remedy = f'as its owner or a superuser, run: GRANT CONNECT ON DATABASE "{refused[1]}" TO "{self.user}"'
        return f"{place}: {text}; {remedy}"

    def database_exists(self) -> bool:
        """Query the maintenance database: the text of a connection error depends on the server's language."""
        with self.open(self.maintenance_database) as connection:
            query = "SELECT FROM pg_catalog.pg_database WHERE datname = %s"
            return connection.execute(query, (self.database,)).fetchone() is not None
