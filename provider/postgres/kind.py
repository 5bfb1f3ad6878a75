"""The base class of the resource kinds that manage PostgreSQL."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from provider.base.schema import PropertyChange
from provider.kind import Kind

if TYPE_CHECKING:
    from provider.postgres.server import PostgresServer


class PostgresKind(Kind):
    """A kind that can connect to the provider's PostgreSQL server."""

    # The output in which a refresh lists manual changes; the next update corrects them. Empty: there is none.
    drift_output = ""

    def drift(self, state: Mapping[str, Any], inputs: Mapping[str, Any]) -> Iterator[PropertyChange]:
        if state.get(self.drift_output):
            yield PropertyChange(self.drift_output, "update", replace=False)

    def planned(self, inputs: Mapping[str, Any], state: Mapping[str, Any] | None) -> dict[str, Any]:
        return {self.drift_output: []} if self.drift_output else {}

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
