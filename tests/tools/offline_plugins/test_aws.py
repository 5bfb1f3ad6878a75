"""The offline aws plugin's settings of buckets, against an object store, and what MinIO lacks against a stand-in."""

import json
import secrets
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import grpc
import pytest

from provider.base.values import Secret
from tests.provider.base.harness import PluginClient, Resource, plugin, said, said_by

VERSIONING = "aws:s3/bucketVersioning:BucketVersioning"
POLICY = "aws:s3/bucketPolicy:BucketPolicy"
LOCK = "aws:s3/bucketObjectLockConfiguration:BucketObjectLockConfiguration"
BLOCK = "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"


def settings(endpoint: str, access_key: str, secret_key: str) -> dict[str, Any]:
    """As the SDK sends what the stack's provider says."""
    return {
        "region": "us-east-1", "accessKey": Secret(access_key), "secretKey": Secret(secret_key), "s3UsePathStyle": "true",
        "skipCredentialsValidation": "true", "skipRequestingAccountId": "true", "skipMetadataApiCheck": "true",
        "skipRegionValidation": "true", "endpoints": json.dumps([{"s3": endpoint}]),
    }  # fmt: skip


@pytest.fixture(scope="module")
def client(object_store: Any) -> Iterator[PluginClient]:
    with plugin("aws") as client:
        client.configure(**settings(object_store.endpoint, object_store.access_key, object_store.secret_key))
        yield client


@pytest.fixture(scope="module")
def s3(object_store: Any) -> Iterator[Any]:
    client = object_store.client()
    yield client
    client.close()


@pytest.fixture
def bucket(s3: Any) -> Iterator[str]:
    name = f"test-{secrets.token_hex(6)}"
    s3.create_bucket(Bucket=name)
    yield name
    s3.delete_bucket(Bucket=name)


@pytest.fixture
def locked(s3: Any) -> Iterator[str]:
    name = f"test-{secrets.token_hex(6)}"
    s3.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
    yield name
    s3.delete_bucket(Bucket=name)


def versioning(bucket: str, status: str = "Enabled") -> dict[str, Any]:
    return {"bucket": bucket, "versioningConfiguration": {"status": status}}


def document(bucket: str, **changes: Any) -> dict[str, Any]:
    statement = {
        "Effect": "Deny", "Principal": "*", "Action": ["s3:DeleteObject"], "Resource": f"arn:aws:s3:::{bucket}/*", **changes,
    }  # fmt: skip
    return {"Version": "2012-10-17", "Statement": [statement]}


def refreshed(client: PluginClient, resource: Resource) -> Resource:
    found = client.refresh(resource)
    assert found is not None, "it is there"
    return found


def test_the_stacks_provider_settings_are_accepted_and_others_are_not(client: PluginClient) -> None:
    kept, failures = client.check_config(**{**settings("http://x", "a", "b"), "secretKey": "b"})
    assert not failures and kept["secretKey"] == Secret("b")
    assert client.check_config(s3ForcePathStyle="true")[1] and client.check_config(assumeRoles="[]")[1]


def test_versioning_is_enabled_suspended_and_found_changed(client: PluginClient, s3: Any, bucket: str) -> None:
    made = client.create(VERSIONING, versioning(bucket))
    assert made.id == bucket and made.outputs["region"] == "us-east-1"
    assert made.outputs["versioningConfiguration"]["status"] == "Enabled"
    assert client.diff(made).detailed == {} and client.diff(refreshed(client, made)).detailed == {}
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})
    found = refreshed(client, made)
    drift = client.diff(found, versioning(bucket))
    assert drift.detailed == {"versioningConfiguration.status": "UPDATE"} and drift.replaces == []
    client.update(found, versioning(bucket))
    assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    client.delete(made)
    assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Suspended"


def test_versioning_cannot_be_undone_and_says_so(client: PluginClient, bucket: str) -> None:
    assert (
        client.create(VERSIONING, versioning(bucket, "Disabled")).outputs["versioningConfiguration"]["status"]
        == "Disabled"
    )
    made = client.create(VERSIONING, versioning(bucket))
    with pytest.raises(grpc.RpcError) as caught:
        client.update(made, versioning(bucket, "Disabled"))
    assert "use 'Suspended'" in said(caught.value)
    _, failures = client.check(VERSIONING, versioning(bucket, "enabled"))
    assert failures[0].startswith("versioningConfiguration.status: expected one of Enabled, Suspended, Disabled")


def test_versioning_of_a_locked_bucket_outlives_its_resource(client: PluginClient, s3: Any, locked: str) -> None:
    made = client.create(VERSIONING, versioning(locked))
    client.delete(made)
    assert s3.get_bucket_versioning(Bucket=locked)["Status"] == "Enabled"


def test_another_bucket_is_another_resource(client: PluginClient, bucket: str) -> None:
    made = client.create(VERSIONING, versioning(bucket))
    assert client.diff(made, versioning("other")).detailed == {"bucket": "UPDATE_REPLACE"}


def test_a_setting_is_imported_by_the_buckets_name(client: PluginClient, bucket: str) -> None:
    client.create(VERSIONING, versioning(bucket))
    imported = client.imported(VERSIONING, bucket)
    assert imported is not None and imported.id == bucket
    inputs = {name: value for name, value in said_by(imported.inputs).items() if name != "region"}
    assert client.diff(imported, inputs).detailed == {}


def test_what_was_on_a_bucket_that_is_gone_is_gone_too(client: PluginClient, s3: Any) -> None:
    name = f"test-{secrets.token_hex(6)}"
    s3.create_bucket(Bucket=name)
    made = client.create(VERSIONING, versioning(name))
    s3.delete_bucket(Bucket=name)
    assert client.refresh(made) is None
    client.delete(made)
    with pytest.raises(grpc.RpcError) as caught:
        client.create(VERSIONING, versioning(name))
    # MinIO takes the setting of a bucket that is not there.
    assert name in said(caught.value) and (
        "NoSuchBucket" in said(caught.value) or "check that the bucket exists" in said(caught.value)
    )


def test_a_policy_is_compared_by_its_meaning(client: PluginClient, s3: Any, bucket: str) -> None:
    made = client.create(POLICY, {"bucket": bucket, "policy": json.dumps(document(bucket), indent=4)})
    assert made.id == bucket
    same = json.dumps(document(bucket, Action="s3:DeleteObject", Principal={"AWS": ["*"]}))
    assert client.diff(made, {"bucket": bucket, "policy": same}).detailed == {}
    assert client.diff(made, {"bucket": bucket, "policy": document(bucket)}).detailed == {}, (
        "a program may give the object"
    )
    assert refreshed(client, made).outputs["policy"] == made.inputs["policy"], "the server's spelling is no drift"
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(document(bucket, Action=["s3:PutObject"])))
    found = refreshed(client, made)
    assert client.diff(found, said_by(made.inputs)).detailed == {"policy": "UPDATE"}
    assert client.diff(refreshed(client, client.update(found, said_by(made.inputs)))).detailed == {}
    client.delete(made)
    client.delete(made)
    assert client.refresh(made) is None
    assert client.check(POLICY, {"bucket": bucket, "policy": "{"})[1][0].startswith("policy: not valid JSON")


def test_default_retention_is_set_changed_and_taken_away(client: PluginClient, s3: Any, locked: str) -> None:
    def wanted(days: int) -> dict[str, Any]:
        return {"bucket": locked, "rule": {"defaultRetention": {"mode": "GOVERNANCE", "days": days}}}

    made = client.create(LOCK, wanted(30))
    assert made.id == locked and made.outputs["objectLockEnabled"] == "Enabled"
    assert client.diff(made).detailed == {} and client.diff(refreshed(client, made)).detailed == {}
    difference = client.diff(made, wanted(60))
    assert difference.detailed == {"rule.defaultRetention.days": "UPDATE"} and not difference.replaces
    assert client.update(made, wanted(60)).outputs["rule"]["defaultRetention"]["days"] == 60
    client.delete(made)
    assert "Rule" not in s3.get_object_lock_configuration(Bucket=locked)["ObjectLockConfiguration"]
    both = {"bucket": locked, "rule": {"defaultRetention": {"days": 1, "years": 1}}}
    assert client.check(LOCK, both)[1] == ["rule.defaultRetention: takes days or years, not both"]


def test_an_unreachable_store_is_one_line_without_keys(bucket: str) -> None:
    with plugin("aws") as client:
        client.configure(**settings("http://127.0.0.1:1", "access", "topsecret"), maxRetries="0")
        with pytest.raises(grpc.RpcError) as caught:
            client.create(VERSIONING, versioning(bucket))
    assert "S3 at http://127.0.0.1:1" in said(caught.value) and "topsecret" not in said(caught.value)


def test_wrong_keys_are_one_line(object_store: Any, bucket: str) -> None:
    with plugin("aws") as client:
        client.configure(**settings(object_store.endpoint, object_store.access_key, "wrong"))
        with pytest.raises(grpc.RpcError) as caught:
            client.create(VERSIONING, versioning(bucket))
    assert "SignatureDoesNotMatch" in said(caught.value)


class OneBucket(BaseHTTPRequestHandler):
    """A store that keeps a public access block: MinIO has none."""

    kept: bytes | None = None

    def do_PUT(self) -> None:
        type(self).kept = self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(200, b"")

    def do_GET(self) -> None:
        missing = b"<Error><Code>NoSuchPublicAccessBlockConfiguration</Code></Error>"
        self._answer(200 if self.kept else 404, self.kept or missing)

    def do_DELETE(self) -> None:
        type(self).kept = None
        self._answer(204, b"")

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        pass


def test_a_public_access_block_comes_changes_and_goes() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), OneBucket) as server, plugin("aws") as client:
        Thread(target=server.serve_forever, daemon=True).start()
        client.configure(**settings(f"http://127.0.0.1:{server.server_address[1]}", "a", "b"))
        inputs = {"bucket": "x", "blockPublicAcls": True, "restrictPublicBuckets": True}
        made = client.create(BLOCK, inputs)
        assert made.id == "x" and made.outputs["blockPublicAcls"] is True and made.outputs["ignorePublicAcls"] is False
        assert client.diff(refreshed(client, made)).detailed == {}
        assert client.diff(made, {**inputs, "blockPublicPolicy": True}).detailed == {"blockPublicPolicy": "ADD"}
        assert client.update(made, {**inputs, "blockPublicPolicy": True}).outputs["blockPublicPolicy"] is True
        client.delete(made)
        client.delete(made)
        assert client.refresh(made) is None
        server.shutdown()
