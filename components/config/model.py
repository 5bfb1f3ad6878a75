"""Stack config: one field per key, with its type, default, constraint and description.

The ``config:`` block of ``Pulumi.yaml``, the page ``docs/reference/configuration.md`` and the messages about invalid
values are generated from these fields. After a change run ``python3 -m tools schemas`` and ``make docs``.
"""

from collections.abc import Mapping as Dictionary
from pathlib import Path
from typing import Annotated, Generic, Literal

import pulumi
from pydantic import ValidationInfo, field_validator
from typing_extensions import TypeVar

from components.config import values
from components.config.keys import ConfigKey, ConfigSection
from components.config.load import contradiction, from_engine, read
from components.config.namespace import NAMESPACE
from components.config.values import ROW_LEVEL_SECURITY

# Secrets are outputs in the program and plain text in day-two commands, which use ``Settings[str]``.
SecretText = TypeVar("SecretText", bound=str | pulumi.Output[str], default=pulumi.Output[str])

PYTHON_IMAGE = "python:3.13.14-slim"
PINS = "pins the image even if its tag moves. Empty: not pinned"


# Every server has them, and tools connect to them by default; nobody's data belong there.
MAINTENANCE_DATABASES = ("postgres", "template1")


class PostgresSettings(ConfigSection, Generic[SecretText]):
    """Where PostgreSQL is, and the role that provisions it."""

    host: Annotated[values.Host, ConfigKey("postgresHost", "Host name or address of the PostgreSQL server.")]
    port: Annotated[values.Port, ConfigKey("postgresPort", "TCP port of the PostgreSQL server.")] = 5432
    ssl_mode: Annotated[
        values.SslMode,
        ConfigKey(
            "postgresSslMode",
            "libpq's `sslmode` for every connection to PostgreSQL, including those of the services. The default encrypts "
            "and verifies the server's certificate and host name.",
        ),
    ] = "verify-full"
    admin_user: Annotated[
        values.RoleName,
        ConfigKey(
            "postgresAdminUser",
            "The role that provisions PostgreSQL. It needs CREATEROLE and CREATEDB; SUPERUSER is not needed.",
        ),
    ] = "postgres"
    admin_password: Annotated[
        SecretText, ConfigKey("postgresAdminPassword", "Password of `postgresAdminUser`.", secret=True)
    ]
    superuser: Annotated[
        values.Switch, ConfigKey("postgresSuperuser", "Whether `postgresAdminUser` is a superuser.")
    ] = False
    database: Annotated[
        values.DatabaseName,
        ConfigKey("postgresDatabase", "Name of the database that holds every schema of the mapping."),
    ] = "stellaops"
    maintenance_database: Annotated[
        values.RoleName,
        ConfigKey(
            "postgresMaintenanceDatabase",
            "An existing database to connect to while `postgresDatabase` is created or dropped.",
        ),
    ] = "postgres"
    adopt_database: Annotated[
        values.Switch,
        ConfigKey("adoptDatabase", "Adopt the existing database `postgresDatabase` instead of creating it."),
    ] = False
    drop_schemas: Annotated[
        values.SchemaNames,
        ConfigKey(
            "dropSchemas",
            "Comma-separated schemas that may be dropped with their tables; `*` allows all. Schemas not listed are kept.",
        ),
    ] = frozenset()
    tenant_isolation: Annotated[
        values.TenantIsolation,
        ConfigKey(
            "postgres:tenantIsolation",
            "Tenant isolation in PostgreSQL. `row-level-security`: a session sees and changes only the rows of the tenant "
            "in its setting `app.tenant_id`. `off`: no isolation.",
        ),
    ] = "off"

    role_prefix: Annotated[
        values.RolePrefix,
        ConfigKey(
            "postgres:rolePrefix",
            "Beginning of the name of every PostgreSQL role. Roles belong to the whole server, so two stacks on one server "
            "need different prefixes. Set it before the first `up`.",
        ),
    ] = ""
    open_databases: Annotated[
        values.DatabaseNames,
        ConfigKey(
            "postgres:openDatabases",
            "Comma-separated databases of the server, besides the stack's own, that module logins may connect to. The stack "
            "revokes PUBLIC's CONNECT on the databases `postgres` and `template1` unless they are listed here; `drift` "
            "reports all others that are not.",
        ),
    ] = frozenset()
    trusted_roles: Annotated[
        values.RoleNames,
        ConfigKey(
            "postgres:trustedRoles",
            "Comma-separated PostgreSQL roles, besides `postgresAdminUser`, that may be superusers or members of "
            "`pg_read_all_data`, `pg_write_all_data` and the roles for files and programs of the server, with which they "
            "reach the stack's data. `drift` reports all others. Groups of the admin and the role that `initdb` created are "
            "always accepted.",
        ),
    ] = frozenset()

    @property
    def closed_databases(self) -> list[str]:
        """The maintenance databases that module logins may not connect to."""
        return [name for name in MAINTENANCE_DATABASES if name not in {*self.open_databases, self.database}]

    @property
    def isolates_tenants(self) -> bool:
        return self.tenant_isolation == ROW_LEVEL_SECURITY


class ValkeySettings(ConfigSection, Generic[SecretText]):
    """How services reach Valkey, and whether users and streams are applied to it directly."""

    host: Annotated[values.Host, ConfigKey("valkeyHost", "Host name or address at which services reach Valkey.")]
    port: Annotated[values.Port, ConfigKey("valkeyPort", "TCP port of Valkey.")] = 6379
    tls: Annotated[values.Switch, ConfigKey("valkeyTls", "Encrypt every connection to Valkey with TLS.")] = False
    admin_user: Annotated[
        values.ValkeyUserName, ConfigKey("valkeyAdminUser", "The Valkey user that provisions users and streams.")
    ] = "admin"
    admin_password: Annotated[
        SecretText, ConfigKey("valkeyAdminPassword", "Password of `valkeyAdminUser`.", secret=True)
    ]
    apply: Annotated[
        Literal["none", "direct"],
        ConfigKey(
            "valkeyApply",
            "How users and streams are applied to Valkey. `direct`: this program applies them to `valkeyHost`. `none`: "
            "only the Kubernetes deployment applies them.",
        ),
    ] = "none"


class ValkeyDeploymentSettings(ConfigSection):
    """How Valkey runs on Kubernetes."""

    image_name: Annotated[
        values.ImageName, ConfigKey("valkeyImage", "Image of the Valkey servers and of Sentinel.")
    ] = "valkey/valkey:8.1.8"
    image_digest: Annotated[values.ImageDigest, ConfigKey("valkeyImageDigest", f"Digest of `valkeyImage`; {PINS}.")] = (
        ""
    )
    replicas: Annotated[
        values.Replicas,
        ConfigKey(
            "valkeyReplicas",
            "Number of replicas in addition to the primary. With replicas, Sentinel replaces a primary that fails. The "
            "default is a single server.",
        ),
    ] = 0
    appendfsync: Annotated[
        Literal["everysec", "always"],
        ConfigKey(
            "valkeyAppendfsync",
            "When Valkey flushes writes to disk. `everysec`: a machine failure loses about the last second of writes. "
            "`always`: it loses none, but each write waits for the disk.",
        ),
    ] = "everysec"
    tls_secret: Annotated[
        values.KubernetesName,
        ConfigKey(
            "valkeyTlsSecret", "Kubernetes Secret with `tls.crt`, `tls.key` and `ca.crt`; used if `valkeyTls` is true."
        ),
    ] = "valkey-tls"  # noqa: S105 - its name
    storage_class: Annotated[
        values.KubernetesName,
        ConfigKey("valkeyStorageClass", "StorageClass of Valkey's volumes. Empty: the cluster's default class."),
    ] = ""
    priority_class: Annotated[
        values.KubernetesName,
        ConfigKey(
            "valkeyPriorityClass", "An existing PriorityClass for Valkey's pods. Empty: the cluster's default priority."
        ),
    ] = ""
    exporter: Annotated[
        values.Switch, ConfigKey("valkeyExporter", "Run a Prometheus metrics exporter next to each Valkey server.")
    ] = False
    exporter_image_name: Annotated[
        values.ImageName, ConfigKey("valkeyExporterImage", "Image of the metrics exporter.")
    ] = "oliver006/redis_exporter:v1.91.1"
    exporter_image_digest: Annotated[
        values.ImageDigest, ConfigKey("valkeyExporterImageDigest", f"Digest of `valkeyExporterImage`; {PINS}.")
    ] = ""
    service_monitor: Annotated[
        values.Switch,
        ConfigKey(
            "valkeyServiceMonitor",
            "Create a ServiceMonitor for the exporter. Requires `valkeyExporter`, and the Prometheus Operator's "
            "CustomResourceDefinitions in the cluster.",
        ),
    ] = False
    monitoring_namespaces: Annotated[
        values.NamespaceNames,
        ConfigKey("monitoringNamespaces", "Comma-separated namespaces whose pods may connect to the exporter."),
    ] = ("monitoring",)
    module_namespaces: Annotated[
        values.NamespaceNames,
        ConfigKey(
            "moduleNamespaces",
            "Comma-separated namespaces of the modules. Only pods in these namespaces, and the stack's own jobs, may "
            "connect to Valkey. Empty: `kubernetesNamespace`.",
        ),
    ] = ()
    maintenance_image_name: Annotated[
        values.ImageName,
        ConfigKey(
            "valkeyMaintenanceImage",
            "Image of the jobs that create streams, trim them and audit keys. Any image with Python 3.11 or later works.",
        ),
    ] = PYTHON_IMAGE
    maintenance_image_digest: Annotated[
        values.ImageDigest, ConfigKey("valkeyMaintenanceImageDigest", f"Digest of `valkeyMaintenanceImage`; {PINS}.")
    ] = ""
    trim_schedule: Annotated[
        values.CronSchedule,
        ConfigKey(
            "valkeyTrimSchedule", "Cron schedule, in UTC, of the job that trims streams. The default is daily at 03:17."
        ),
    ] = "17 3 * * *"
    keys_schedule: Annotated[
        values.CronSchedule,
        ConfigKey(
            "valkeyKeysSchedule",
            "Cron schedule, in UTC, of the job that audits keys. The default is hourly at minute 47.",
        ),
    ] = "47 * * * *"
    rotate: Annotated[
        values.Rotation,
        ConfigKey(
            "valkeyRotate",
            "Increase to rotate the passwords of Valkey's nodes, jobs and exporter. The pods restart.",
        ),
    ] = 1

    @property
    def image(self) -> str:
        return _reference(self.image_name, self.image_digest)

    @property
    def exporter_image(self) -> str:
        return _reference(self.exporter_image_name, self.exporter_image_digest)

    @property
    def maintenance_image(self) -> str:
        return _reference(self.maintenance_image_name, self.maintenance_image_digest)

    @field_validator("service_monitor")
    @classmethod
    def _needs_exporter(cls, value: bool, info: ValidationInfo) -> bool:
        if value and info.data.get("exporter") is False:
            raise contradiction("needs the exporter", f"pulumi config set {NAMESPACE}:valkeyExporter true")
        return value


class KubernetesSettings(ConfigSection):
    """Where Kubernetes objects go: a cluster, a directory of manifests, or nowhere."""

    mode: Annotated[
        Literal["cluster", "render", "none"],
        ConfigKey(
            "kubernetesMode",
            "What happens to Kubernetes objects. `cluster`: they are applied to a cluster. `render`: their manifests are "
            "written to `kubernetesRenderDirectory`. `none`: no objects are created.",
        ),
    ] = "cluster"
    render_directory: Annotated[
        values.DirectoryPath,
        ConfigKey("kubernetesRenderDirectory", "Directory for rendered manifests, relative to the project."),
    ] = "rendered"
    namespace: Annotated[
        values.NamespaceName, ConfigKey("kubernetesNamespace", "Namespace of Valkey and of the backup pods.")
    ] = "stellaops"
    create_namespace: Annotated[
        values.Switch,
        ConfigKey(
            "kubernetesNamespaceCreate",
            "Create `kubernetesNamespace`, with the Pod Security level `restricted`. By default it must already exist.",
        ),
    ] = False
    context: Annotated[
        values.KubeconfigContext,
        ConfigKey("kubernetesContext", "Kubeconfig context to use. Empty: the current context."),
    ] = ""
    wait: Annotated[
        values.Switch, ConfigKey("kubernetesWait", "Make `pulumi up` wait until pods are ready and jobs are complete.")
    ] = True
    contract_objects: Annotated[
        values.Switch,
        ConfigKey("contractObjects", "Create a ConfigMap and a Secret with the connection details of each module."),
    ] = True
    contract_namespace: Annotated[
        values.NamespaceTemplate,
        ConfigKey(
            "contractNamespace",
            "Namespace of the ConfigMaps and Secrets that `contractObjects` creates; `{module}` stands for the module's "
            "name, as in `stellaops-{module}`. The namespaces must exist. Empty: `kubernetesNamespace`.",
        ),
    ] = ""


class ObjectStoreSettings(ConfigSection, Generic[SecretText]):
    """The S3 endpoint, the kind of server behind it, and how strictly evidence is locked."""

    target: Annotated[
        values.ObjectStoreTarget,
        ConfigKey("objectStore:target", "The object store at the endpoint: `rustfs`, `minio`, or `aws` for Amazon S3."),
    ] = "rustfs"
    endpoint: Annotated[
        values.Endpoint,
        ConfigKey("objectStoreEndpoint", "URL of the S3 API, such as `https://rustfs.example.org:9000`."),
    ]
    region: Annotated[values.Region, ConfigKey("objectStoreRegion", "S3 region for which requests are signed.")] = (
        "us-east-1"
    )
    access_key: Annotated[
        SecretText,
        ConfigKey(
            "objectStoreAccessKey",
            "Access key that provisions buckets, users and policies, such as root's.",
            secret=True,
        ),
    ]
    secret_key: Annotated[
        SecretText, ConfigKey("objectStoreSecretKey", "Secret key of `objectStoreAccessKey`.", secret=True)
    ]
    bucket_prefix: Annotated[
        values.BucketPrefix,
        ConfigKey(
            "bucketPrefix",
            "Prefix of every bucket and access key, for an object store that several environments share. Empty: no prefix.",
        ),
    ] = ""
    object_lock_mode: Annotated[
        Literal["governance", "compliance"],
        ConfigKey(
            "objectLockMode",
            "S3 Object Lock mode of evidence. `governance`: a key with the bypass permission, such as root's, can lift a "
            "lock. `compliance`: nobody can lift or shorten a lock before it expires.",
        ),
    ] = "governance"
    adopt_buckets: Annotated[
        values.BucketNames,
        ConfigKey(
            "adoptBuckets",
            "Comma-separated names of existing buckets that may be adopted with their objects. Other existing buckets "
            "that hold objects are refused.",
        ),
    ] = frozenset()


class BackupSettings(ConfigSection):
    """What is backed up, and the pods that make the backups."""

    mode: Annotated[
        Literal["logical", "continuous", "none"],
        ConfigKey(
            "backups",
            "Backup mode. `logical`: a dump of each schema, and Valkey snapshots. `continuous`: also base backups and WAL, "
            "for point-in-time restores; `postgresAdminUser` then needs REPLICATION and BYPASSRLS, or SUPERUSER. `none`: "
            "no backups.",
        ),
    ] = "logical"
    encryption: Annotated[
        Literal["", "AES256", "aws:kms", "aws:kms:dsse"],
        ConfigKey(
            "backupsEncryption",
            "Server-side encryption that backups request from the object store. Empty: none.",
        ),
    ] = ""
    volume_size: Annotated[
        values.VolumeSize,
        ConfigKey(
            "backupsVolumeSize",
            "Size of the Kubernetes volume that holds one dump or base backup until it is uploaded.",
        ),
    ] = "20Gi"
    postgres_image_name: Annotated[
        values.ImageName,
        ConfigKey(
            "backupsPostgresImage",
            "Image with `pg_dump`, `pg_basebackup` and `pg_receivewal`, of the server's major version or a later one.",
        ),
    ] = "postgres:18.6"
    postgres_image_digest: Annotated[
        values.ImageDigest, ConfigKey("backupsPostgresImageDigest", f"Digest of `backupsPostgresImage`; {PINS}.")
    ] = ""
    agent_image_name: Annotated[
        values.ImageName,
        ConfigKey(
            "backupsAgentImage",
            "Image of the containers that upload backups. Any image with Python 3.11 or later works.",
        ),
    ] = PYTHON_IMAGE
    agent_image_digest: Annotated[
        values.ImageDigest, ConfigKey("backupsAgentImageDigest", f"Digest of `backupsAgentImage`; {PINS}.")
    ] = ""

    @property
    def postgres_image(self) -> str:
        return _reference(self.postgres_image_name, self.postgres_image_digest)

    @property
    def agent_image(self) -> str:
        return _reference(self.agent_image_name, self.agent_image_digest)


class Settings(ConfigSection, Generic[SecretText]):
    """The whole config of a stack."""

    mapping: Annotated[
        values.FilePath, ConfigKey("mapping", "Path of the schema mapping, relative to the project.")
    ] = Path("schema-mapping.yaml")
    protect: Annotated[
        values.Switch, ConfigKey("protect", "Refuse to delete the database, schemas, owner roles and buckets.")
    ] = False
    allow_data_loss: Annotated[
        values.Switch,
        ConfigKey(
            "allowDataLoss",
            "Allow buckets to be deleted with their objects, streams with their entries, and Valkey's volumes with its "
            "StatefulSet. By default, deleting a bucket or stream that holds data is refused, and volumes are kept.",
        ),
    ] = False
    review_threshold: Annotated[
        values.ReviewThreshold,
        ConfigKey(
            "reviewThreshold",
            "Lowest risk for which the review of a preview requires an approval label. The choices are listed from most "
            "tolerant to strictest; the default is the most tolerant.",
        ),
    ] = "data-loss"
    postgres: PostgresSettings[SecretText]
    valkey: ValkeySettings[SecretText]
    valkey_deployment: ValkeyDeploymentSettings
    kubernetes: KubernetesSettings
    object_store: ObjectStoreSettings[SecretText]
    backups: BackupSettings

    @staticmethod
    def load() -> "Settings":
        """Return the config of the running program's stack. Raises ``SettingsError``."""
        return read(Settings, from_engine(Settings))

    @staticmethod
    def of(config: Dictionary[str, str]) -> "Settings[str]":
        """Return the config from a dictionary: full key -> text, as in ``pulumi config --json``. Raises ``SettingsError``."""
        return read(Settings[str], config)


def _reference(image: str, digest: str) -> str:
    return f"{image}@{digest}" if digest else image
