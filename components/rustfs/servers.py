"""Differences between the object stores: RustFS, the main target; MinIO, its substitute for local use; and AWS.

The rest of this package is the same for all of them. ``provider/rustfs/admin.py`` has the dialects of the admin API.
"""

from dataclasses import dataclass

from components.config.values import ObjectStoreTarget


@dataclass(frozen=True)
class ServerKind:
    """``put_lifecycle`` is the action's name in a policy: a server refuses a policy with an unknown action.

    ``public_access_block``: whether buckets have one. ``aborts_stale_uploads``: whether the server does that by itself
    and supports no lifecycle rule for it. ``denies_root``: whether a bucket policy also binds the root key.
    """

    put_lifecycle: str
    public_access_block: bool
    aborts_stale_uploads: bool
    denies_root: bool


KINDS: dict[ObjectStoreTarget, ServerKind] = {
    "rustfs": ServerKind("s3:PutBucketLifecycle", True, False, True),
    # MinIO applies bucket policies only to anonymous requests.
    "minio": ServerKind("s3:PutLifecycleConfiguration", False, True, False),
    "aws": ServerKind("s3:PutLifecycleConfiguration", True, False, True),
}


def target_of(server: str) -> ObjectStoreTarget:
    """The kind of an S3-compatible server by its ``Server`` header: RustFS unless it names MinIO."""
    return "minio" if server.startswith("MinIO") else "rustfs"
