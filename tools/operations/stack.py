"""The stack of a day-two command: its mapping, and its config with decrypted secrets, in memory only."""

import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from components.backups import inventory as backups
from components.config.load import SettingsError
from components.config.model import Settings
from components.config.values import ObjectStoreTarget
from components.mapping import Mapping, MappingError, load
from components.mapping.backup_names import OBJECT_STORE_USER
from components.mapping.roles import BackupRole
from components.rustfs import inventory as object_store
from components.rustfs.inventory import DeclaredBucket, DeclaredUser
from provider.errors import ProviderError
from provider.postgres.row_security import OFF, Isolation
from provider.postgres.server import PostgresServer
from provider.rustfs.store import Store
from provider.valkey.server import ValkeyServer
from tools.local.paths import STACK as LOCAL_STACK
from tools.pulumi_cli import PulumiCli, PulumiError
from tools.quoting import shell

ENGINE_TIMEOUT_SECONDS = 60


@dataclass(frozen=True)
class Stack:
    """``config`` maps whole keys (``stellaops-storage:postgresHost``) to values."""

    name: str
    config: dict[str, str]

    @staticmethod
    def load(name: str) -> "Stack":
        """Load a stack by its name. Raises ``ProviderError`` with every wrong key of its config."""
        document: dict[str, Any] = json.loads(_pulumi(name, "the config", "config", "--json", "--show-secrets"))
        found = Stack(name, {key: str(item["value"]) for key, item in document.items() if "value" in item})
        _ = found.settings  # report wrong keys here, once, and not for each store
        return found

    @cached_property
    def settings(self) -> Settings[str]:
        """The config as the program reads it, with decrypted secrets. Raises ``ProviderError`` with every wrong key."""
        try:
            return Settings.of(self.config)
        except SettingsError as error:
            raise ProviderError(str(error)) from None

    @cached_property
    def mapping(self) -> Mapping:
        """Raises ``ProviderError`` with every problem of the mapping."""
        try:
            return load(self.settings.mapping).with_role_prefix(self.settings.postgres.role_prefix)
        except MappingError as error:
            raise ProviderError(f"the mapping has {len(error.problems)} problem(s):\n{error}") from None

    @cached_property
    def outputs(self) -> dict[str, Any]:
        """The stack's outputs with decrypted secrets; empty before the first ``up``. Raises ``ProviderError``."""
        outputs: dict[str, Any] = json.loads(
            _pulumi(self.name, "the outputs", "stack", "output", "--json", "--show-secrets")
        )
        return outputs

    def export(self) -> dict[str, Any]:
        """Export the stack's state (``pulumi stack export``), with encrypted secrets. Raises ``ProviderError``."""
        state: dict[str, Any] = json.loads(_pulumi(self.name, "the state", "stack", "export"))
        return state

    def replace_state(self, state: dict[str, Any]) -> None:
        """Import a state in the form of ``export``. Raises ``ProviderError``."""
        _pulumi(self.name, "the state", "stack", "import", text=json.dumps(state))

    def pulumi(self, arguments: str) -> str:
        """The command that runs ``pulumi`` with these arguments on the stack."""
        return (
            f'make pulumi ARGS="{arguments}"' if self.name == LOCAL_STACK else f"pulumi {arguments} --stack {self.name}"
        )

    def command(self, *words: str) -> str:
        """The command line of a day-two command on the stack, like ``restore``, ``--dump``."""
        return shell("python3", "-m", "tools", *words, "--stack", self.name)

    @property
    def up(self) -> str:
        """The command that applies the mapping."""
        return "make up" if self.name == LOCAL_STACK else f"pulumi up --stack {self.name}"

    @property
    def refreshing_up(self) -> str:
        """The command that reads the stores and then applies the mapping again."""
        if self.name == LOCAL_STACK:
            return "make up ARGS=--refresh"
        return f"pulumi up --refresh --stack {self.name}"

    @property
    def postgres(self) -> PostgresServer:
        settings = self.settings.postgres
        return PostgresServer(
            host=settings.host,
            port=settings.port,
            user=settings.admin_user,
            password=settings.admin_password,
            database=settings.database,
            maintenance_database=settings.maintenance_database,
            ssl_mode=settings.ssl_mode,
        )

    def isolation(self, schema: str) -> Isolation:
        """Return the tenant isolation of a schema. Raises ``ProviderError``."""
        if not self.settings.postgres.isolates_tenants:
            return OFF
        postgres = self.settings.postgres
        backup = BackupRole(postgres.database, postgres.role_prefix).name
        access = self.mapping.access.schemas[schema]
        logins = [self.mapping.access.login(module) for module in access.tenant_bypass]
        return Isolation(access.tenant_rules, (*logins, *([backup] if self.has_backups else ())))

    @property
    def valkey(self) -> ValkeyServer:
        settings = self.settings.valkey
        return ValkeyServer(
            host=settings.host,
            port=settings.port,
            user=settings.admin_user,
            password=settings.admin_password,
            tls=settings.tls,
        )

    @property
    def object_store_target(self) -> ObjectStoreTarget:
        """The kind of server behind the S3 endpoint. Raises ``ProviderError``."""
        return self.settings.object_store.target

    @property
    def bucket_prefix(self) -> str:
        """Prefix of the name of every bucket and access key. Raises ``ProviderError``."""
        return self.settings.object_store.bucket_prefix

    @cached_property
    def buckets(self) -> tuple[DeclaredBucket, ...]:
        """Every bucket of the stack. Raises ``ProviderError``."""
        settings, mapping = self.settings.object_store, self.mapping
        with_backups = (backups.bucket(mapping, settings),) if self.has_backups else ()
        return (*object_store.buckets(mapping, settings), *with_backups)

    @cached_property
    def object_store_users(self) -> tuple[DeclaredUser, ...]:
        """Every user of the stack on the object store. Raises ``ProviderError``."""
        settings, mapping = self.settings.object_store, self.mapping
        with_backups = (backups.user(mapping, settings),) if self.has_backups else ()
        return (*object_store.users(mapping, settings), *with_backups)

    def object_store_secret_key(self, user: str) -> str | None:
        """The secret key of a user in ``object_store_users``, by its ``name``; None if the stack does not have it."""
        if user == OBJECT_STORE_USER:
            outputs = self.outputs.get("backups", {})
        else:
            outputs = self.outputs.get("secrets", {}).get(user, {})
        return outputs.get("object_store_secret_key") or None

    @property
    def has_backups(self) -> bool:
        """Whether the stack has the bucket, the login and the users of backups. Raises ``ProviderError``."""
        return self.settings.backups.mode != "none"

    @property
    def object_store(self) -> Store:
        settings = self.settings.object_store
        return Store(
            endpoint=settings.endpoint,
            region=settings.region,
            access_key=settings.access_key,
            secret_key=settings.secret_key,
        )


def _pulumi(stack: str, subject: str, *arguments: str, text: str = "") -> str:
    """Run a ``pulumi`` command on ``stack`` with ``text`` as its input and return its output. Raises ``ProviderError``.

    ``subject`` names the data in the message of an error.
    """
    try:
        cli = PulumiCli.on_path()
    except PulumiError as error:
        raise ProviderError(f"{error}; install it, or use the make target for the local stack") from None
    try:
        return cli.output(*arguments, "--stack", stack, text=text, timeout=ENGINE_TIMEOUT_SECONDS)
    except (PulumiError, ValueError) as error:
        raise ProviderError(f"{subject} of stack {stack} cannot be read or written: {error}") from None
