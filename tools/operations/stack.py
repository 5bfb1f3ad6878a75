"""A stack as the day-two commands see it: its mapping, and its config with secrets in clear, in memory only."""

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pulumi.dynamic import Config, ConfigureRequest

from components.config.load import SettingsError
from components.config.model import Settings
from components.config.namespace import NAMESPACE
from components.config.values import ObjectStoreTarget
from components.mapping import Mapping, MappingError, load
from components.mapping.access import backup_role, tenant_bypass, tenant_rules
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
        found = Stack(stack or SELECTED, values)
        _ = found.settings  # every wrong key is reported here, once, and not by each store that is asked
        return found

    @cached_property
    def settings(self) -> Settings[str]:
        """The config as the program reads it, with secrets in clear. Raises ``ProviderError`` with every wrong key."""
        try:
            return Settings.of(self.config)
        except SettingsError as error:
            raise ProviderError(str(error)) from None

    @property
    def request(self) -> ConfigureRequest:
        """The config as the providers of dynamic resources get it, so that both read it with the same code."""
        return ConfigureRequest(Config(dict(self.config), NAMESPACE))

    @cached_property
    def mapping(self) -> Mapping:
        """Raises ``ProviderError`` with every problem of the mapping."""
        try:
            return load(self.settings.mapping)
        except MappingError as error:
            raise ProviderError(f"the mapping has {len(error.problems)} problem(s):\n{error}") from None

    @cached_property
    def outputs(self) -> dict[str, Any]:
        """The stack's outputs, secrets in clear; empty before the first ``up``. Raises ``ProviderError``."""
        stack = None if self.name == SELECTED else self.name
        outputs: dict[str, Any] = json.loads(
            _ask_engine(["stack", "output", "--json", "--show-secrets"], stack, "the outputs")
        )
        return outputs

    @property
    def postgres(self) -> PostgresServer:
        return PostgresServer.configured(self.request)

    def isolation(self, schema: str) -> Isolation:
        """How the tenants of a schema are kept apart. Raises ``ProviderError``."""
        if not self.settings.postgres.isolates_tenants:
            return OFF
        backup = (backup_role(self.postgres.database),) if self.settings.backups.mode != "none" else ()
        return Isolation(tenant_rules(self.mapping, schema), (*tenant_bypass(self.mapping, schema), *backup))

    @property
    def valkey(self) -> ValkeyServer:
        return ValkeyServer.configured(self.request)

    @property
    def object_store_target(self) -> ObjectStoreTarget:
        """The kind of server behind the S3 endpoint. Raises ``ProviderError``."""
        return self.settings.object_store.target

    @property
    def bucket_prefix(self) -> str:
        """Prefix of the name of every bucket and access key. Raises ``ProviderError``."""
        return self.settings.object_store.bucket_prefix

    @property
    def object_store(self) -> Store:
        return Store.configured(self.request)


def _ask_engine(arguments: list[str], stack: str | None, what: str) -> str:
    """The output of a short command of the engine. Raises ``ProviderError``."""
    pulumi = shutil.which("pulumi")
    if pulumi is None:
        raise ProviderError("pulumi is not on the PATH; install it, or use the make target for the local stack")
    command = [pulumi, "--non-interactive", *arguments, *(["--stack", stack] if stack else [])]
    try:
        answer = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=ENGINE_TIMEOUT_SECONDS,
        )
    except subprocess.TimeoutExpired:
        said = f"pulumi did not answer within {ENGINE_TIMEOUT_SECONDS} s; see that the stack's backend can be reached"
        raise ProviderError(f"{what} of stack {stack or '(selected)'} can't be read: {said}") from None
    if answer.returncode:
        said = " ".join(answer.stderr.split()).removeprefix("error: ")
        raise ProviderError(f"{what} of stack {stack or '(selected)'} can't be read: {said}")
    return answer.stdout
