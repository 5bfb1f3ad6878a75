"""Object versioning as a backup: what was overwritten and deleted is still there, and can be had back."""

from provider.errors import ProviderError
from tools.operations.recovery.context import RecoveryContext
from tools.operations.recovery.verify import Check


def drill(context: RecoveryContext, key: str) -> list[Check]:
    """Write an object, overwrite and delete it, and put its first version back; nothing of it stays.

    In a bucket where versions may be deleted: not one that is locked, nor one whose keys are digests.
    """
    mapping = context.stack.mapping.rustfs.buckets
    names = [name for name, bucket in mapping.items() if not bucket.object_lock and not bucket.content_addressed]
    if not names:
        raise ProviderError("every bucket of the mapping is locked or content-addressed; the drill may write to none")
    bucket = context.stack.bucket_prefix + names[0]
    with context.stack.object_store.client() as client:
        try:
            first = client.put_object(Bucket=bucket, Key=key, Body=b"before")["VersionId"]
            client.put_object(Bucket=bucket, Key=key, Body=b"after")
            client.delete_object(Bucket=bucket, Key=key)
            client.copy_object(Bucket=bucket, Key=key, CopySource={"Bucket": bucket, "Key": key, "VersionId": first})
            back = client.get_object(Bucket=bucket, Key=key)["Body"].read()
        finally:
            found = client.list_object_versions(Bucket=bucket, Prefix=key)
            for item in (*found.get("Versions", []), *found.get("DeleteMarkers", [])):
                client.delete_object(Bucket=bucket, Key=key, VersionId=item["VersionId"])
    right = back == b"before"
    return [Check(f"a deleted object of {bucket} is back as it was", () if right else (f"{key} holds {back!r}",))]
