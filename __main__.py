"""The program: one mapping -> PostgreSQL, Valkey and the object store -> the contract that services use."""

from typing import Any

import pulumi

from components import contract, providers
from components.backups.component import Backups, BackupsArgs, backup_credential
from components.contract_objects import ContractObjects, ContractObjectsArgs
from components.credentials import Credential
from components.mapping import MappingError, load
from components.postgres.component import Postgres, PostgresArgs
from components.rustfs.component import ObjectStore, ObjectStoreArgs
from components.settings import Settings
from components.valkey.component import Valkey, ValkeyArgs


def main() -> None:
    """Everything of one stack. A broken mapping stops here, before any store is touched."""
    settings = Settings.load()
    try:
        mapping = load(settings.mapping)
    except MappingError as error:
        raise pulumi.RunError(f"the mapping has {len(error.problems)} problem(s):\n{error}") from None
    settings.check(mapping)

    credentials = {name: Credential(name, user=name, rotate=user.rotate) for name, user in mapping.users.items()}
    common: dict[str, Any] = {"mapping": mapping, "protect": settings.protect}
    data = {**common, "allow_data_loss": settings.allow_data_loss}
    backup, cluster = backup_credential(settings, mapping), providers.cluster(settings.kubernetes)
    logins: dict[str, Any] = {"credentials": credentials, "backup": backup}
    wal = settings.backups.mode == "continuous"
    postgres = Postgres("postgres", PostgresArgs(settings=settings.postgres, replicates=wal, **logins, **common))
    valkey = Valkey(
        "valkey",
        ValkeyArgs(
            settings=settings.valkey,
            kubernetes=settings.kubernetes,
            kubernetes_provider=cluster,
            deployment=settings.valkey_deployment,
            **logins,
            **data,
        ),
    )
    store, provider = settings.object_store, providers.object_store(settings.object_store)
    objects = ObjectStore("rustfs", ObjectStoreArgs(settings=store, provider=provider, **data))
    if backup and postgres.backup:
        args = BackupsArgs(mapping, settings, backup, postgres.backup, provider, cluster, valkey.namespace)
        pulumi.export("backups", Backups("backups", args).outputs)

    document = contract.build(mapping, contract.endpoints(settings), store.bucket_prefix)
    known = {name: credential.clear(name in mapping.modules) for name, credential in credentials.items()}
    secrets = {name: values | objects.secrets.get(name, {}) for name, values in known.items()}
    if cluster is not None and settings.kubernetes.contract_objects:
        namespace = settings.kubernetes.contract_namespace or valkey.namespace
        ContractObjects("contract", ContractObjectsArgs(document, secrets, namespace, cluster))
    pulumi.export("contract", document.model_dump(mode="json"))
    pulumi.export("secrets", secrets)


main()
