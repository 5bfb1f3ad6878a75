"""Stack config as typed values: endpoints, credentials and the switches that differ between environments.

``Settings.load()`` reads the keys that ``Pulumi.yaml`` declares, under the project's namespace, plus
``objectStore:target`` and ``postgres:tenantIsolation``. Raises ``SettingsError`` naming the key, what is wrong and the command that mends it.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

import pulumi

from components.config.namespace import NAMESPACE
from components.config.rules import clashes, wrong_texts
from components.mapping import Mapping, MappingError, load
from components.rustfs.servers import Target

POSTGRES_IMAGE = "postgres:18.6"

Choice = TypeVar("Choice", bound=str)
ROW_LEVEL_SECURITY: Literal["row-level-security"] = "row-level-security"

VALKEY_IMAGE = "valkey/valkey:8.1.8"
MAINTENANCE_IMAGE = "python:3.13.14-slim"
EXPORTER_IMAGE = "oliver006/redis_exporter:v1.91.1"
SENTINELS_MINIMUM = 3  # one beside each server: two of them must agree when one is gone with its server


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
    """Where the Valkey deployment goes: a directory of manifests, a cluster, or nowhere.

    Each module's ConfigMap and Secret go to ``contract_namespace``, which may hold ``{module}``, else to ``namespace``;
    or nowhere with ``contract_objects`` off. ``context`` is of the kubeconfig, empty for its current one. ``wait``: whether ``up`` waits until pods run.
    """

    mode: Literal["render", "cluster", "none"]
    render_directory: str
    namespace: str
    context: str = ""
    create_namespace: bool = False
    wait: bool = True
    contract_objects: bool = True
    contract_namespace: str = ""


@dataclass(frozen=True)
class ValkeyDeploymentSettings:
    """How Valkey runs on Kubernetes. ``replicas`` beside the primary: none, or at least two, with Sentinel."""

    image: str = VALKEY_IMAGE
    maintenance_image: str = MAINTENANCE_IMAGE
    exporter_image: str = EXPORTER_IMAGE
    replicas: int = 0
    appendfsync: Literal["everysec", "always"] = "everysec"
    tls_secret: str = "valkey-tls"  # noqa: S105 - its name
    storage_class: str = ""
    priority_class: str = ""
    exporter: bool = False
    service_monitor: bool = False
    module_namespaces: tuple[str, ...] = ()
    monitoring_namespaces: tuple[str, ...] = ("monitoring",)
    trim_schedule: str = "17 3 * * *"
    keys_schedule: str = "47 * * * *"
    rotate: int = 1


@dataclass(frozen=True)
class ObjectStoreSettings:
    """The S3 endpoint, which kind of server answers there, and how hard locked versions are locked."""

    target: Target
    endpoint: str
    region: str
    access_key: pulumi.Output[str]
    secret_key: pulumi.Output[str]
    bucket_prefix: str
    object_lock_mode: Literal["governance", "compliance"] = "governance"
    adopt_buckets: frozenset[str] = frozenset()


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
    valkey_deployment: ValkeyDeploymentSettings
    object_store: ObjectStoreSettings
    backups: BackupSettings

    def load_mapping(self) -> Mapping:
        """The mapping. Raises ``SettingsError`` with all that is wrong in it, or clashes with the stack's config."""
        try:
            mapping = load(self.mapping)
        except MappingError as error:
            raise SettingsError(f"the mapping has {len(error.problems)} problem(s):\n{error}") from None
        if problems := clashes(self, mapping):
            raise SettingsError("\n".join(problems))
        return mapping

    @staticmethod
    def load() -> "Settings":
        """Read the stack's config. Raises ``SettingsError``."""
        config = pulumi.Config(NAMESPACE)
        if wrong := wrong_texts(config.get):
            raise SettingsError("\n".join(wrong))
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
                drop_schemas=frozenset(_names(config, "dropSchemas")),
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
                context=config.get("kubernetesContext") or "",
                create_namespace=config.get_bool("kubernetesNamespaceCreate") or False,
                wait=config.get_bool("kubernetesWait") is not False,
                contract_objects=config.get_bool("contractObjects") is not False,
                contract_namespace=config.get("contractNamespace") or "",
            ),
            valkey_deployment=_valkey_deployment(config),
            object_store=ObjectStoreSettings(
                target=_choice(pulumi.Config("objectStore"), "target", ("rustfs", "minio", "aws")),
                endpoint=_text(config, "objectStoreEndpoint"),
                region=config.get("objectStoreRegion") or "us-east-1",
                access_key=_secret(config, "objectStoreAccessKey"),
                secret_key=_secret(config, "objectStoreSecretKey"),
                bucket_prefix=config.get("bucketPrefix") or "",
                object_lock_mode=_choice(config, "objectLockMode", ("governance", "compliance")),
                adopt_buckets=frozenset(_names(config, "adoptBuckets")),
            ),
            backups=BackupSettings(
                mode=_choice(config, "backups", ("logical", "continuous", "none")),
                encryption=config.get("backupsEncryption") or "",
                volume_size=config.get("backupsVolumeSize") or "20Gi",
                postgres_image=_image(config, "backupsPostgresImage", POSTGRES_IMAGE),
                agent_image=_image(config, "backupsAgentImage", MAINTENANCE_IMAGE),
            ),
        )


def _valkey_deployment(config: pulumi.Config) -> ValkeyDeploymentSettings:
    default = ValkeyDeploymentSettings()
    replicas = config.get_int("valkeyReplicas") or 0
    if replicas < 0 or 0 < replicas < SENTINELS_MINIMUM - 1:
        raise SettingsError(
            f"config {config.name}:valkeyReplicas is {replicas}; it must be 0, or at least {SENTINELS_MINIMUM - 1}, "
            "since Sentinel runs beside each server and needs three to agree on a new primary"
        )
    exporter, monitor = (config.get_bool(key) or False for key in ("valkeyExporter", "valkeyServiceMonitor"))
    if monitor and not exporter:
        raise SettingsError(
            f"config {config.name}:valkeyServiceMonitor needs the exporter; run: pulumi config set valkeyExporter true"
        )
    return ValkeyDeploymentSettings(
        image=_image(config, "valkeyImage", default.image),
        maintenance_image=_image(config, "valkeyMaintenanceImage", default.maintenance_image),
        exporter_image=_image(config, "valkeyExporterImage", default.exporter_image),
        replicas=replicas,
        appendfsync=_choice(config, "valkeyAppendfsync", ("everysec", "always")),
        tls_secret=config.get("valkeyTlsSecret") or default.tls_secret,
        storage_class=config.get("valkeyStorageClass") or "",
        priority_class=config.get("valkeyPriorityClass") or "",
        exporter=exporter,
        service_monitor=monitor,
        module_namespaces=_names(config, "moduleNamespaces"),
        monitoring_namespaces=_names(config, "monitoringNamespaces") or default.monitoring_namespaces,
        trim_schedule=config.get("valkeyTrimSchedule") or default.trim_schedule,
        keys_schedule=config.get("valkeyKeysSchedule") or default.keys_schedule,
        rotate=config.get_int("valkeyRotate") or default.rotate,
    )


def _image(config: pulumi.Config, key: str, default: str) -> str:
    """The image with its version, and with its digest where ``<key>Digest`` gives one."""
    image = config.get(key) or default
    if ":" not in image.rpartition("/")[2] or image.endswith(":latest") or "@" in image:
        raise SettingsError(
            f"config {config.name}:{key} is {image!r}; it must be name:version, its digest goes to {key}Digest"
        )
    digest = config.get(f"{key}Digest") or ""
    if digest and not re.fullmatch(r"sha256:[0-9a-f]{64}", digest):
        raise SettingsError(f"config {config.name}:{key}Digest is {digest!r}; it must be sha256: and 64 digits in hex")
    return f"{image}@{digest}" if digest else image


def _names(config: pulumi.Config, key: str) -> tuple[str, ...]:
    """Names divided by commas."""
    return tuple(part.strip() for part in (config.get(key) or "").split(",") if part.strip())


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


def _choice(config: pulumi.Config, key: str, allowed: tuple[Choice, ...]) -> Choice:
    """One of ``allowed``; the first is the default."""
    value = config.get(key) or allowed[0]
    if value not in allowed:
        raise SettingsError(f"config {config.name}:{key} is {value!r}; it must be one of {', '.join(allowed)}")
    return value
