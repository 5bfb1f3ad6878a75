"""The guard of a bucket that keeps everything, from the side of who changes its settings: lift it, change, put it back.

The guard itself (``policies.guard_policy``) is a bucket policy that binds everybody, the provisioner too.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager

from components.rustfs.policy_documents import Document, by_name, is_guard, lifted
from provider.rustfs.store import Client, code


@contextmanager
def lifted_for(client: Client, bucket: str, guard: str) -> Iterator[None]:
    """Leave to change settings of ``bucket`` inside; afterwards ``guard`` is in force, also when that failed.

    A run that is killed inside leaves the bucket guarded against deletes. The next one puts the rest back, since the
    change that it was killed in is still to be made.
    """
    found = current(client, bucket)
    if found is not None and is_guard(found):
        _put(client, bucket, lifted(found))
    try:
        yield
    finally:
        if guard and _differs(current(client, bucket), guard):
            _put(client, bucket, json.loads(guard))


def remove(client: Client, bucket: str) -> None:
    """Take the guard away; a bucket policy that is not ours stays."""
    found = current(client, bucket)
    if found is not None and is_guard(found):
        client.delete_bucket_policy(Bucket=bucket)


def current(client: Client, bucket: str) -> Document | None:
    """The bucket's policy, None where there is none."""
    from botocore.exceptions import ClientError

    try:
        document: Document = json.loads(client.get_bucket_policy(Bucket=bucket)["Policy"])
    except ClientError as error:
        if code(error) == "NoSuchBucketPolicy":
            return None
        raise
    return document


def _differs(found: Document | None, guard: str) -> bool:
    return found is None or bool(by_name(found) != by_name(json.loads(guard)))


def _put(client: Client, bucket: str, document: Document) -> None:
    client.put_bucket_policy(Bucket=bucket, Policy=json.dumps(document))
