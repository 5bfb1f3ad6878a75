"""Drill for object versioning: an overwritten and deleted object can be restored."""

from provider.errors import ProviderError
from tools.operations.recovery.context import RecoveryContext
from tools.operations.recovery.verify import Check


def drill(context: RecoveryContext, key: str) -> list[Check]:
    """Write an object, overwrite and delete it, restore its first version, and remove all versions.

    Uses a bucket where versions may be deleted: one without object lock and content-addressed keys.
    """
    mapping = context.stack.mapping.rustfs.buckets
    names = [name for name, bucket in mapping.items() if not bucket.object_lock and not bucket.content_addressed]
    if not names:
        raise ProviderError(
            "every bucket of the mapping is locked or content-addressed; the drill needs one that is neither"
        )
    bucket = context.stack.bucket_prefix + names[0]
    with context.stack.object_store.client() as client:
        try:
            first = client.put_object(Bucket=bucket, Key=key, Body=b"before")["VersionId"]
            client.put_object(Bucket=bucket, Key=key, Body=b"after")
            client.delete_object(Bucket=bucket, Key=key)
            client.copy_object(Bucket=bucket, Key=key, CopySource={"Bucket": bucket, "Key": key, "VersionId": first})
            restored = client.get_object(Bucket=bucket, Key=key)["Body"].read()
        finally:
            found = client.list_object_versions(Bucket=bucket, Prefix=key)
            for item in (*found.get("Versions", []), *found.get("DeleteMarkers", [])):
                client.delete_object(Bucket=bucket, Key=key, VersionId=item["VersionId"])
    right = restored == b"before"
    return [Check(f"a deleted object of {bucket} is restored", () if right else (f"{key} contains {restored!r}",))]
