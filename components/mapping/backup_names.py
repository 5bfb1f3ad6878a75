"""What backups are called, for the component and for the day-two commands."""

from typing import Any

BUCKET = "backups"
POD_LABELS = {"app.kubernetes.io/name": "backup", "app.kubernetes.io/part-of": "stellaops"}
# In Valkey; the hyphen keeps it apart from modules and services.
VALKEY_USER = "backup-agent"
OBJECT_STORE_USER = "backup-agent"


def bucket_policy(bucket: str) -> dict[str, Any]:
    """What the access key may do: put, read and delete objects of this bucket. No setting of it, and no other."""
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
    """The replication slot that keeps WAL until it was received."""
    return f"{database}_backup"
