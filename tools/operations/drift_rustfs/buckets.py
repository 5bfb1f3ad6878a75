"""Compare a bucket's settings: versioning, lifecycle rules, object lock, public access block and policy."""

from collections.abc import Iterator
from typing import Any

from components.rustfs.inventory import DeclaredBucket
from components.rustfs.lifecycle import describe, left_to_server
from components.rustfs.policy_documents import Document, by_name, is_guard
from components.rustfs.servers import KINDS
from provider.difference import BY_UP, Difference
from provider.rustfs import emptying
from provider.rustfs.bucket_adoption import exists, live_rules, object_lock, server_header
from provider.rustfs.guard import current
from provider.rustfs.store import Client, code
from tools.operations.drift_rustfs import commands, statements
from tools.operations.stack import Stack

__all__ = ["differences", "exists"]

ACCESS_BLOCKS = ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")


def differences(stack: Stack, client: Client, bucket: DeclaredBucket) -> Iterator[Difference]:
    """Yield the differences of an existing bucket."""
    policy = current(client, bucket.physical)
    yield from _versioning(stack, client, bucket, policy)
    yield from _lifecycle(client, bucket)
    yield from _lock(stack, client, bucket)
    if bucket.public_access_block:
        yield from _public_access_block(client, bucket.physical)
    yield from _policy(stack, bucket, policy)


def _versioning(stack: Stack, client: Client, bucket: DeclaredBucket, policy: Document | None) -> Iterator[Difference]:
    name = bucket.physical
    status = client.get_bucket_versioning(Bucket=name).get("Status", "never enabled")
    if status != "Enabled":
        remedy = BY_UP
        if policy and is_guard(policy) and KINDS[stack.object_store_target].denies_root:
            # The guard policy denies changes of versioning, to the admin too.
            remedy = f"{commands.aws(stack, 'delete-bucket-policy', name)} && {stack.refreshing_up}"
        yield Difference(
            f"versioning of bucket {name} is {status}, not Enabled: overwritten and deleted objects are lost", remedy
        )


def _lifecycle(client: Client, bucket: DeclaredBucket) -> Iterator[Difference]:
    name, rules = bucket.physical, dict(bucket.rules)
    for rule in left_to_server(server_header(client, name), rules):
        del rules[rule]
    live = live_rules(client, name)
    for rule in sorted(rules.keys() | live.keys()):
        if rule not in live:
            yield Difference(f"lifecycle rule {rule} of bucket {name} is missing")
        elif rule not in rules:
            yield Difference(f"lifecycle rule {rule} of bucket {name} ({describe(live[rule])}): not in the mapping")
        elif live[rule] != rules[rule]:
            yield Difference(
                f"lifecycle rule {rule} of bucket {name} is {describe(live[rule])}, not {describe(rules[rule])}"
            )


def _lock(stack: Stack, client: Client, bucket: DeclaredBucket) -> Iterator[Difference]:
    name, lock = bucket.physical, object_lock(client, bucket.physical)
    if (lock is None) != (bucket.lock is None):
        has = "has no object lock" if lock is None else "has an object lock that is not in the mapping"
        remedy = BY_UP if emptying.is_empty(client, name) else commands.recreate(stack, name)
        kept = "" if remedy == BY_UP else "; the commands keep current versions only"
        yield Difference(f"bucket {name} {has}; only a new bucket can be different{kept}", remedy)
    elif lock is not None and bucket.lock is not None:
        wanted = {"Mode": bucket.lock.mode, "Days": bucket.lock.days}
        live = lock.get("Rule", {}).get("DefaultRetention", {})
        if live != wanted:
            found = describe(live) or "without retention"
            yield Difference(f"the object lock of bucket {name} is {found}, not {describe(wanted)}")


def _public_access_block(client: Client, name: str) -> Iterator[Difference]:
    from botocore.exceptions import ClientError

    live: dict[str, Any] = {}
    try:
        live = client.get_public_access_block(Bucket=name)["PublicAccessBlockConfiguration"]
    except ClientError as error:
        if code(error) != "NoSuchPublicAccessBlockConfiguration":
            raise
    off = [flag for flag in ACCESS_BLOCKS if not live.get(flag)]
    if off:
        yield Difference(f"the public access block of bucket {name} lacks {', '.join(off)}")


def _policy(stack: Stack, bucket: DeclaredBucket, policy: Document | None) -> Iterator[Difference]:
    name, wanted = bucket.physical, by_name(bucket.guard or {})
    # No resource manages the policy of a bucket without a guard policy.
    remedy = BY_UP if bucket.guard else commands.aws(stack, "delete-bucket-policy", name)
    for difference in statements.differences(f"policy of bucket {name}", by_name(policy or {}), wanted):
        yield Difference(difference, remedy)
