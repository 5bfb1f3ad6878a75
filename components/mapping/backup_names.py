"""Names and policies that the backup component and the day-two commands share."""

from typing import Any

BUCKET = "backups"
POD_LABELS = {"app.kubernetes.io/name": "backup", "app.kubernetes.io/part-of": "stellaops"}
# Names of modules and services contain no hyphen, so they cannot clash with this one.
VALKEY_USER = "backup-agent"
OBJECT_STORE_USER = "backup-agent"


def bucket_policy(bucket: str) -> dict[str, Any]:
    """Return the policy of the backup access key: list the bucket; put, read and delete its objects; nothing else."""
    objects = [
        "s3:AbortMultipartUpload",
        "s3:DeleteObject",
        "s3:GetObject",
        "s3:ListMultipartUploadParts",
        "s3:PutObject",
    ]
    return {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Action": objects, "Resource": [f"arn:aws:s3:::{bucket}/*"]},
            {"Effect": "Allow", "Action": ["s3:ListBucket"], "Resource": [f"arn:aws:s3:::{bucket}"]},
        ],
    }


def slot(database: str) -> str:
    """The replication slot that retains WAL until it has been received."""
    return f"{database}_backup"
