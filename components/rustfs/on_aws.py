"""The object store on AWS (``objectStore:target: aws``): the official provider's resources replace our own."""

from typing import Any

import pulumi
import pulumi_aws as aws

from components.rustfs.lifecycle import Rules
from components.rustfs.policy_documents import Document


def bucket(
    name: str, physical: str, rules: Rules, *, object_lock: bool, force_destroy: bool, protect: bool, opts: Any
) -> tuple[pulumi.Output[str], pulumi.Resource]:
    """Create a bucket with lifecycle rules, and return its name and the rules' resource."""
    created = aws.s3.Bucket(
        name,
        bucket=physical,
        object_lock_enabled=object_lock,
        force_destroy=force_destroy,
        opts=pulumi.ResourceOptions(parent=opts.parent, provider=opts.provider, protect=protect),
    )
    lifecycle = aws.s3.BucketLifecycleConfiguration(
        name, bucket=created.bucket, rules=[_rule(rule_id, rule) for rule_id, rule in rules.items()], opts=opts
    )
    return created.bucket, lifecycle


def user(
    name: str, access_key: str, rotate: int, policy: Document, opts: pulumi.ResourceOptions
) -> dict[str, pulumi.Output[str]]:
    """Create an IAM user with one policy, and return the key that AWS generates. A new ``rotate`` creates a new key."""
    created = aws.iam.User(name, name=access_key, opts=opts)
    aws.iam.UserPolicy(name, user=created.name, name=access_key, policy=pulumi.Output.json_dumps(policy), opts=opts)
    key = aws.iam.AccessKey(f"{name}-{rotate}", user=created.name, opts=opts)
    return {"object_store_access_key": key.id, "object_store_secret_key": pulumi.Output.secret(key.secret)}


def _rule(rule_id: str, rule: dict[str, Any]) -> aws.s3.BucketLifecycleConfigurationRuleArgs:
    """A rule of ``retention_rules`` as an argument of the official resource."""
    noncurrent, upload = rule.get("NoncurrentVersionExpiration"), rule.get("AbortIncompleteMultipartUpload")
    return aws.s3.BucketLifecycleConfigurationRuleArgs(
        id=rule_id,
        status="Enabled",
        filter=aws.s3.BucketLifecycleConfigurationRuleFilterArgs(prefix=rule["Prefix"]),
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
