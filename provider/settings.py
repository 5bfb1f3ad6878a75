"""The inputs of the provider resource ``stellaops``: the stores' addresses, and the admins' credentials."""

from typing import Any

from provider.base.schema import Properties, Property
from provider.errors import ProviderError

# All are required, because the defaults are in stack config.
CONFIGURATION: Properties = {
    "postgresHost": Property(required=True, description="Host of the PostgreSQL server"),
    "postgresPort": Property("integer", required=True, minimum=1),
    "postgresSslMode": Property(required=True, description="libpq's sslmode"),
    "postgresAdminUser": Property(required=True, description="The role that provisions"),
    "postgresAdminPassword": Property(required=True, secret=True),
    "postgresDatabase": Property(required=True),
    "postgresMaintenanceDatabase": Property(
        required=True, description="The database to connect to while postgresDatabase does not exist yet"
    ),
    "valkeyHost": Property(required=True, description="Host of the Valkey server"),
    "valkeyPort": Property("integer", required=True, minimum=1),
    "valkeyTls": Property("boolean", required=True),
    "valkeyAdminUser": Property(required=True),
    "valkeyAdminPassword": Property(required=True, secret=True),
    "objectStoreEndpoint": Property(required=True, description="S3 endpoint, such as https://rustfs.example.org:9000"),
    "objectStoreRegion": Property(required=True),
    "objectStoreAccessKey": Property(required=True, secret=True),
    "objectStoreSecretKey": Property(required=True, secret=True),
}


class ProviderSettings:
    """The inputs of one provider resource, available after the engine has configured it."""

    def __init__(self) -> None:
        self._values: dict[str, Any] = {}

    def configure(self, values: dict[str, Any]) -> None:
        """Set the values, by property name. Values that are unknown in a preview are missing."""
        self._values = values

    def text(self, name: str) -> str:
        """Return a string. Raises ``ProviderError`` if it is unknown."""
        return str(self._get(name))

    def number(self, name: str) -> int:
        """Return an integer. Raises ``ProviderError`` if it is unknown."""
        return int(self._get(name))

    def flag(self, name: str) -> bool:
        """Return a boolean. Raises ``ProviderError`` if it is unknown."""
        return bool(self._get(name))

    def _get(self, name: str) -> Any:
        try:
            return self._values[name]
        except KeyError:
            raise ProviderError(f"provider stellaops: {name} is not known yet") from None
