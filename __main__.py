"""The program: one mapping -> PostgreSQL, Valkey and the object store -> the contract that services use."""

import gc

# It ends in seconds: what the collector frees is not worth a sixth of the program's time.
gc.disable()

from typing import Any

import pulumi

from components import providers
from components.backups.component import Backups, BackupsArgs, backup_credential
from components.config.settings import Settings
from components.contract import document as contract
from components.contract.objects import ContractObjects, ContractObjectsArgs
from components.postgres.component import Postgres, PostgresArgs
from components.registration import run
from components.resources.credentials import Credential
from components.rustfs.component import ObjectStore, ObjectStoreArgs
from components.valkey.component import Valkey, ValkeyArgs


def main() -> None:
    """Everything of one stack. A broken mapping stops here, before any store is touched."""
    settings = Settings.load()
    mapping = settings.load_mapping()

    stellaops = providers.stellaops(settings)
    opts = pulumi.ResourceOptions(provider=stellaops)
    credentials = {
        name: Credential(name, user=name, rotate=user.rotate, opts=opts) for name, user in mapping.users.items()
    }
    common: dict[str, Any] = {"mapping": mapping, "provider": stellaops, "protect": settings.protect}
    data = {**common, "allow_data_loss": settings.allow_data_loss}
    backup, cluster = backup_credential(settings, mapping, stellaops), providers.cluster(settings.kubernetes)
    logins: dict[str, Any] = {"credentials": credentials, "backup": backup}
    wal = settings.backups.mode == "continuous"
    postgres = Postgres("postgres", PostgresArgs(settings=settings.postgres, replicates=wal, **logins, **common))
    pods: dict[str, Any] = {"kubernetes": settings.kubernetes, "deployment": settings.valkey_deployment}
    pods |= {"kubernetes_provider": cluster}
    valkey = Valkey("valkey", ValkeyArgs(settings=settings.valkey, **pods, **logins, **data))
    store, s3 = settings.object_store, providers.object_store(settings.object_store)
    objects = ObjectStore("rustfs", ObjectStoreArgs(settings=store, s3_provider=s3, **data))
    if backup and postgres.backup:
        after = [*postgres.granted.values()]
        args = BackupsArgs(mapping, settings, backup, postgres.backup, stellaops, s3, cluster, valkey.namespace, after)
        pulumi.export("backups", Backups("backups", args).outputs)

    document = contract.build(mapping, contract.endpoints(settings), store.bucket_prefix)
    keys, modules = objects.secrets, mapping.modules
    secrets = {name: item.clear(name in modules) | keys.get(name, {}) for name, item in credentials.items()}
    if cluster is not None and settings.kubernetes.contract_objects:
        namespace = settings.kubernetes.contract_namespace or valkey.namespace
        ready = {name: [*postgres.ready(name), *valkey.ready] for name in secrets}
        ContractObjects("contract", ContractObjectsArgs(document, secrets, namespace, cluster, ready))
    pulumi.export("contract", document.model_dump(mode="json"))
    pulumi.export("secrets", secrets)


run(main)
