"""The base class of the resource kinds that manage PostgreSQL."""

from typing import TYPE_CHECKING

from provider.kind import Kind

if TYPE_CHECKING:
    from provider.postgres.server import PostgresServer


class PostgresKind(Kind):
    """A kind that can connect to the provider's PostgreSQL server."""

    @property
    def _server(self) -> "PostgresServer":
        """The server in the provider's settings. Raises ``ProviderError`` if a setting is not known yet."""
        from provider.postgres.server import PostgresServer

        settings = self._settings
        return PostgresServer(
            host=settings.text("postgresHost"),
            port=settings.number("postgresPort"),
            user=settings.text("postgresAdminUser"),
            password=settings.text("postgresAdminPassword"),
            database=settings.text("postgresDatabase"),
            maintenance_database=settings.text("postgresMaintenanceDatabase"),
            ssl_mode=settings.text("postgresSslMode"),
        )
