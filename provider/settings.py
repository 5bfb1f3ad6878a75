"""The inputs of the provider resource ``stellaops``: where the stores are, and who connects to them."""

from typing import Any

from provider.base.schema import Properties, Property
from provider.errors import ProviderError

# Required, all of them: the defaults are those of stack config.
CONFIGURATION: Properties = {
    "postgresHost": Property(required=True, description="Host of the PostgreSQL server"),
    "postgresPort": Property("integer", required=True, minimum=1),
    "postgresSslMode": Property(required=True, description="libpq's sslmode"),
    "postgresAdminUser": Property(required=True, description="The role that provisions"),
    "postgresAdminPassword": Property(required=True, secret=True),
    "postgresDatabase": Property(required=True),
    "postgresMaintenanceDatabase": Property(
        required=True, description="The database to connect to while postgresDatabase does not exist"
    ),
    "valkeyHost": Property(required=True, description="Host of the Valkey server"),
    "valkeyPort": Property("integer", required=True, minimum=1),
    "valkeyTls": Property("boolean", required=True),
    "valkeyAdminUser": Property(required=True),
    "valkeyAdminPassword": Property(required=True, secret=True),
    "objectStoreEndpoint": Property(required=True, description="S3 endpoint, like https://rustfs.example.org:9000"),
    "objectStoreRegion": Property(required=True),
    "objectStoreAccessKey": Property(required=True, secret=True),
    "objectStoreSecretKey": Property(required=True, secret=True),
}


class ProviderSettings:
    """The inputs of one provider resource, once the engine has sent them."""

    def __init__(self) -> None:
        self._values: dict[str, Any] = {}

    def configure(self, values: dict[str, Any]) -> None:
        """``values`` by property name; those that a preview does not know are missing."""
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
