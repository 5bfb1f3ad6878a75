"""Names used for backups by the component and the day-two commands."""

from typing import Any

BUCKET = "backups"
POD_LABELS = {"app.kubernetes.io/name": "backup", "app.kubernetes.io/part-of": "stellaops"}
# Names of modules and services contain no hyphen, so they cannot clash with this one.
VALKEY_USER = "backup-agent"
OBJECT_STORE_USER = "backup-agent"


def bucket_policy(bucket: str) -> dict[str, Any]:
    """Policy for the backup access key: put, read and delete objects in this bucket, nothing else."""
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
