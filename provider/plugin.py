"""The Pulumi provider ``stellaops``: its configuration and its resource kinds.

The engine starts it with ``pulumi-resource-stellaops``, which Pulumi.yaml names. A new kind needs a module with a
subclass of ``Kind``, an entry in ``KINDS``, and a class in ``components.resources``.
"""

from typing import Any

from provider.base.plugin import Plugin
from provider.credential import Credential
from provider.kind import Kind
from provider.postgres.access_revisions import AccessRevisions
from provider.postgres.closed_databases import ClosedDatabases
from provider.postgres.inventory import Inventory
from provider.postgres.privileges import Privileges
from provider.postgres.schema_migrations import SchemaMigrations
from provider.rustfs.bucket import Bucket
from provider.rustfs.user import ObjectStoreUser
from provider.settings import CONFIGURATION, ProviderSettings
from provider.valkey.streams import ValkeyStreams
from provider.valkey.users import ValkeyUsers

KINDS: tuple[type[Kind], ...] = (
    Credential,
    SchemaMigrations,
    AccessRevisions,
    Privileges,
    Inventory,
    ClosedDatabases,
    ValkeyUsers,
    ValkeyStreams,
    Bucket,
    ObjectStoreUser,
)


class StellaOpsPlugin(Plugin):
    """The provider. Contacts no server until a resource is created, read, updated or deleted."""

    def __init__(self) -> None:
        super().__init__(
            "stellaops",
            CONFIGURATION,
            description="Migrations, credentials, Valkey users and streams, buckets and object-store users of StellaOps",
        )
        self._settings = ProviderSettings()
        self.types = {kind.token: kind(self._settings) for kind in KINDS}

    def configure(self, configuration: dict[str, Any]) -> None:
        self._settings.configure(configuration)
