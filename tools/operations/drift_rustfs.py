"""Compare the object store with the mapping: buckets with lock, lifecycle and policy; access keys with their policies.

On AWS, IAM has the users and policies; ``pulumi refresh`` compares them.
"""

from collections.abc import Iterator
from typing import Any

from botocore.exceptions import ClientError

from components.rustfs.lifecycle import describe, from_s3, left_to_server, retention_rules
from components.rustfs.policies import guard_policy, identity_policy
from components.rustfs.policy_documents import arn, by_name
from components.rustfs.servers import KINDS
from provider.difference import Difference
from provider.rustfs import admin
from provider.rustfs.guard import current
from provider.rustfs.store import Client, code, is_missing_bucket
from provider.rustfs.user import ENABLED, live_policy, state_of
from tools.operations.drift_finding import DriftFinding
from tools.operations.stack import Stack

STORE = "rustfs"
NOT_SET = (
    "NoSuchLifecycleConfiguration",
    "ObjectLockConfigurationNotFoundError",
    "NoSuchObjectLockConfiguration",
    "NoSuchPublicAccessBlockConfiguration",
)


def compare(stack: Stack) -> list[DriftFinding]:
    """Return every difference between the object store and the mapping. Raises ``ProviderError``."""
    found: list[str] = []
    with stack.object_store.client() as client:
        for bucket in stack.mapping.rustfs.buckets:
            found += _bucket(stack, client, bucket)
    if stack.object_store_target != "aws":
        found += _users(stack)
    return [DriftFinding(STORE, Difference(sentence)) for sentence in found]


def _bucket(stack: Stack, client: Client, name: str) -> Iterator[str]:
    definition, physical = stack.mapping.rustfs.buckets[name], stack.bucket_prefix + name
    try:
        answer = client.head_bucket(Bucket=physical)
    except ClientError as error:
        if not is_missing_bucket(error):
            raise
        yield f"bucket {physical} does not exist"
        return
    server = str(answer["ResponseMetadata"]["HTTPHeaders"].get("server", ""))
    versioning = client.get_bucket_versioning(Bucket=physical).get("Status", "never enabled")
    if versioning != "Enabled":
        yield f"versioning of bucket {physical} is {versioning}, not Enabled: overwritten and deleted objects are lost"
    yield from _lifecycle(stack, client, name, server)
    if definition.object_lock is not None:
        yield from _lock(stack, client, physical, definition.object_lock.retention.days)
    if KINDS[stack.object_store_target].public_access_block:
        blocked = _setting(client.get_public_access_block, physical).get("PublicAccessBlockConfiguration", {})
        if not all(blocked.get(flag) for flag in ("BlockPublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")):
            yield f"the public access block of bucket {physical} is off or incomplete"
    live = by_name(current(client, physical) or {})
    wanted = by_name(guard_policy(physical, stack.object_store_target)) if definition.keeps_everything else {}
    yield from _statements(f"policy of bucket {physical}", live, wanted)


def _lifecycle(stack: Stack, client: Client, name: str, server: str) -> Iterator[str]:
    mapping, physical = stack.mapping, stack.bucket_prefix + name
    definition = mapping.rustfs.buckets[name]
    by_prefix = {str(prefix): kept.days for prefix, kept in definition.noncurrent_versions.items()}
    retention = mapping.backups.rustfs.retention.days
    rules = retention_rules(retention, mapping.rustfs.abort_multipart_after.days, by_prefix)
    for rule in left_to_server(server, rules):
        del rules[rule]
    live = from_s3(_setting(client.get_bucket_lifecycle_configuration, physical))
    for rule in sorted(rules.keys() | live.keys()):
        if rule not in live:
            yield f"lifecycle rule {rule} of bucket {physical} is missing"
        elif rule not in rules:
            yield f"lifecycle rule {rule} of bucket {physical} ({describe(live[rule])}): not in the mapping"
        elif live[rule] != rules[rule]:
            yield f"lifecycle rule {rule} of bucket {physical} is {describe(live[rule])}, not {describe(rules[rule])}"


def _lock(stack: Stack, client: Client, bucket: str, retention_days: int) -> Iterator[str]:
    lock = _setting(client.get_object_lock_configuration, bucket).get("ObjectLockConfiguration", {})
    wanted = {"Mode": stack.settings.object_store.object_lock_mode.upper(), "Days": retention_days}
    live = lock.get("Rule", {}).get("DefaultRetention", {})
    if lock.get("ObjectLockEnabled") != "Enabled":
        yield f"bucket {bucket} has no object lock; only a new bucket can have one"
    elif live != wanted:
        yield f"the object lock of bucket {bucket} is {describe(live) or 'without retention'}, not {describe(wanted)}"


def _users(stack: Stack) -> Iterator[str]:
    store, server = stack.object_store, admin.connect(stack.object_store)
    users, policies = server.users(), server.policies()
    secrets = stack.outputs.get("secrets", {})
    ours = set()
    for module in stack.mapping.modules:
        access_key = stack.bucket_prefix + module
        policy = identity_policy(stack.mapping, module, stack.bucket_prefix)
        if policy is None:
            continue
        ours.add(access_key)
        user = users.get(access_key)
        if user is None:
            yield f"user {access_key} does not exist"
            continue
        state = state_of(store, access_key, user, secrets.get(module, {}).get("object_store_secret_key", ""))
        if state != ENABLED:
            yield f"user {access_key} is {state}"
        yield from _statements(f"user {access_key}", live_policy(policies, access_key, user), by_name(policy))
    for name, user in users.items():
        if name not in ours and name != store.access_key:
            yield from _unknown_user(stack, name, user, policies)


def _unknown_user(stack: Stack, name: str, user: dict[str, Any], policies: dict[str, Any]) -> Iterator[str]:
    """Report an enabled user that belongs to no module but has access to a bucket of the mapping."""
    for policy in str(user.get("policyName") or "").split(","):
        for statement in by_name(policies.get(policy, {})).values():
            place = statement["Resource"][0].removeprefix(arn(""))
            reached = [
                bucket
                for bucket in (stack.bucket_prefix + bucket for bucket in stack.mapping.rustfs.buckets)
                if statement["Effect"] == "Allow" and _matches_bucket(place, bucket)
            ]
            if reached and user.get("status") == ENABLED:
                yield f"user {name} has access to {', '.join(reached)} by policy {policy}: not in the mapping"
                return


def _matches_bucket(place: str, bucket: str) -> bool:
    from fnmatch import fnmatchcase

    return fnmatchcase(bucket, place.partition("/")[0])


def _statements(who: str, live: dict[str, Any], wanted: dict[str, Any]) -> Iterator[str]:
    for name in sorted(live.keys() | wanted.keys()):
        if name not in wanted:
            actions = live[name]["Action"] if isinstance(live[name], dict) else []
            yield f"{who} has {name}{_actions(actions)}: not in the mapping"
        elif name not in live:
            yield f"{who} lacks {name}{_actions(wanted[name]['Action'])}"
        elif live[name] != wanted[name]:
            more = sorted(set(live[name]["Action"]) - set(wanted[name]["Action"]))
            less = sorted(set(wanted[name]["Action"]) - set(live[name]["Action"]))
            parts = [f"{word}{_actions(actions)}" for word, actions in (("has", more), ("lacks", less)) if actions]
            yield f"{who}: {name} {' and '.join(parts) or 'has another effect, resource or principal'}: differs from the mapping"


def _actions(actions: list[str]) -> str:
    return f" {', '.join(action.removeprefix('s3:') for action in actions)}" if actions else ""


def _setting(method: Any, bucket: str) -> dict[str, Any]:
    """Read a setting of a bucket; empty if it is not set."""
    try:
        answer: dict[str, Any] = method(Bucket=bucket)
    except ClientError as error:
        if code(error) in NOT_SET:
            return {}
        raise
    return answer
