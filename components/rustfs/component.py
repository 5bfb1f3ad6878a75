"""The ``ObjectStore`` component: one versioned bucket for each top-level path of the mapping, with its lifecycle.

Made from the mapping's ``rustfs.buckets`` and ``backups.rustfs``. It deliberately makes no user, no policy and no
tags, and no rule that deletes a current version.
"""

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.mapping import Mapping
from components.mapping.names import days
from components.rustfs.bucket_resource import Bucket
from components.rustfs.lifecycle import Rules, retention_rules
from components.settings import ObjectStoreSettings


@dataclass(frozen=True)
class ObjectStoreArgs:
    """What the component is made from. ``protect`` guards buckets against deletion; ``allow_data_loss`` lets them
    go with their objects."""

    mapping: Mapping
    settings: ObjectStoreSettings
    provider: aws.Provider
    protect: bool
    allow_data_loss: bool


class ObjectStore(pulumi.ComponentResource):
    """Buckets, versioning and lifecycle. Output ``buckets``: name in the mapping -> physical name."""

    buckets: dict[str, pulumi.Output[str]]

    def __init__(self, name: str, args: ObjectStoreArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("stellaops:rustfs:ObjectStore", name, None, opts)
        self._args = args
        self._options = pulumi.ResourceOptions(parent=self, provider=args.provider)
        self.buckets = {bucket: self._create_bucket(bucket) for bucket in args.mapping.rustfs.buckets}
        self.register_outputs({"buckets": self.buckets})

    def _create_bucket(self, name: str) -> pulumi.Output[str]:
        mapping = self._args.mapping
        rules = retention_rules(days(mapping.backups.rustfs.retention), days(mapping.rustfs.abort_multipart_after))
        physical = self._args.settings.bucket_prefix + name
        make = self._on_aws if self._args.settings.target == "aws" else self._on_rustfs
        bucket = make(name, physical, rules, mapping.rustfs.buckets[name].object_lock)
        versioning = aws.s3.BucketVersioning(
            name,
            bucket=bucket,
            versioning_configuration=aws.s3.BucketVersioningVersioningConfigurationArgs(status="Enabled"),
            opts=self._options,
        )
        # Whoever uses the name waits until no version can be lost any more.
        return versioning.bucket

    def _on_rustfs(self, name: str, physical: str, rules: Rules, object_lock: bool) -> pulumi.Output[str]:
        return Bucket(
            name,
            bucket=physical,
            object_lock=object_lock,
            rules=rules,
            force_destroy=self._args.allow_data_loss,
            opts=pulumi.ResourceOptions(parent=self, protect=self._args.protect),
        ).bucket

    def _on_aws(self, name: str, physical: str, rules: Rules, object_lock: bool) -> pulumi.Output[str]:
        bucket = aws.s3.Bucket(
            name,
            bucket=physical,
            object_lock_enabled=object_lock,
            force_destroy=self._args.allow_data_loss,
            opts=pulumi.ResourceOptions(parent=self, provider=self._args.provider, protect=self._args.protect),
        )
        aws.s3.BucketLifecycleConfiguration(
            name,
            bucket=bucket.bucket,
            rules=[_aws_rule(rule_id, rule) for rule_id, rule in rules.items()],
            opts=self._options,
        )
        return bucket.bucket


def _aws_rule(rule_id: str, rule: dict[str, dict[str, int]]) -> aws.s3.BucketLifecycleConfigurationRuleArgs:
    """A rule of ``retention_rules`` in the words of the official resource."""
    noncurrent, upload = rule.get("NoncurrentVersionExpiration"), rule.get("AbortIncompleteMultipartUpload")
    return aws.s3.BucketLifecycleConfigurationRuleArgs(
        id=rule_id,
        status="Enabled",
        filter=aws.s3.BucketLifecycleConfigurationRuleFilterArgs(prefix=""),
        noncurrent_version_expiration=aws.s3.BucketLifecycleConfigurationRuleNoncurrentVersionExpirationArgs(
            noncurrent_days=noncurrent["NoncurrentDays"]
        )
        if noncurrent
        else None,
        expiration=aws.s3.BucketLifecycleConfigurationRuleExpirationArgs(expired_object_delete_marker=True)
        if "Expiration" in rule
        else None,
        abort_incomplete_multipart_upload=aws.s3.BucketLifecycleConfigurationRuleAbortIncompleteMultipartUploadArgs(
            days_after_initiation=upload["DaysAfterInitiation"]
        )
        if upload
        else None,
    )
