"""The bucket of backups and its user, in the form of ``components/rustfs/inventory.py``."""

from typing import Any

from components.config.model import ObjectStoreSettings
from components.mapping import Mapping
from components.mapping import backup_names as names
from components.rustfs.inventory import DeclaredBucket, DeclaredUser
from components.rustfs.lifecycle import retention_rules
from components.rustfs.servers import KINDS

NONCURRENT_DAYS = 7  # how long a deleted or overwritten backup can be recovered


def bucket(mapping: Mapping, settings: ObjectStoreSettings[Any]) -> DeclaredBucket:
    """The bucket of backups. It has no guard policy, because the jobs delete old backups."""
    return DeclaredBucket(
        name=names.BUCKET,
        physical=settings.bucket_prefix + names.BUCKET,
        rules=retention_rules(NONCURRENT_DAYS, mapping.rustfs.abort_multipart_after.days),
        lock=None,
        guard=None,
        public_access_block=KINDS[settings.target].public_access_block,
        write_once=False,
    )


def user(mapping: Mapping, settings: ObjectStoreSettings[Any]) -> DeclaredUser:
    """The user of the backup jobs, which is limited to their bucket."""
    prefix = settings.bucket_prefix
    policy = names.bucket_policy(prefix + names.BUCKET)
    return DeclaredUser(names.OBJECT_STORE_USER, prefix + names.OBJECT_STORE_USER, mapping.backups.rotate, policy)
