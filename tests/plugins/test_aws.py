"""The offline aws plugin over its protocol, against a real object store."""

import secrets
from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from local.plugins.values import UNKNOWN
from local.servers.objects import ObjectStore
from tests.plugins.harness import PluginClient, plugin, said

VERSIONING = "aws:s3/bucketVersioning:BucketVersioning"


@pytest.fixture(scope="module")
def client(object_store: ObjectStore) -> Iterator[PluginClient]:
    with plugin("aws") as client:
        client.configure(**settings(object_store.endpoint, object_store.access_key, object_store.secret_key))
        yield client


def settings(endpoint: str, access_key: str = "a", secret_key: str = "topsecret") -> dict[str, Any]:
    return {
        "region": "us-east-1", "accessKey": access_key, "secretKey": secret_key, "s3UsePathStyle": "true",
        "skipCredentialsValidation": "true", "skipRequestingAccountId": "true", "skipMetadataApiCheck": "true",
        "endpoints": f'[{{"s3": "{endpoint}"}}]',
    }  # fmt: skip


@pytest.fixture
def bucket(object_store: ObjectStore) -> Iterator[str]:
    name = f"t-{secrets.token_hex(4)}"
    s3 = object_store.client()
    s3.create_bucket(Bucket=name)
    yield name
    if name in [item["Name"] for item in s3.list_buckets()["Buckets"]]:
        s3.delete_bucket(Bucket=name)


def wanted(bucket: str, status: str = "Enabled") -> dict[str, Any]:
    return {"bucket": bucket, "versioningConfiguration": {"status": status}}


def test_versioning_is_switched_on_and_stays_so_over_refresh(
    client: PluginClient, object_store: ObjectStore, bucket: str
) -> None:
    id_, state, _ = client.create(VERSIONING, wanted(bucket))
    assert id_ == bucket and state["region"] == "us-east-1"
    assert object_store.client().get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    assert client.diff(VERSIONING, id_, state, wanted(bucket)).detailed == {}
    _, found, _ = client.read(VERSIONING, id_, state, wanted(bucket))
    assert client.diff(VERSIONING, id_, found, wanted(bucket)).detailed == {}


def test_refresh_finds_versioning_suspended_by_hand_and_an_update_mends_it(
    client: PluginClient, object_store: ObjectStore, bucket: str
) -> None:
    id_, state, _ = client.create(VERSIONING, wanted(bucket))
    s3 = object_store.client()
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})
    _, found, _ = client.read(VERSIONING, id_, state, wanted(bucket))
    assert client.diff(VERSIONING, id_, found, wanted(bucket)).detailed == {"versioningConfiguration": "UPDATE"}
    client.update(VERSIONING, id_, found, wanted(bucket))
    assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"


def test_another_bucket_is_another_resource(client: PluginClient, bucket: str) -> None:
    state = {**wanted(bucket), "region": "us-east-1"}
    assert client.diff(VERSIONING, bucket, state, wanted("other")).replaces == ["bucket"]


def test_it_is_imported_by_the_buckets_name(client: PluginClient, bucket: str) -> None:
    client.create(VERSIONING, wanted(bucket))
    id_, outputs, inputs = client.read(VERSIONING, bucket)
    assert id_ == bucket and inputs["versioningConfiguration"]["status"] == "Enabled"
    assert client.diff(VERSIONING, id_, outputs, wanted(bucket)).detailed == {}


def test_a_bucket_that_is_gone_is_gone(client: PluginClient, object_store: ObjectStore, bucket: str) -> None:
    id_, state, _ = client.create(VERSIONING, wanted(bucket))
    object_store.client().delete_bucket(Bucket=bucket)
    assert client.read(VERSIONING, id_, state)[0] == ""
    client.delete(VERSIONING, id_, state)


def test_deleting_suspends_versioning_and_keeps_it_where_object_lock_needs_it(
    client: PluginClient, object_store: ObjectStore, bucket: str
) -> None:
    s3 = object_store.client()
    id_, state, _ = client.create(VERSIONING, wanted(bucket))
    client.delete(VERSIONING, id_, state)
    assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Suspended"
    locked = f"{bucket}-locked"
    s3.create_bucket(Bucket=locked, ObjectLockEnabledForBucket=True)
    id_, state, _ = client.create(VERSIONING, wanted(locked))
    client.delete(VERSIONING, id_, state)
    assert s3.get_bucket_versioning(Bucket=locked)["Status"] == "Enabled"
    s3.delete_bucket(Bucket=locked)


def test_wrong_inputs_are_refused_before_anything_is_asked(client: PluginClient) -> None:
    assert "unknown property 'buckit'" in client.check(VERSIONING, {**wanted("x"), "buckit": "y"})[1][0]
    assert "missing required property" in client.check(VERSIONING, {"bucket": "x", "versioningConfiguration": {}})[1][0]
    assert "status 'On' is not one of" in client.check(VERSIONING, wanted("x", "On"))[1][0]


def test_a_preview_asks_no_server() -> None:
    with plugin("aws") as client:
        client.configure(**settings("http://127.0.0.1:1"))
        assert client.create(VERSIONING, wanted("x"), preview=True)[1]["region"] is UNKNOWN


def test_an_unreachable_endpoint_is_one_line_without_the_key() -> None:
    with plugin("aws") as client:
        client.configure(**settings("http://127.0.0.1:1"))
        with pytest.raises(grpc.RpcError) as caught:
            client.create(VERSIONING, wanted("x"))
    text = said(caught.value)
    assert "S3 at http://127.0.0.1:1" in text and "see that it runs" in text and "topsecret" not in text


def test_a_bucket_that_was_never_there_is_named(client: PluginClient) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        client.create(VERSIONING, wanted("no-such-bucket-here"))
    assert "bucket no-such-bucket-here" in said(caught.value)
