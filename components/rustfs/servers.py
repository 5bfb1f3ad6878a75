"""What differs between the object stores: RustFS, the target; MinIO, its stand-in for local use; AWS.

Everything else in this package is the same for all of them. Only the dialects of the admin API stand in ``admin``.
"""

from dataclasses import dataclass

from components.config.values import ObjectStoreTarget


@dataclass(frozen=True)
class ServerKind:
    """``put_lifecycle`` is the action's name in a policy: a server refuses a policy with a name it does not know.

    ``public_access_block``: whether buckets have one. ``aborts_stale_uploads``: whether the server does that by itself
    and has no lifecycle rule for it. ``denies_root``: whether a bucket policy binds who signs with the root key, too.
    """

    put_lifecycle: str
    public_access_block: bool
    aborts_stale_uploads: bool
    denies_root: bool


KINDS: dict[ObjectStoreTarget, ServerKind] = {
    "rustfs": ServerKind("s3:PutBucketLifecycle", True, False, True),
    # MinIO looks at bucket policies for anonymous requests only.
    "minio": ServerKind("s3:PutLifecycleConfiguration", False, True, False),
    "aws": ServerKind("s3:PutLifecycleConfiguration", True, False, True),
}


def target_of(server: str) -> ObjectStoreTarget:
    """The kind of an S3-compatible server by its ``Server`` header; whoever says nothing is taken for RustFS."""
    return "minio" if server.startswith("MinIO") else "rustfs"
