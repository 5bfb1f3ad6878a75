"""A stack as the day-two commands see it: its mapping, and its config with secrets in clear, in memory only."""

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pulumi.dynamic import Config, ConfigureRequest

from components.config.namespace import NAMESPACE
from components.config.settings import ROW_LEVEL_SECURITY
from components.mapping import Mapping, MappingError, load
from components.mapping.access import backup_role, tenant_bypass, tenant_rules
from components.rustfs.servers import KINDS, Target
from provider.dynamic_config import setting
from provider.errors import ProviderError
from provider.postgres.row_security import OFF, Isolation
from provider.postgres.server import Server as PostgresServer
from provider.rustfs.store import Store
from provider.valkey.server import Server as ValkeyServer
from tools.pulumi_cli import PulumiCli, PulumiError

ENGINE_TIMEOUT_SECONDS = 60
SELECTED = "selected"  # shown for a stack that nobody named


@dataclass(frozen=True)
class Stack:
    """``config`` maps whole keys (``stellaops-storage:postgresHost``) to values."""

    name: str
    config: dict[str, str]

    @staticmethod
    def load(name: str | None) -> "Stack":
        """The stack of that name, ``PULUMI_STACK``'s, or the selected one. Raises ``ProviderError``."""
        stack = name or os.environ.get("PULUMI_STACK")
        document = _read(["config", "--json", "--show-secrets"], stack, "the config")
        values = {key: str(item["value"]) for key, item in document.items() if "value" in item}
        return Stack(stack or SELECTED, values)

    @property
    def request(self) -> ConfigureRequest:
        """The config as the providers of dynamic resources get it, so that both read it with the same code."""
        return ConfigureRequest(Config(dict(self.config), NAMESPACE))

    def setting(self, key: str, default: str | None = None) -> str:
        """The value of a key in the project's namespace. Raises ``ProviderError`` when it is missing."""
        return setting(self.request, key, default)

    @cached_property
    def mapping(self) -> Mapping:
        """Raises ``ProviderError`` with every problem of the mapping."""
        try:
            return load(Path(self.setting("mapping", "schema-mapping.yaml")))
        except MappingError as error:
            raise ProviderError(f"the mapping has {len(error.problems)} problem(s):\n{error}") from None

    @cached_property
    def outputs(self) -> dict[str, Any]:
        """The stack's outputs, secrets in clear; empty before the first ``up``. Raises ``ProviderError``."""
        stack = None if self.name == SELECTED else self.name
        return _read(["stack", "output", "--json", "--show-secrets"], stack, "the outputs")

    @property
    def postgres(self) -> PostgresServer:
        return PostgresServer.configured(self.request)

    @property
    def isolates_tenants(self) -> bool:
        """Whether row-level security keeps tenants apart. Raises ``ProviderError`` for a value that means nothing."""
        value = self.config.get("postgres:tenantIsolation", "off")
        if value not in ("off", ROW_LEVEL_SECURITY):
            raise ProviderError(f"config postgres:tenantIsolation is {value!r}; it must be off or {ROW_LEVEL_SECURITY}")
        return value == ROW_LEVEL_SECURITY

    def isolation(self, schema: str) -> Isolation:
        """How the tenants of a schema are kept apart. Raises ``ProviderError``."""
        if not self.isolates_tenants:
            return OFF
        backup = (backup_role(self.postgres.database),) if self.setting("backups", "logical") != "none" else ()
        return Isolation(tenant_rules(self.mapping, schema), (*tenant_bypass(self.mapping, schema), *backup))

    @property
    def valkey(self) -> ValkeyServer:
        return ValkeyServer.configured(self.request)

    @property
    def object_store_target(self) -> Target:
        """Which kind of server the object store is. Raises ``ProviderError``."""
        target = self.config.get("objectStore:target", "rustfs")
        if target not in KINDS:
            raise ProviderError(f"config objectStore:target is {target!r}; it must be one of {', '.join(KINDS)}")
        return target

    @property
    def bucket_prefix(self) -> str:
        """What stands before each bucket's and each access key's name."""
        return self.setting("bucketPrefix", "")

    @property
    def object_store(self) -> Store:
        return Store.configured(self.request)


def _read(arguments: list[str], stack: str | None, what: str) -> dict[str, Any]:
    """The JSON document that a command of the engine prints. Raises ``ProviderError``."""
    try:
        cli = PulumiCli.on_path()
    except PulumiError as error:
        raise ProviderError(f"{error}; install it, or use the make target for the local stack") from None
    try:
        chosen = ["--stack", stack] if stack else []
        document: dict[str, Any] = cli.json(*arguments, *chosen, timeout=ENGINE_TIMEOUT_SECONDS)
    except PulumiError as error:
        raise ProviderError(f"{what} of stack {stack or '(selected)'} can't be read: {error}") from None
    return document
