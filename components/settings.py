"""Stack config as typed values: endpoints, credentials and the switches that differ between environments.

``Settings.load()`` reads the keys that ``Pulumi.yaml`` declares, under the project's namespace, plus
``objectStore:target`` and ``postgres:tenantIsolation``. Raises ``SettingsError`` naming the key, what is wrong and the command that mends it.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

import pulumi

from components.provider_config import NAMESPACE

POSTGRES_IMAGE = "postgres:18.6"
AGENT_IMAGE = "python:3.13.14-slim"

Choice = TypeVar("Choice", bound=str)
ROW_LEVEL_SECURITY: Literal["row-level-security"] = "row-level-security"


class SettingsError(pulumi.RunError):
    """Stack config that cannot be used; shown by the engine as one line."""


@dataclass(frozen=True)
class PostgresSettings:
    """Where PostgreSQL is and who provisions it.

    ``drop_schemas`` names schemas that may be dropped with their tables (``*``: all); ``adopt_database`` takes over a
    database that exists already.
    """

    host: str
    port: int
    admin_user: str
    admin_password: pulumi.Output[str]
    database: str
    maintenance_database: str
    ssl_mode: str
    superuser: bool
    drop_schemas: frozenset[str]
    adopt_database: bool
    tenant_isolation: Literal["off", "row-level-security"] = "off"

    @property
    def isolates_tenants(self) -> bool:
        return self.tenant_isolation == ROW_LEVEL_SECURITY


@dataclass(frozen=True)
class ValkeySettings:
    """How services reach Valkey, and whether users and streams are applied to it directly."""

    host: str
    port: int
    tls: bool
    admin_user: str
    admin_password: pulumi.Output[str]
    apply: Literal["direct", "none"]


@dataclass(frozen=True)
class KubernetesSettings:
    """Where the Valkey deployment goes: a directory of manifests, a cluster, or nowhere."""

    mode: Literal["render", "cluster", "none"]
    render_directory: str
    namespace: str


@dataclass(frozen=True)
class ObjectStoreSettings:
    """The S3 endpoint, and which kind of server answers there."""

    target: Literal["rustfs", "aws"]
    endpoint: str
    region: str
    access_key: pulumi.Output[str]
    secret_key: pulumi.Output[str]
    bucket_prefix: str


@dataclass(frozen=True)
class BackupSettings:
    """How much is backed up: dumps and snapshots (``logical``), base backups and WAL as well (``continuous``), or
    nothing. ``encryption`` is what the object store is asked for, empty for nothing; images are those of the pods."""

    mode: Literal["logical", "continuous", "none"]
    encryption: str
    volume_size: str
    postgres_image: str
    agent_image: str


@dataclass(frozen=True)
class Settings:
    mapping: Path
    protect: bool
    allow_data_loss: bool
    postgres: PostgresSettings
    valkey: ValkeySettings
    kubernetes: KubernetesSettings
    object_store: ObjectStoreSettings
    backups: BackupSettings

    @staticmethod
    def load() -> "Settings":
        """Read the stack's config. Raises ``SettingsError``."""
        config = pulumi.Config(NAMESPACE)
        return Settings(
            mapping=Path(config.get("mapping") or "schema-mapping.yaml"),
            protect=config.get_bool("protect") or False,
            allow_data_loss=config.get_bool("allowDataLoss") or False,
            postgres=PostgresSettings(
                host=_text(config, "postgresHost"),
                port=config.get_int("postgresPort") or 5432,
                admin_user=config.get("postgresAdminUser") or "postgres",
                admin_password=_secret(config, "postgresAdminPassword"),
                database=config.get("postgresDatabase") or "stellaops",
                maintenance_database=config.get("postgresMaintenanceDatabase") or "postgres",
                ssl_mode=config.get("postgresSslMode") or "verify-full",
                superuser=config.get_bool("postgresSuperuser") or False,
                drop_schemas=_names(config, "dropSchemas"),
                adopt_database=config.get_bool("adoptDatabase") or False,
                tenant_isolation=_choice(pulumi.Config("postgres"), "tenantIsolation", ("off", ROW_LEVEL_SECURITY)),
            ),
            valkey=ValkeySettings(
                host=_text(config, "valkeyHost"),
                port=config.get_int("valkeyPort") or 6379,
                tls=config.get_bool("valkeyTls") or False,
                admin_user=config.get("valkeyAdminUser") or "admin",
                admin_password=_secret(config, "valkeyAdminPassword"),
                apply=_choice(config, "valkeyApply", ("none", "direct")),
            ),
            kubernetes=KubernetesSettings(
                mode=_choice(config, "kubernetesMode", ("cluster", "render", "none")),
                render_directory=config.get("kubernetesRenderDirectory") or "rendered",
                namespace=config.get("kubernetesNamespace") or "stellaops",
            ),
            object_store=ObjectStoreSettings(
                target=_choice(pulumi.Config("objectStore"), "target", ("rustfs", "aws")),
                endpoint=_text(config, "objectStoreEndpoint"),
                region=config.get("objectStoreRegion") or "us-east-1",
                access_key=_secret(config, "objectStoreAccessKey"),
                secret_key=_secret(config, "objectStoreSecretKey"),
                bucket_prefix=config.get("bucketPrefix") or "",
            ),
            backups=BackupSettings(
                mode=_choice(config, "backups", ("logical", "continuous", "none")),
                encryption=config.get("backupsEncryption") or "",
                volume_size=config.get("backupsVolumeSize") or "20Gi",
                postgres_image=config.get("backupsPostgresImage") or POSTGRES_IMAGE,
                agent_image=config.get("backupsAgentImage") or AGENT_IMAGE,
            ),
        )


def _text(config: pulumi.Config, key: str) -> str:
    value = config.get(key)
    if not value:
        raise SettingsError(f"config {config.name}:{key} is missing; run: pulumi config set {config.name}:{key} VALUE")
    return value


def _secret(config: pulumi.Config, key: str) -> pulumi.Output[str]:
    value = config.get_secret(key)
    if value is None:
        name = f"{config.name}:{key}"
        raise SettingsError(f"config {name} is missing; run: pulumi config set --secret {name} (it asks for the value)")
    return value


def _names(config: pulumi.Config, key: str) -> frozenset[str]:
    """Names divided by commas."""
    return frozenset(name.strip() for name in (config.get(key) or "").split(",") if name.strip())


def _choice(config: pulumi.Config, key: str, allowed: tuple[Choice, ...]) -> Choice:
    """One of ``allowed``; the first is the default."""
    value = config.get(key) or allowed[0]
    if value not in allowed:
        raise SettingsError(f"config {config.name}:{key} is {value!r}; it must be one of {', '.join(allowed)}")
    return value
