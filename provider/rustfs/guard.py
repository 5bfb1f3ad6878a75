"""Lift the guard policy of a bucket to change its settings, and restore it afterwards.

The guard policy (``policies.guard_policy``) is a bucket policy that applies to everybody, including the admin.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager

from components.rustfs.policy_documents import Document, by_name, is_guard, lifted
from provider.rustfs.store import Client, code


@contextmanager
def temporarily_lifted(client: Client, bucket: str, guard: str) -> Iterator[None]:
    """Allow changes of the bucket's settings inside the block. Afterwards put ``guard`` in force, even after an error.

    If a run is killed inside the block, the bucket stays guarded against deletes. The next run repeats the change, and
    so restores the rest of the guard policy.
    """
    policy = current(client, bucket)
    if policy is not None and is_guard(policy):
        _put(client, bucket, lifted(policy))
    try:
        yield
    finally:
        if guard and _differs(current(client, bucket), guard):
            _put(client, bucket, json.loads(guard))


def protect_objects(client: Client, bucket: str, guard: str) -> None:
    """Put the part of ``guard`` in force that denies deletes, unless the bucket has a policy."""
    if guard and current(client, bucket) is None:
        _put(client, bucket, lifted(json.loads(guard)))


def remove(client: Client, bucket: str) -> None:
    """Delete the guard policy. Keep a bucket policy that is not ours."""
    policy = current(client, bucket)
    if policy is not None and is_guard(policy):
        client.delete_bucket_policy(Bucket=bucket)


def current(client: Client, bucket: str) -> Document | None:
    """Return the bucket policy, or None if the bucket has none."""
    from botocore.exceptions import ClientError

    try:
        document: Document = json.loads(client.get_bucket_policy(Bucket=bucket)["Policy"])
    except ClientError as error:
        if code(error) == "NoSuchBucketPolicy":
            return None
        raise
    return document


def _differs(policy: Document | None, guard: str) -> bool:
    return policy is None or bool(by_name(policy) != by_name(json.loads(guard)))


def _put(client: Client, bucket: str, document: Document) -> None:
    client.put_bucket_policy(Bucket=bucket, Policy=json.dumps(document))
