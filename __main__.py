"""The program: one mapping -> PostgreSQL, Valkey and the object store -> the contract that services use."""

import gc

# It ends in seconds: what the collector frees is not worth a sixth of the program's time.
gc.disable()

import pulumi

from components import providers
from components.backups.component import Backups, BackupsArgs, backup_credential
from components.config.checks import load_mapping
from components.config.model import Settings
from components.contract import document as contract
from components.contract.objects import ContractObjects, ContractObjectsArgs
from components.credentials import Credential
from components.postgres.component import Postgres, PostgresArgs
from components.registration import run
from components.rustfs.component import ObjectStore, ObjectStoreArgs
from components.valkey.component import Valkey, ValkeyArgs


def main() -> None:
    """Everything of one stack. A broken mapping stops here, before any store is touched."""
    settings = Settings.load()
    mapping = load_mapping(settings)

    credentials = {name: Credential(name, user=name, rotate=user.rotate) for name, user in mapping.users.items()}
    backup = backup_credential(settings, mapping)
    cluster, s3 = providers.cluster(settings.kubernetes), providers.object_store(settings.object_store)
    protect, lossy, wal = settings.protect, settings.allow_data_loss, settings.backups.mode == "continuous"

    postgres_args = PostgresArgs(mapping, settings.postgres, credentials, protect, backup=backup, replicates=wal)
    postgres = Postgres("postgres", postgres_args)
    valkey_args = ValkeyArgs(
        mapping, settings.valkey, settings.kubernetes, kubernetes_provider=cluster, credentials=credentials,
        deployment=settings.valkey_deployment, backup=backup, protect=protect, allow_data_loss=lossy,
    )  # fmt: skip
    valkey = Valkey("valkey", valkey_args)
    objects_args = ObjectStoreArgs(mapping, settings.object_store, s3, protect=protect, allow_data_loss=lossy)
    objects = ObjectStore("rustfs", objects_args)
    if backup and postgres.backup:
        after = [*postgres.granted.values()]
        backups_args = BackupsArgs(mapping, settings, backup, postgres.backup, s3, cluster, valkey.namespace, after)
        pulumi.export("backups", Backups("backups", backups_args).outputs)

    document = contract.build(mapping, contract.endpoints(settings), settings.object_store.bucket_prefix)
    keys, modules = objects.secrets, mapping.modules
    secrets = {name: item.clear(name in modules) | keys.get(name, {}) for name, item in credentials.items()}
    if cluster is not None and settings.kubernetes.contract_objects:
        namespace = settings.kubernetes.contract_namespace or valkey.namespace
        ready = {name: [*postgres.ready(name), *valkey.ready] for name in secrets}
        ContractObjects("contract", ContractObjectsArgs(document, secrets, namespace, cluster, ready))
    pulumi.export("contract", document.model_dump(mode="json"))
    pulumi.export("secrets", secrets)


run(main)
