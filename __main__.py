"""The program: one mapping -> PostgreSQL, Valkey and the object store -> the contract that services use."""

from typing import Any

import pulumi

from components import contract, providers
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

    credentials = {name: Credential(name, user=name, rotate=user.rotate) for name, user in mapping.users.items()}
    common: dict[str, Any] = {"mapping": mapping, "protect": settings.protect}
    Postgres("postgres", PostgresArgs(settings=settings.postgres, credentials=credentials, **common))
    cluster = providers.cluster(settings.kubernetes)
    valkey = Valkey(
        "valkey",
        ValkeyArgs(
            settings=settings.valkey,
            kubernetes=settings.kubernetes,
            kubernetes_provider=cluster,
            deployment=settings.valkey_deployment,
            credentials=credentials,
            allow_data_loss=settings.allow_data_loss,
            **common,
        ),
    )
    store = settings.object_store
    provider, loss = providers.object_store(store), settings.allow_data_loss
    objects = ObjectStore("rustfs", ObjectStoreArgs(settings=store, provider=provider, allow_data_loss=loss, **common))

    document = contract.build(mapping, contract.endpoints(settings), store.bucket_prefix)
    secrets = {
        name: credential.clear(name in mapping.modules) | objects.secrets.get(name, {})
        for name, credential in credentials.items()
    }
    if cluster is not None and settings.kubernetes.contract_objects:
        namespace = settings.kubernetes.contract_namespace or valkey.namespace
        ContractObjects("contract", ContractObjectsArgs(document, secrets, namespace, cluster))
    pulumi.export("contract", document.model_dump(mode="json"))
    pulumi.export("secrets", secrets)


main()
