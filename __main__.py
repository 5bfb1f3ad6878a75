"""The program: one mapping -> PostgreSQL, Valkey and the object store -> the contract that services use."""

import gc

gc.disable()  # the program runs for seconds only, and garbage collection would take a sixth of that time

import pulumi

from components import providers
from components.backups.component import BackupsArgs, BackupsComponent, backup_credential
from components.config.checks import load_mapping
from components.config.model import Settings
from components.contract import document as contract
from components.contract.objects import ContractObjects, ContractObjectsArgs
from components.postgres.component import PostgresArgs, PostgresComponent
from components.registration import run
from components.resources.credentials import Credential
from components.rustfs.component import ObjectStoreArgs, ObjectStoreComponent
from components.valkey.component import ValkeyArgs, ValkeyComponent


def main() -> None:
    """Declare all resources of the stack. Invalid config or an invalid mapping raises before any store is contacted."""
    settings = Settings.load()
    mapping = load_mapping(settings)
    stellaops, s3 = providers.stellaops(settings), providers.object_store(settings.object_store)
    store, cluster = settings.object_store, providers.cluster(settings.kubernetes)
    opts = pulumi.ResourceOptions(provider=stellaops)
    users = mapping.users.items()
    credentials = {name: Credential(name, user=name, rotate=user.rotate, opts=opts) for name, user in users}
    backup = backup_credential(settings, mapping, stellaops)
    protect, allow_loss, wal = settings.protect, settings.allow_data_loss, settings.backups.mode == "continuous"

    db_args = PostgresArgs(mapping, settings.postgres, credentials, stellaops, protect, backup=backup, replicates=wal)
    postgres = PostgresComponent("postgres", db_args)
    valkey_args = ValkeyArgs(
        mapping=mapping, settings=settings.valkey, provider=stellaops, credentials=credentials, backup=backup,
        kubernetes=settings.kubernetes, kubernetes_provider=cluster, deployment=settings.valkey_deployment,
        protect=protect, allow_data_loss=allow_loss,
    )  # fmt: skip
    valkey = ValkeyComponent("valkey", valkey_args)
    objects = ObjectStoreComponent("rustfs", ObjectStoreArgs(mapping, store, stellaops, s3, protect, allow_loss))
    if backup and postgres.backup:
        after = [*postgres.granted.values()]
        args = BackupsArgs(mapping, settings, backup, postgres.backup, stellaops, s3, cluster, valkey.namespace, after)
        pulumi.export("backups", BackupsComponent("backups", args).outputs)

    document = contract.build(mapping, contract.endpoints(settings), store.bucket_prefix)
    access_keys, modules = objects.secrets, mapping.modules
    secrets = {name: item.clear(name in modules) | access_keys.get(name, {}) for name, item in credentials.items()}
    if cluster is not None and settings.kubernetes.contract_objects:
        namespace = settings.kubernetes.contract_namespace or valkey.namespace
        ready = {name: [*postgres.ready(name), *valkey.ready] for name in secrets}
        ContractObjects("contract", ContractObjectsArgs(document, secrets, namespace, cluster, ready))
    pulumi.export("contract", document.model_dump(mode="json"))
    pulumi.export("secrets", secrets)


run(main)
