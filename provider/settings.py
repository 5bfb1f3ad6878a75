"""The inputs of the provider resource ``stellaops``: where the stores are, and who connects to them."""

from typing import Any

from provider.base.schema import Properties, Property
from provider.errors import ProviderError

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


class ProviderSettings:
    """The inputs of one provider resource, once the engine has sent them."""

    def __init__(self) -> None:
        self._values: dict[str, Any] = {}

    def configure(self, values: dict[str, Any]) -> None:
        """``values`` by property name, defaults filled in; what a preview does not know is missing."""
        self._values = values

    def text(self, name: str) -> str:
        """A string. Raises ``ProviderError`` where it is not known yet."""
        return str(self._get(name))

    def number(self, name: str) -> int:
        """An integer. Raises ``ProviderError`` where it is not known yet."""
        return int(self._get(name))

    def flag(self, name: str) -> bool:
        """A boolean. Raises ``ProviderError`` where it is not known yet."""
        return bool(self._get(name))

    def _get(self, name: str) -> Any:
        try:
            return self._values[name]
        except KeyError:
            raise ProviderError(f"provider stellaops: {name} is not known yet") from None
