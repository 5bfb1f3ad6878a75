"""A stack as the day-two commands see it: its mapping, and its config with secrets in clear, in memory only."""

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from components.config.namespace import NAMESPACE
from components.config.settings import ROW_LEVEL_SECURITY
from components.mapping import Mapping, MappingError, load
from components.mapping.roles import BackupRole
from components.rustfs.servers import KINDS, Target
from provider.errors import ProviderError
from provider.postgres.row_security import OFF, Isolation
from provider.postgres.server import Server as PostgresServer
from provider.rustfs.store import Store
from provider.valkey.server import Server as ValkeyServer

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
        text = _ask_engine(["config", "--json", "--show-secrets"], stack, "the config")
        values = {key: str(item["value"]) for key, item in json.loads(text).items() if "value" in item}
        return Stack(stack or SELECTED, values)

    def setting(self, key: str, default: str | None = None) -> str:
        """The value of a key in the project's namespace. Raises ``ProviderError`` when it is missing."""
        value = self.config.get(f"{NAMESPACE}:{key}", default)
        if value is None:
            raise ProviderError(f"config {NAMESPACE}:{key} is missing; run: pulumi config set {NAMESPACE}:{key}")
        return value

    def _port(self, key: str, default: int) -> int:
        """A port. Raises ``ProviderError`` for anything but a whole number."""
        value = self.setting(key, str(default))
        try:
            return int(value)
        except ValueError:
            raise ProviderError(f"config {NAMESPACE}:{key} is {value!r}; it must be a whole number") from None

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
        outputs: dict[str, Any] = json.loads(
            _ask_engine(["stack", "output", "--json", "--show-secrets"], self._selected, "the outputs")
        )
        return outputs

    def export(self) -> dict[str, Any]:
        """The stack's state as ``pulumi stack export`` gives it, secrets encrypted. Raises ``ProviderError``."""
        state: dict[str, Any] = json.loads(_ask_engine(["stack", "export"], self._selected, "the state"))
        return state

    def replace_state(self, state: dict[str, Any]) -> None:
        """Import a state in the form of ``export``. Raises ``ProviderError``."""
        _ask_engine(["stack", "import"], self._selected, "the state", json.dumps(state))

    @property
    def _selected(self) -> str | None:
        """The stack's name for the engine; None for the one that is selected."""
        return None if self.name == SELECTED else self.name

    @property
    def postgres(self) -> PostgresServer:
        return PostgresServer(
            host=self.setting("postgresHost"),
            port=self._port("postgresPort", 5432),
            user=self.setting("postgresAdminUser", "postgres"),
            password=self.setting("postgresAdminPassword"),
            database=self.setting("postgresDatabase", "stellaops"),
            maintenance_database=self.setting("postgresMaintenanceDatabase", "postgres"),
            ssl_mode=self.setting("postgresSslMode", "verify-full"),
        )

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
        backup = (BackupRole(self.postgres.database).name,) if self.setting("backups", "logical") != "none" else ()
        access = self.mapping.access.schemas[schema]
        return Isolation(access.tenant_rules, (*access.tenant_bypass, *backup))

    @property
    def valkey(self) -> ValkeyServer:
        return ValkeyServer(
            host=self.setting("valkeyHost"),
            port=self._port("valkeyPort", 6379),
            user=self.setting("valkeyAdminUser", "admin"),
            password=self.setting("valkeyAdminPassword"),
            tls=self.setting("valkeyTls", "false").lower() == "true",
        )

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
        return Store(
            endpoint=self.setting("objectStoreEndpoint"),
            region=self.setting("objectStoreRegion", "us-east-1"),
            access_key=self.setting("objectStoreAccessKey"),
            secret_key=self.setting("objectStoreSecretKey"),
        )


def _ask_engine(arguments: list[str], stack: str | None, what: str, text: str = "") -> str:
    """The output of a short command of the engine, with ``text`` on its input. Raises ``ProviderError``."""
    pulumi = shutil.which("pulumi")
    if pulumi is None:
        raise ProviderError("pulumi is not on the PATH; install it, or use the make target for the local stack")
    command = [pulumi, "--non-interactive", *arguments, *(["--stack", stack] if stack else [])]
    try:
        answer = subprocess.run(
            command,
            input=text,
            capture_output=True,
            text=True,
            check=False,
            timeout=ENGINE_TIMEOUT_SECONDS,
        )
    except subprocess.TimeoutExpired:
        said = f"pulumi did not answer within {ENGINE_TIMEOUT_SECONDS} s; see that the stack's backend can be reached"
        raise ProviderError(f"{what} of stack {stack or '(selected)'} cannot be used: {said}") from None
    if answer.returncode:
        said = " ".join(answer.stderr.split()).removeprefix("error: ")
        raise ProviderError(f"{what} of stack {stack or '(selected)'} cannot be used: {said}")
    return answer.stdout
