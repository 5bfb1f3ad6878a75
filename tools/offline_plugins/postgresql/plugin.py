"""The plugin and its resource types. The modules that implement them are loaded on first use."""

import importlib
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

from provider.base.plugin import FoundResource, ResourceType, recording
from provider.base.schema import Failure, Properties
from provider.errors import ProviderError
from tools.offline_plugins.plugin import OfflinePlugin
from tools.offline_plugins.postgresql import declarations
from tools.offline_plugins.postgresql.settings import ConnectionSettings

Validator = Callable[[Mapping[str, Any]], Iterator[Failure]]


class Operations(Protocol):
    """The functions of the modules ``database``, ``role``, ``namespace``, ``extension``, ``grant`` and ``default_privileges``."""

    def create(self, server: Any, inputs: dict[str, Any]) -> FoundResource: ...
    def read(self, server: Any, id_: str, state: dict[str, Any]) -> FoundResource | None: ...
    def update(self, server: Any, id_: str, state: dict[str, Any], inputs: dict[str, Any]) -> FoundResource: ...
    def delete(self, server: Any, id_: str, state: dict[str, Any]) -> None: ...


class PostgresPlugin(OfflinePlugin):
    """Connects to the server when a resource is first created, read, updated or deleted."""

    def __init__(self) -> None:
        super().__init__("postgresql", declarations.CONFIGURATION)
        self._configuration: dict[str, Any] | None = None
        self._server: Any = None
        self._lock = threading.Lock()
        for type_ in (
            _Type(self, "database:Database", "database", declarations.DATABASE, autoname=True),
            _Type(self, "role:Role", "role", declarations.ROLE, declarations.validate_role, autoname=True),
            _Type(self, "schema:Schema", "namespace", declarations.SCHEMA, autoname=True),
            _Type(self, "extension:Extension", "extension", declarations.EXTENSION, autoname=True),
            _Type(self, "grant:Grant", "grant", declarations.GRANT, declarations.validate_grant, before_replace=True),
            _Type(
                self,
                "defaultPrivileges:DefaultPrivileges",
                "default_privileges",
                declarations.DEFAULT_PRIVILEGES,
                declarations.validate_default_privileges,
            ),
        ):
            self.types[type_.token] = type_

    def configure(self, configuration: dict[str, Any]) -> None:
        self._configuration = configuration

    def server(self) -> Any:
        """Return the server in the provider's configuration. Loads psycopg."""
        with self._lock:
            if self._configuration is None:
                raise ProviderError("the provider has no configuration yet")
            if self._server is None:
                from tools.offline_plugins.postgresql.connections import Connections

                self._server = Connections(ConnectionSettings.of(self._configuration))
            return self._server

    def cancel(self) -> None:
        with self._lock:
            if self._server is not None:
                self._server.cancel()


class _Type(ResourceType):
    """A resource type whose operations are in a separate module."""

    def __init__(
        self,
        plugin: PostgresPlugin,
        token: str,
        module: str,
        properties: Properties,
        validator: Validator | None = None,
        *,
        autoname: bool = False,
        before_replace: bool = False,
    ) -> None:
        self.token = f"postgresql:index/{token}"
        self.properties = properties
        self.autoname = autoname
        self.delete_before_replace = before_replace
        self._plugin = plugin
        self._module = f"tools.offline_plugins.postgresql.{module}"
        self._validator = validator

    def _operations(self) -> Operations:
        module: Any = importlib.import_module(self._module)
        operations: Operations = module
        return operations

    def validate(self, inputs: Mapping[str, Any], old: Mapping[str, Any]) -> Iterator[Failure]:
        if self._validator is not None:
            yield from self._validator(inputs)

    def create(self, inputs: dict[str, Any]) -> FoundResource:
        return self._operations().create(self._plugin.server(), inputs)

    def read(self, id_: str, state: dict[str, Any]) -> FoundResource | None:
        return self._operations().read(self._plugin.server(), id_, state)

    def update(self, id_: str, state: dict[str, Any], inputs: dict[str, Any]) -> FoundResource:
        with recording() as record:
            # A password cannot be compared with the server's. The update after a failed one must set it.
            known = {name: value for name, value in state.items() if name != "password"}
            record.unfinished = FoundResource(id_, known)
            return self._operations().update(self._plugin.server(), id_, state, inputs)

    def delete(self, id_: str, state: dict[str, Any]) -> None:
        self._operations().delete(self._plugin.server(), id_, state)
