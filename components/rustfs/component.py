"""The ``ObjectStore`` component: the mapping's versioned buckets, and an access key for each module.

Built from ``inventory``: the mapping's ``rustfs.buckets``, the modules' ``rustfs`` and ``backups.rustfs``. It deliberately
creates no tags, no rule that expires current versions, and no user for a module without objects.
"""

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.config.model import ObjectStoreSettings
from components.mapping import Mapping
from components.resources.provider import Provider
from components.rustfs import inventory
from components.rustfs.declare import ObjectStoreResources

ModuleSecrets = dict[str, pulumi.Output[str]]


@dataclass(frozen=True)
class ObjectStoreArgs:
    """Arguments of ``ObjectStoreComponent``. ``provider`` manages buckets and users, ``s3_provider`` the buckets' other
    settings. ``protect`` refuses to delete buckets; ``allow_data_loss`` deletes them with their objects."""

    mapping: Mapping
    settings: ObjectStoreSettings
    provider: Provider
    s3_provider: aws.Provider
    protect: bool
    allow_data_loss: bool


class ObjectStoreComponent(pulumi.ComponentResource):
    """Buckets with all their settings, users and policies.

    ``buckets``: name in the mapping -> physical name. ``secrets``: module -> ``object_store_access_key`` and
    ``object_store_secret_key``, for modules with objects.
    """

    buckets: dict[str, pulumi.Output[str]]
    secrets: dict[str, ModuleSecrets]

    def __init__(self, name: str, args: ObjectStoreArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("stellaops:rustfs:ObjectStore", name, None, opts)
        self._args = args
        self._warn_about_compliance()
        resources = ObjectStoreResources(
            self, args.settings, args.provider, args.s3_provider, args.protect, args.allow_data_loss
        )
        mapping, settings = args.mapping, args.settings
        self.buckets = {item.name: resources.bucket(item) for item in inventory.buckets(mapping, settings)}
        self.secrets = {item.name: resources.user(item) for item in inventory.users(mapping, settings)}
        self.register_outputs({"buckets": self.buckets})

    def _warn_about_compliance(self) -> None:
        """Warn in every preview, because compliance mode cannot be undone."""
        locks = {name: bucket.object_lock for name, bucket in self._args.mapping.rustfs.buckets.items()}
        if self._args.settings.object_lock_mode == "compliance":
            for name, lock in locks.items():
                if lock is not None:
                    pulumi.log.warn(
                        f"irreversible: objectLockMode is compliance. For {lock.retention} after a version in bucket {name} is"
                        " written, nobody can delete it or shorten its lock, not even with the root key",
                        self,
                    )
