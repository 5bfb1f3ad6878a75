"""Declare the resources of a bucket and of a user, for the object store's component and for that of backups."""

import json
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.config.model import ObjectStoreSettings
from components.resources.object_store import Bucket, ObjectStoreUser
from components.resources.provider import Provider
from components.rustfs import on_aws
from components.rustfs.inventory import DeclaredBucket, DeclaredUser, ObjectLock
from components.rustfs.policy_documents import by_name


@dataclass(frozen=True)
class ObjectStoreResources:
    """Declares resources below ``parent``. ``provider`` manages buckets and users, ``s3_provider`` the buckets' other
    settings. ``protect`` refuses to delete buckets; ``allow_data_loss`` deletes them with their objects."""

    parent: pulumi.Resource
    settings: ObjectStoreSettings
    provider: Provider
    s3_provider: aws.Provider
    protect: bool
    allow_data_loss: bool

    def bucket(self, declared: DeclaredBucket) -> pulumi.Output[str]:
        """Declare the bucket and its settings, the guard policy last, because it denies changing some. Returns the name,
        which users wait for, so that no version can be lost any more when they start."""
        guard = json.dumps(declared.guard) if declared.guard else ""
        bucket, lifecycle = self._store(declared, guard)
        versioning = aws.s3.BucketVersioning(
            declared.name,
            bucket=bucket,
            versioning_configuration=aws.s3.BucketVersioningVersioningConfigurationArgs(status="Enabled"),
            opts=self._setting,
        )
        before_guard: list[pulumi.Resource] = [lifecycle]
        if declared.lock is not None:
            before_guard.append(self._lock(declared.name, versioning.bucket, declared.lock))
        if declared.public_access_block:
            before_guard.append(self._public_access_block(declared.name, versioning.bucket))
        if guard:
            options = pulumi.ResourceOptions.merge(self._s3, pulumi.ResourceOptions(depends_on=before_guard))
            aws.s3.BucketPolicy(declared.name, bucket=versioning.bucket, policy=guard, opts=options)
        return versioning.bucket

    def user(self, declared: DeclaredUser) -> dict[str, pulumi.Output[str]]:
        """Declare the user. Returns ``object_store_access_key`` and ``object_store_secret_key``."""
        if self.settings.target == "aws":
            return on_aws.user(declared.name, declared.access_key, declared.rotate, declared.policy, self._s3)
        user = ObjectStoreUser(
            declared.name,
            user=declared.access_key,
            rotate=declared.rotate,
            policy=by_name(declared.policy),
            opts=pulumi.ResourceOptions(parent=self.parent, provider=self.provider),
        )
        return {"object_store_access_key": user.user, "object_store_secret_key": user.secret_key}

    @property
    def _s3(self) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(parent=self.parent, provider=self.s3_provider)

    @property
    def _setting(self) -> pulumi.ResourceOptions:
        """Settings end with their bucket. Deleted before it, they would leave a bucket unprotected whose deletion is
        refused."""
        return pulumi.ResourceOptions.merge(self._s3, pulumi.ResourceOptions(retain_on_delete=True))

    def _store(self, declared: DeclaredBucket, guard: str) -> tuple[pulumi.Output[str], pulumi.Resource]:
        lock = declared.lock is not None
        if self.settings.target == "aws":
            return on_aws.bucket(
                declared.name,
                declared.physical,
                declared.rules,
                object_lock=lock,
                force_destroy=self.allow_data_loss,
                protect=self.protect,
                opts=self._s3,
            )
        bucket = Bucket(
            declared.name,
            bucket=declared.physical,
            object_lock=lock,
            rules=declared.rules,
            force_destroy=self.allow_data_loss,
            guard=guard,
            adopt=declared.physical in self.settings.adopt_buckets,
            opts=pulumi.ResourceOptions(parent=self.parent, provider=self.provider, protect=self.protect),
        )
        return bucket.bucket, bucket

    def _lock(self, name: str, bucket: pulumi.Output[str], lock: ObjectLock) -> pulumi.Resource:
        retention = aws.s3.BucketObjectLockConfigurationRuleDefaultRetentionArgs(mode=lock.mode, days=lock.days)
        rule = aws.s3.BucketObjectLockConfigurationRuleArgs(default_retention=retention)
        return aws.s3.BucketObjectLockConfiguration(name, bucket=bucket, rule=rule, opts=self._setting)

    def _public_access_block(self, name: str, bucket: pulumi.Output[str]) -> pulumi.Resource:
        return aws.s3.BucketPublicAccessBlock(
            name,
            bucket=bucket,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
            opts=self._setting,
        )
