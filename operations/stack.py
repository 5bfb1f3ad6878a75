"""A stack as the day-two commands see it: its mapping, and its config with secrets in clear, in memory only."""

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pulumi.dynamic import Config, ConfigureRequest

from components.mapping import Mapping, MappingError, load
from components.mapping.access import tenant_bypass, tenant_rules
from components.postgres.row_security import OFF, Isolation
from components.postgres.server import Server as PostgresServer
from components.provider_config import NAMESPACE, setting
from components.provider_errors import ProviderError
from components.rustfs.store import Store
from components.settings import ROW_LEVEL_SECURITY
from components.valkey.server import Server as ValkeyServer

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
        answer = _ask("config", stack)
        values = {key: str(item["value"]) for key, item in answer.items() if "value" in item}
        return Stack(stack or SELECTED, values)

    @cached_property
    def outputs(self) -> dict[str, Any]:
        """What the stack's last ``up`` put out, secrets in clear. Raises ``ProviderError``."""
        return _ask("stack output", None if self.name == SELECTED else self.name)

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
        return Isolation(tenant_rules(self.mapping, schema), tenant_bypass(self.mapping, schema))

    @property
    def valkey(self) -> ValkeyServer:
        return ValkeyServer.configured(self.request)

    @property
    def object_store(self) -> Store:
        return Store.configured(self.request)


def _ask(what: str, stack: str | None) -> dict[str, Any]:
    """The engine's answer with secrets in clear. Raises ``ProviderError``."""
    pulumi = shutil.which("pulumi")
    if pulumi is None:
        raise ProviderError("pulumi is not on the PATH; install it, or use the make target for the local stack")
    command = [pulumi, "--non-interactive", *what.split(), "--json", "--show-secrets"]
    try:
        answer = subprocess.run(
            [*command, *(["--stack", stack] if stack else [])],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=ENGINE_TIMEOUT_SECONDS,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        late = f"pulumi {what} did not answer within {ENGINE_TIMEOUT_SECONDS} s"
        raise ProviderError(f"{late}; see that the stack's backend can be reached") from None
    if answer.returncode:
        said = " ".join(answer.stderr.split()).removeprefix("error: ")
        raise ProviderError(f"the {what} of stack {stack or '(selected)'} can't be read: {said}")
    found: dict[str, Any] = json.loads(answer.stdout)
    return found
