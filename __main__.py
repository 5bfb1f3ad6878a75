"""The program: one mapping -> PostgreSQL, Valkey and the object store -> the contract that services use."""

from typing import Any

import pulumi

from components import contract, providers
from components.backups.component import Backups, BackupsArgs
from components.backups.names import VALKEY_USER
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
    on, rotate = settings.backups.mode != "none", mapping.backups.rotate
    backup = Credential(VALKEY_USER, user=VALKEY_USER, rotate=rotate) if on else None
    cluster = providers.cluster(settings.kubernetes)
    postgres = Postgres("postgres", PostgresArgs(settings=settings.postgres, credentials=credentials, **common))
    Valkey(
        "valkey",
        ValkeyArgs(
            mapping=mapping,
            settings=settings.valkey,
            kubernetes=settings.kubernetes,
            kubernetes_provider=cluster,
            credentials=credentials,
            backup=backup,
            allow_data_loss=settings.allow_data_loss,
        ),
    )
    store = settings.object_store
    provider, loss = providers.object_store(store), settings.allow_data_loss
    ObjectStore("rustfs", ObjectStoreArgs(settings=store, provider=provider, allow_data_loss=loss, **common))
    if backup:
        backups = Backups("backups", BackupsArgs(mapping, settings, backup, postgres, provider, cluster))
        pulumi.export("backups", backups.outputs)

    document = contract.build(mapping, contract.endpoints(settings), store.bucket_prefix)
    pulumi.export("contract", document.model_dump(mode="json"))
    pulumi.export(
        "secrets", {name: credential.clear(name in mapping.modules) for name, credential in credentials.items()}
    )


main()
