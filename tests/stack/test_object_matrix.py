"""Every module x every prefix x every operation, with the module's own access key, against the mapping."""

import secrets
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from components.mapping import load
from provider.rustfs import emptying
from provider.rustfs.guard import current
from tests.support.object_access import is_allowed
from tests.support.stack import PROJECT, LocalStack

pytestmark = pytest.mark.xdist_group("live_stack")

MAPPING = load(PROJECT / "schema-mapping.yaml")
DIGEST = secrets.token_hex(32)
OTHER = secrets.token_hex(32)

# Keys at each place that a path of the mapping tells apart; the last two only look like an attestation's.
KEYS = {
    "blobs": [
        f"{DIGEST[:4]}/{DIGEST}/sbom.json",
        f"{DIGEST[:4]}/{DIGEST}/attestation.dsse",
        f"{DIGEST[:3]}/{DIGEST}/attestation.dsse",
        "attestation.dsse",
    ],
    "images": [f"sha256:{DIGEST}/inventory.cdx.json"],
    "evidence": ["bundle-1/manifest.json", "bundle-1/proofs/1.json"],
    "offline-kits": ["kit-1/manifest.json", "kit-1/feeds/nvd.json"],
}
PLACES = [(bucket, key) for bucket, keys in KEYS.items() for key in keys]
WITH_OBJECTS = ["scanner", "sbom_service", "attestor", "evidence_locker", "export_center", "airgap"]
LOCKED = {"evidence"}
KEEP_EVERYTHING = {"blobs", "evidence"}


def expected(module: str, bucket: str, key: str) -> set[str]:
    """The operations that the mapping gives the module there; read from its verbs, not from the policies."""
    allowed: set[str] = set()
    for access in MAPPING.access.objects[module]:
        if access.bucket != bucket:
            continue
        if access.prefix == "*/attestation.dsse":
            below = fnmatchcase(key, "????/*/attestation.dsse") and key.index("/") == 4
        else:
            assert access.prefix == "", "a new kind of path needs its own line here"
            below = True
            allowed.add("list all")
        if below:
            allowed |= {"get", "head", "list"}
            if access.verb == "write":
                allowed |= {"put", "overwrite"} | (set() if bucket in KEEP_EVERYTHING else {"delete"})
    return allowed


def operations(client: Any, bucket: str, key: str, version: str) -> dict[str, Callable[[], Any]]:
    """In an order in which none spoils the next. ``put`` writes beside ``key``, ``overwrite`` over it."""
    until = "2099-01-01T00:00:00Z"
    beside = key.replace(DIGEST, OTHER).replace(DIGEST[:4], OTHER[:4]).replace("-1/", "-2/")
    lock = {"Mode": "GOVERNANCE", "RetainUntilDate": until}
    lifecycle = {"Rules": [{"ID": "x", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 1}}]}
    off = {"Status": "Suspended"}
    return {
        "head": lambda: client.head_object(Bucket=bucket, Key=key),
        "get": lambda: client.get_object(Bucket=bucket, Key=key),
        "list": lambda: client.list_objects_v2(Bucket=bucket, Prefix=key),
        "list all": lambda: client.list_objects_v2(Bucket=bucket),
        "put": lambda: client.put_object(Bucket=bucket, Key=beside, Body=b"new"),
        "overwrite": lambda: client.put_object(Bucket=bucket, Key=key, Body=b"over"),
        "put retention": lambda: client.put_object_retention(Bucket=bucket, Key=key, Retention=lock),
        "shorten retention": lambda: client.put_object_retention(
            Bucket=bucket, Key=key, Retention={**lock, "RetainUntilDate": "2030-01-01T00:00:00Z"}, BypassGovernanceRetention=True
        ),
        "delete version": lambda: client.delete_object(Bucket=bucket, Key=key, VersionId=version),
        "delete version, bypassing": lambda: client.delete_object(
            Bucket=bucket, Key=key, VersionId=version, BypassGovernanceRetention=True
        ),
        "delete": lambda: client.delete_object(Bucket=bucket, Key=key),
        "suspend versioning": lambda: client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration=off),
        "put lifecycle": lambda: client.put_bucket_lifecycle_configuration(
            Bucket=bucket, LifecycleConfiguration=lifecycle
        ),
        "delete policy": lambda: client.delete_bucket_policy(Bucket=bucket),
        "delete bucket": lambda: client.delete_bucket(Bucket=bucket),
    }  # fmt: skip


def client_of(stack: LocalStack, module: str) -> Any:
    """With the module's key; one that has none tries its name with another of its passwords."""
    secrets_ = stack.outputs["secrets"][module]
    endpoint = stack.outputs["contract"]["endpoints"]["object_store"]
    return boto3.client(
        "s3", endpoint_url=endpoint["endpoint"], region_name=endpoint["region"],
        aws_access_key_id=secrets_.get("object_store_access_key", stack.bucket_prefix + module),
        aws_secret_access_key=secrets_.get("object_store_secret_key", secrets_["valkey_password"]),
        config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}),
    )  # fmt: skip


@pytest.fixture
def objects(live_stack: LocalStack) -> Iterator[dict[tuple[str, str], str]]:
    """(bucket, key) -> the version that lies there, written by the root user; everything is removed afterwards."""
    s3 = live_stack.s3()
    yield {
        (bucket, key): s3.put_object(Bucket=live_stack.bucket_prefix + bucket, Key=key, Body=b"old")["VersionId"]
        for bucket, key in PLACES
    }
    for bucket in KEYS:
        name = live_stack.bucket_prefix + bucket
        policy = current(s3, name)
        if policy:
            text = s3.get_bucket_policy(Bucket=name)["Policy"]
            s3.delete_bucket_policy(Bucket=name)
        emptying.empty(s3, name, bypass_governance=bucket in LOCKED)
        if policy:
            s3.put_bucket_policy(Bucket=name, Policy=text)


def cells_off(stack: LocalStack, objects: dict[tuple[str, str], str], module: str) -> list[str]:
    """What the module may do and should not, or may not and should."""
    client, off = client_of(stack, module), []
    for (bucket, key), version in objects.items():
        tried = operations(client, stack.bucket_prefix + bucket, key, version)
        found = {name for name, operation in tried.items() if is_allowed(operation)}
        for name in sorted(found ^ expected(module, bucket, key)):
            off.append(f"{module} {'may' if name in found else 'may not'} {name} {bucket}/{key}")
    return off


@pytest.mark.parametrize("module", WITH_OBJECTS)
def test_a_module_may_do_what_the_mapping_says_and_nothing_else(
    live_stack: LocalStack, objects: dict[tuple[str, str], str], module: str
) -> None:
    assert expected(module, *PLACES[0]) or module not in ("scanner", "sbom_service"), "the matrix would show nothing"
    off = cells_off(live_stack, objects, module)
    assert not off, "\n".join(off)


def test_all_other_modules_may_do_nothing_at_all(live_stack: LocalStack, objects: dict[tuple[str, str], str]) -> None:
    others = [module for module in MAPPING.modules if module not in WITH_OBJECTS]
    off = [cell for module in others for cell in cells_off(live_stack, objects, module)]
    assert len(others) == 18 and not off, "\n".join(off)


def test_a_module_without_objects_has_no_access_key(live_stack: LocalStack) -> None:
    with_key = {
        name for name, secrets_ in live_stack.outputs["secrets"].items() if "object_store_secret_key" in secrets_
    }
    assert with_key == set(WITH_OBJECTS)


def test_an_overwritten_version_stays_and_so_does_a_deleted_one(
    live_stack: LocalStack, objects: dict[tuple[str, str], str]
) -> None:
    s3 = live_stack.s3()
    for module, bucket, key, deletes in (
        ("scanner", "blobs", KEYS["blobs"][0], False),
        ("evidence_locker", "evidence", KEYS["evidence"][0], False),
        ("airgap", "offline-kits", KEYS["offline-kits"][0], True),
    ):
        client, name = client_of(live_stack, module), live_stack.bucket_prefix + bucket
        client.put_object(Bucket=name, Key=key, Body=b"over")
        if deletes:
            client.delete_object(Bucket=name, Key=key)
        old = s3.get_object(Bucket=name, Key=key, VersionId=objects[bucket, key])
        assert old["Body"].read() == b"old", f"{module} could destroy {bucket}/{key}"


def test_whoever_refuses_to_overwrite_is_refused_an_existing_key(
    live_stack: LocalStack, objects: dict[tuple[str, str], str]
) -> None:
    key = KEYS["blobs"][0]
    with pytest.raises(ClientError, match="PreconditionFailed"):
        client_of(live_stack, "scanner").put_object(
            Bucket=live_stack.bucket_prefix + "blobs", Key=key, Body=b"over", IfNoneMatch="*"
        )


def test_evidence_is_locked_for_as_long_as_the_mapping_says(
    live_stack: LocalStack, objects: dict[tuple[str, str], str]
) -> None:
    name, key = live_stack.bucket_prefix + "evidence", "bundle-9/manifest.json"
    client_of(live_stack, "evidence_locker").put_object(Bucket=name, Key=key, Body=b"x")
    head = live_stack.s3().head_object(Bucket=name, Key=key)
    assert head["ObjectLockMode"] == "GOVERNANCE"
    assert (head["ObjectLockRetainUntilDate"] - head["LastModified"]).days in (89, 90)
