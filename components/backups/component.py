"""The ``Backups`` component: the bucket of backups, its access key, and the jobs on Kubernetes.

Built from the mapping's ``backups``. It deliberately does not

- copy objects: their buckets keep noncurrent versions (``ObjectStoreComponent``);
- create a replication slot: ``pg_receivewal`` does in its first run;
- create a lifecycle rule that deletes backups, because it would also delete the last one: the jobs delete old backups.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws
from pulumi_kubernetes import Provider as ClusterProvider

from components.backups import inventory
from components.backups.kubernetes import PodsArgs, deploy
from components.config.model import Settings
from components.mapping import Mapping
from components.mapping import backup_names as names
from components.resources.credentials import Credential
from components.resources.provider import Provider
from components.rustfs.declare import ObjectStoreResources
from pods.backup_agent import kinds


@dataclass(frozen=True)
class BackupsArgs:
    """Arguments of ``BackupsComponent``.

    ``role`` is the PostgreSQL login that reads everything. ``provider`` manages the bucket and its access key.
    ``kubernetes_provider`` is None if ``kubernetesMode`` is none. Pods are created after the resources in ``after``: all
    schemas must exist.
    """

    mapping: Mapping
    settings: Settings
    credential: Credential
    role: pulumi.Input[str]
    provider: Provider
    object_store_provider: aws.Provider
    kubernetes_provider: ClusterProvider | None
    namespace: pulumi.Input[str]
    after: Sequence[pulumi.Resource] = ()


def backup_credential(settings: Settings, mapping: Mapping, provider: Provider) -> Credential | None:
    """Return the credential of the backup jobs, or None on a stack without backups."""
    if settings.backups.mode == "none":
        return None
    opts = pulumi.ResourceOptions(provider=provider)
    return Credential(names.VALKEY_USER, user=names.VALKEY_USER, rotate=mapping.backups.rotate, opts=opts)


class BackupsComponent(pulumi.ComponentResource):
    """Bucket, access key and pods. ``outputs`` has the settings that day-two commands need, with passwords as secrets."""

    outputs: dict[str, pulumi.Input[Any]]

    def __init__(self, name: str, args: BackupsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("stellaops:backups:Backups", name, None, opts)
        self._args = args
        settings, mapping, store = args.settings, args.mapping, args.settings.object_store
        resources = ObjectStoreResources(
            self, store, args.provider, args.object_store_provider, settings.protect, settings.allow_data_loss
        )
        self._bucket = resources.bucket(inventory.bucket(mapping, store))
        self._key = resources.user(inventory.user(mapping, store))
        self.outputs = {
            "mode": args.settings.backups.mode,
            "bucket": self._bucket,
            "encryption": args.settings.backups.encryption,
            "postgres_user": self._args.role,
            "postgres_password": args.credential.postgres_password,
            "valkey_user": names.VALKEY_USER,
            "valkey_password": args.credential.valkey_password,
            **self._key,
        }
        if args.kubernetes_provider is not None:
            provider, after = args.kubernetes_provider, list(args.after)
            deploy(self._pods(), pulumi.ResourceOptions(parent=self, provider=provider, depends_on=after))
        self.register_outputs({"bucket": self._bucket, "role": self._args.role})

    def _pods(self) -> PodsArgs:
        args, settings, store = self._args, self._args.settings, self._args.settings.object_store
        database, valkey = settings.postgres, settings.valkey
        retention = {
            "postgres": args.mapping.backups.postgres.retention.days,
            "valkey": args.mapping.backups.valkey.retention.days,
        }
        environment: dict[str, pulumi.Input[str]] = {
            "PGHOST": database.host,
            "PGPORT": str(database.port),
            "PGUSER": self._args.role,
            "PGDATABASE": database.database,
            "PGSSLMODE": database.ssl_mode,
            "SCHEMAS": " ".join(args.mapping.postgres.schemas),
            "SLOT": names.slot(database.database),
            "VALKEY_HOST": valkey.host,
            "VALKEY_PORT": str(valkey.port),
            "VALKEY_TLS": "true" if valkey.tls else "false",
            "VALKEY_USER": names.VALKEY_USER,
            "S3_ENDPOINT": store.endpoint,
            "S3_REGION": store.region,
            "S3_BUCKET": self._bucket,
            "S3_ENCRYPTION": settings.backups.encryption,
            "STACK": pulumi.get_stack(),
        }
        return PodsArgs(
            namespace=args.namespace,
            wait=settings.kubernetes.wait,
            # The API server omits empty values.
            environment={key: value for key, value in environment.items() if value != ""},
            secrets={
                "PGPASSWORD": args.credential.postgres_password,
                "VALKEY_PASSWORD": args.credential.valkey_password,
                "S3_ACCESS_KEY": self._key["object_store_access_key"],
                "S3_SECRET_KEY": self._key["object_store_secret_key"],
            },
            retention={kind: retention[kind.partition("/")[0]] for kind in kinds.KINDS},
            postgres_image=settings.backups.postgres_image,
            agent_image=settings.backups.agent_image,
            volume_size=settings.backups.volume_size,
            wal=settings.backups.mode == "continuous",
        )  # fmt: skip
