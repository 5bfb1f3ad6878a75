"""The base of the kinds that act on PostgreSQL."""

from typing import TYPE_CHECKING

from provider.kind import Kind

if TYPE_CHECKING:
    from provider.postgres.server import PostgresServer


class PostgresKind(Kind):
    """A kind with a connection to the provider's PostgreSQL server."""

    @property
    def _server(self) -> "PostgresServer":
        """Raises ``ProviderError`` where a setting is not known yet."""
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
