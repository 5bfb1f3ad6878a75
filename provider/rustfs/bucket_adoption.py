"""An existing bucket that the stack adopts: whether it may, and which of its settings that replaces or removes."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from components.rustfs.lifecycle import Rules, describe, from_s3, left_to_server
from components.rustfs.policy_documents import by_name, is_guard
from provider.rustfs import emptying, guard
from provider.rustfs.store import code, is_missing_bucket

if TYPE_CHECKING:
    from provider.rustfs.store import Client

_NO_LOCK = ("ObjectLockConfigurationNotFoundError", "NoSuchObjectLockConfiguration")


def exists(client: "Client", name: str) -> bool:
    """Whether the bucket exists. Creating a bucket that one already owns may succeed, so it does not show this."""
    from botocore.exceptions import ClientError

    try:
        client.head_bucket(Bucket=name)
    except ClientError as error:
        if is_missing_bucket(error):
            return False
        raise
    return True


def refusal(client: "Client", endpoint: str, inputs: Mapping[str, Any]) -> str:
    """Return the reason and the remedy if an existing bucket must not be adopted, otherwise an empty string.

    A bucket is accepted if ``adopt`` is true, or if it is empty or has our rules: a killed run created it.
    """
    name, rules = inputs["bucket"], inputs["rules"]
    if (object_lock(client, name) is not None) != inputs["objectLock"]:
        actual, expected = ("without", "with") if inputs["objectLock"] else ("with", "without")
        return (
            f"bucket {name} exists at {endpoint} {actual} object lock, but the mapping requires it {expected}, which can"
            " only be set when a bucket is created; move its objects elsewhere and delete it, or set bucketPrefix"
        )
    our_rules = rules.keys() - set(left_to_server(server_header(client, name), rules))
    if inputs["adopt"] or our_rules <= live_rules(client, name).keys() or emptying.is_empty(client, name):
        return ""
    return (
        f"bucket {name} exists at {endpoint} and holds objects, but this stack did not create it and would expire its"
        f" noncurrent versions; if it is yours, run: pulumi config set stellaops-storage:adoptBuckets {name},"
        " otherwise set stellaops-storage:bucketPrefix"
    )


def consequences(client: "Client", inputs: Mapping[str, Any]) -> Iterator[str]:
    """Yield what the stack's settings replace or remove in an existing bucket, like ``lifecycle rule x is removed``."""
    name, rules = inputs["bucket"], inputs["rules"]
    live = live_rules(client, name)
    sent = {key: rule for key, rule in rules.items() if key not in left_to_server(server_header(client, name), rules)}
    for rule in sorted(live):
        if rule not in sent:
            yield f"lifecycle rule {rule} ({describe(live[rule])}) is removed"
        elif live[rule] != sent[rule]:
            yield f"lifecycle rule {rule} changes from {describe(live[rule])} to {describe(sent[rule])}"
    yield from (
        f"lifecycle rule {rule} ({describe(sent[rule])}) is added" for rule in sorted(sent.keys() - live.keys())
    )
    policy = guard.current(client, name)
    if policy is not None and not is_guard(policy):
        statements = (f"{key}: {', '.join(found['Action'])}" for key, found in by_name(policy).items())
        yield f"its bucket policy is removed ({'; '.join(statements)})"
    versioning = client.get_bucket_versioning(Bucket=name).get("Status", "never enabled")
    if versioning != "Enabled":
        yield f"versioning ({versioning}) is enabled"
    if retention := (object_lock(client, name) or {}).get("Rule", {}).get("DefaultRetention"):
        yield f"its default retention ({describe(retention)}) becomes the mapping's"


def live_rules(client: "Client", name: str) -> Rules:
    """Return the bucket's lifecycle rules; empty if it has none."""
    from botocore.exceptions import ClientError

    try:
        return from_s3(client.get_bucket_lifecycle_configuration(Bucket=name))
    except ClientError as error:
        if code(error) == "NoSuchLifecycleConfiguration":
            return {}
        raise


def object_lock(client: "Client", name: str) -> dict[str, Any] | None:
    """Return the bucket's object lock configuration, or None if it was created without object lock."""
    from botocore.exceptions import ClientError

    try:
        lock: dict[str, Any] = client.get_object_lock_configuration(Bucket=name)["ObjectLockConfiguration"]
    except ClientError as error:
        if code(error) in _NO_LOCK:
            return None
        raise
    return lock if lock.get("ObjectLockEnabled") == "Enabled" else None


def server_header(client: "Client", name: str) -> str:
    """Return the ``Server`` header, which identifies the kind of server."""
    return str(client.head_bucket(Bucket=name)["ResponseMetadata"]["HTTPHeaders"].get("server", ""))
