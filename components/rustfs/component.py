"""The ``ObjectStore`` component: the mapping's versioned buckets, and an access key for each module.

Built from the mapping's ``rustfs.buckets``, the modules' ``rustfs`` and ``backups.rustfs``. It deliberately creates no
tags, no rule that expires current versions, and no user for a module without objects.
"""

import json
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.config.model import ObjectStoreSettings
from components.mapping import Mapping
from components.resources.object_store import Bucket, ObjectStoreUser
from components.resources.provider import Provider
from components.rustfs import on_aws
from components.rustfs.lifecycle import Rules, retention_rules
from components.rustfs.policies import guard_policy, identity_policy
from components.rustfs.policy_documents import by_name
from components.rustfs.servers import KINDS

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
        self._kind = KINDS[args.settings.target]
        self._options = pulumi.ResourceOptions(parent=self, provider=args.provider)
        self._s3 = pulumi.ResourceOptions(parent=self, provider=args.s3_provider)
        # Settings end with their bucket. Deleted before it, they would leave a bucket unprotected whose deletion is refused.
        self._setting = pulumi.ResourceOptions.merge(self._s3, pulumi.ResourceOptions(retain_on_delete=True))
        self._warn_about_compliance()
        self.buckets = {bucket: self._create_bucket(bucket) for bucket in args.mapping.rustfs.buckets}
        self.secrets = self._create_users()
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

    def _create_bucket(self, name: str) -> pulumi.Output[str]:
        """Create the bucket and its settings, the guard policy last, because it denies changing some. Returns the name."""
        mapping, settings = self._args.mapping, self._args.settings
        definition = mapping.rustfs.buckets[name]
        physical = settings.bucket_prefix + name
        guard = json.dumps(guard_policy(physical, settings.target)) if definition.keeps_everything else ""
        bucket, lifecycle = self._create_store(name, physical, guard)
        versioning = aws.s3.BucketVersioning(
            name,
            bucket=bucket,
            versioning_configuration=aws.s3.BucketVersioningVersioningConfigurationArgs(status="Enabled"),
            opts=self._setting,
        )
        before_guard: list[pulumi.Resource] = [lifecycle]
        if definition.object_lock is not None:
            before_guard.append(self._create_lock(name, versioning.bucket, definition.object_lock.retention.days))
        if self._kind.public_access_block:
            before_guard.append(self._create_public_access_block(name, versioning.bucket))
        if guard:
            self._create_guard(name, versioning.bucket, guard, before_guard)
        # Users of this name wait until no version can be lost any more.
        return versioning.bucket

    def _create_store(self, name: str, physical: str, guard: str) -> tuple[pulumi.Output[str], pulumi.Resource]:
        mapping = self._args.mapping
        definition = mapping.rustfs.buckets[name]
        rules: Rules = retention_rules(
            mapping.backups.rustfs.retention.days,
            mapping.rustfs.abort_multipart_after.days,
            {str(prefix): kept.days for prefix, kept in definition.noncurrent_versions.items()},
        )
        lock = definition.object_lock is not None
        protect, force = self._args.protect, self._args.allow_data_loss
        if self._args.settings.target == "aws":
            return on_aws.bucket(
                name, physical, rules, object_lock=lock, force_destroy=force, protect=protect, opts=self._s3
            )
        bucket = Bucket(
            name,
            bucket=physical,
            object_lock=lock,
            rules=rules,
            force_destroy=force,
            guard=guard,
            adopt=physical in self._args.settings.adopt_buckets,
            opts=pulumi.ResourceOptions(parent=self, provider=self._args.provider, protect=protect),
        )
        return bucket.bucket, bucket

    def _create_lock(self, name: str, bucket: pulumi.Output[str], retention_days: int) -> pulumi.Resource:
        retention = aws.s3.BucketObjectLockConfigurationRuleDefaultRetentionArgs(
            mode=self._args.settings.object_lock_mode.upper(), days=retention_days
        )
        rule = aws.s3.BucketObjectLockConfigurationRuleArgs(default_retention=retention)
        return aws.s3.BucketObjectLockConfiguration(name, bucket=bucket, rule=rule, opts=self._setting)

    def _create_public_access_block(self, name: str, bucket: pulumi.Output[str]) -> pulumi.Resource:
        return aws.s3.BucketPublicAccessBlock(
            name,
            bucket=bucket,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
            opts=self._setting,
        )

    def _create_guard(
        self, name: str, bucket: pulumi.Output[str], guard: str, before: list[pulumi.Resource]
    ) -> pulumi.Resource:
        options = pulumi.ResourceOptions(parent=self, provider=self._args.s3_provider, depends_on=before)
        return aws.s3.BucketPolicy(name, bucket=bucket, policy=guard, opts=options)

    def _create_users(self) -> dict[str, ModuleSecrets]:
        mapping, settings = self._args.mapping, self._args.settings
        secrets = {}
        for name, module in mapping.modules.items():
            policy = identity_policy(mapping, name, settings.bucket_prefix)
            if policy is None:
                continue
            # The prefix separates the users of environments that share a server, as it separates their buckets.
            access_key = settings.bucket_prefix + name
            if settings.target == "aws":
                secrets[name] = on_aws.user(name, access_key, module.rotate, policy, self._s3)
                continue
            user = ObjectStoreUser(
                name,
                user=access_key,
                rotate=module.rotate,
                policy=by_name(policy),
                opts=self._options,
            )
            secrets[name] = {"object_store_access_key": user.user, "object_store_secret_key": user.secret_key}
        return secrets
