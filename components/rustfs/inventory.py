"""Every bucket and user of the object store, as data. The components create resources from it; ``drift`` compares it.

``components/backups/inventory.py`` has the bucket and the user of backups in the same form.
"""

from dataclasses import dataclass
from typing import Any

from components.config.model import ObjectStoreSettings
from components.mapping import Mapping
from components.rustfs.lifecycle import Rules, retention_rules
from components.rustfs.policies import guard_policy, identity_policy
from components.rustfs.policy_documents import Document
from components.rustfs.servers import KINDS


@dataclass(frozen=True)
class ObjectLock:
    """The default retention of new versions. ``mode`` is GOVERNANCE or COMPLIANCE."""

    mode: str
    days: int


@dataclass(frozen=True)
class DeclaredBucket:
    """A versioned bucket. ``name`` is its resource's name, ``physical`` its name on the server.

    ``guard`` is its bucket policy; None: it must have none. ``write_once``: keys are not written twice or deleted.
    """

    name: str
    physical: str
    rules: Rules
    lock: ObjectLock | None
    guard: Document | None
    public_access_block: bool
    write_once: bool


@dataclass(frozen=True)
class DeclaredUser:
    """A user with its only policy. ``name`` is its resource's name, ``access_key`` its name on the server."""

    name: str
    access_key: str
    rotate: int
    policy: Document


def buckets(mapping: Mapping, settings: ObjectStoreSettings[Any]) -> tuple[DeclaredBucket, ...]:
    """The buckets of the mapping."""
    return tuple(_bucket(mapping, settings, name) for name in mapping.rustfs.buckets)


def users(mapping: Mapping, settings: ObjectStoreSettings[Any]) -> tuple[DeclaredUser, ...]:
    """A user for each module with objects.

    The prefix separates the users of environments that share a server, as it separates their buckets.
    """
    prefix = settings.bucket_prefix
    policies = {name: identity_policy(mapping, name, prefix) for name in mapping.modules}
    return tuple(
        DeclaredUser(name, prefix + name, mapping.modules[name].rotate, policy)
        for name, policy in policies.items()
        if policy is not None
    )


def _bucket(mapping: Mapping, settings: ObjectStoreSettings[Any], name: str) -> DeclaredBucket:
    definition, physical = mapping.rustfs.buckets[name], settings.bucket_prefix + name
    lock = definition.object_lock
    return DeclaredBucket(
        name=name,
        physical=physical,
        rules=retention_rules(
            mapping.backups.rustfs.retention.days,
            mapping.rustfs.abort_multipart_after.days,
            {str(prefix): kept.days for prefix, kept in definition.noncurrent_versions.items()},
        ),
        lock=ObjectLock(settings.object_lock_mode.upper(), lock.retention.days) if lock else None,
        guard=guard_policy(physical, settings.target) if definition.keeps_everything else None,
        public_access_block=KINDS[settings.target].public_access_block,
        write_once=definition.keeps_everything,
    )
