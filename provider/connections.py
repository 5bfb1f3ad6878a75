"""The provider's configuration, and the connections to the stores that follow from it.

The client libraries are imported when a connection is first used: the provider starts at every preview, and most
previews contact no server.
"""

from typing import TYPE_CHECKING, Any

from provider.base.schema import Properties, Property
from provider.errors import ProviderError

if TYPE_CHECKING:
    from provider.postgres.server import Server as PostgresServer
    from provider.rustfs.store import Store
    from provider.valkey.server import Server as ValkeyServer

CONFIGURATION: Properties = {
    "postgresHost": Property(required=True, description="PostgreSQL server"),
    "postgresPort": Property("integer", default=5432, minimum=1),
    "postgresSslMode": Property(default="verify-full", description="libpq's sslmode"),
    "postgresAdminUser": Property(default="postgres", description="The role that provisions"),
    "postgresAdminPassword": Property(required=True, secret=True),
    "postgresDatabase": Property(default="stellaops"),
    "postgresMaintenanceDatabase": Property(
        default="postgres", description="The database to connect to where postgresDatabase does not exist"
    ),
    "valkeyHost": Property(required=True, description="Valkey server"),
    "valkeyPort": Property("integer", default=6379, minimum=1),
    "valkeyTls": Property("boolean", default=False),
    "valkeyAdminUser": Property(default="admin"),
    "valkeyAdminPassword": Property(required=True, secret=True),
    "objectStoreEndpoint": Property(required=True, description="S3 endpoint, like https://rustfs.example.org:9000"),
    "objectStoreRegion": Property(default="us-east-1"),
    "objectStoreAccessKey": Property(required=True, secret=True),
    "objectStoreSecretKey": Property(required=True, secret=True),
}


class Connections:
    """The stores of one provider resource. Every property raises ``ProviderError`` where a setting is unknown yet."""

    def __init__(self) -> None:
        self._values: dict[str, Any] = {}

    def configure(self, values: dict[str, Any]) -> None:
        """``values`` by property name, defaults filled in; what a preview does not know is missing."""
        self._values = values

    @property
    def postgres(self) -> "PostgresServer":
        from provider.postgres.server import Server

        return Server(
            host=self._get("postgresHost"),
            port=self._get("postgresPort"),
            user=self._get("postgresAdminUser"),
            password=self._get("postgresAdminPassword"),
            database=self._get("postgresDatabase"),
            maintenance_database=self._get("postgresMaintenanceDatabase"),
            ssl_mode=self._get("postgresSslMode"),
        )

    @property
    def valkey(self) -> "ValkeyServer":
        from provider.valkey.server import Server

        return Server(
            host=self._get("valkeyHost"),
            port=self._get("valkeyPort"),
            user=self.valkey_admin_user,
            password=self._get("valkeyAdminPassword"),
            tls=self._get("valkeyTls"),
        )

    @property
    def valkey_admin_user(self) -> str:
        return str(self._get("valkeyAdminUser"))

    @property
    def object_store(self) -> "Store":
        from provider.rustfs.store import Store

        return Store(
            endpoint=self._get("objectStoreEndpoint"),
            region=self._get("objectStoreRegion"),
            access_key=self.object_store_access_key,
            secret_key=self._get("objectStoreSecretKey"),
        )

    @property
    def object_store_access_key(self) -> str:
        return str(self._get("objectStoreAccessKey"))

    def _get(self, name: str) -> Any:
        try:
            return self._values[name]
        except KeyError:
            raise ProviderError(f"provider stellaops: {name} is not known yet") from None
