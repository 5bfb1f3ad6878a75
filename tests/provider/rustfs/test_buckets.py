"""The ``Bucket`` resource against a running object store: RustFS where there is one, else MinIO."""

import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, ClassVar

import pytest
from botocore.exceptions import ClientError

from components.rustfs.lifecycle import retention_rules
from components.rustfs.policies import guard_policy
from components.rustfs.policy_documents import by_name, lifted
from components.rustfs.servers import target_of
from provider.errors import ProviderError
from provider.rustfs import emptying, guard
from provider.rustfs.bucket_resource import BucketProvider
from provider.rustfs.store import ATTEMPTS, Store


@pytest.fixture(scope="module")
def store(object_store: Any) -> Store:
    return Store(object_store.endpoint, "us-east-1", object_store.access_key, object_store.secret_key)


@pytest.fixture(scope="module")
def s3(store: Store) -> Iterator[Any]:
    with store.client() as client:
        yield client


@pytest.fixture
def bucket(s3: Any) -> Iterator[str]:
    """A name that nobody has, in case the server is shared; gone with all it holds afterwards."""
    name = f"test-{secrets.token_hex(6)}"
    yield name
    try:
        s3.delete_bucket_policy(Bucket=name)
        emptying.empty(s3, name, bypass_governance=True)
        s3.delete_bucket(Bucket=name)
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("NoSuchBucket", "404"):
            raise


def provider_of(store: Store, *, adopted: str = "", **changes: Any) -> Any:
    provider = BucketProvider()
    provider._store = replace(store, **changes)
    provider._adopted = frozenset(adopted.split())
    return provider


def props(bucket: str, **changes: Any) -> dict[str, Any]:
    plain = {"bucket": bucket, "object_lock": False, "rules": retention_rules(90, 1), "force_destroy": False}
    return {**plain, **changes}


def live_rules(s3: Any, bucket: str) -> dict[str, Any]:
    return {rule["ID"]: rule for rule in s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]}


def versioned(s3: Any, bucket: str) -> None:
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})


def test_old_versions_expire_after_90_days_and_current_ones_never(store: Store, s3: Any, bucket: str) -> None:
    created = provider_of(store).create(props(bucket))
    rules = live_rules(s3, bucket)
    assert rules["expire-noncurrent-versions"]["NoncurrentVersionExpiration"]["NoncurrentDays"] == 90
    assert rules["remove-expired-delete-markers"]["Expiration"]["ExpiredObjectDeleteMarker"] is True
    for name, rule in rules.items():
        assert not set(rule.get("Expiration", {})) & {"Days", "Date"}, f"{name} would delete current versions"
    assert set(rules) | set(created.outs["left_to_server"]) == set(retention_rules(90, 1)), "a rule was lost on the way"


def test_only_the_rule_for_stale_uploads_is_left_to_a_server_that_has_none(store: Store, bucket: str) -> None:
    created = provider_of(store).create(props(bucket))
    assert set(created.outs["left_to_server"]) <= {"abort-stale-uploads"}


def test_object_lock_is_given_when_the_mapping_asks_for_it_and_only_then(store: Store, s3: Any, bucket: str) -> None:
    provider_of(store).create(props(bucket, object_lock=True))
    answer = s3.get_object_lock_configuration(Bucket=bucket)
    assert answer["ObjectLockConfiguration"]["ObjectLockEnabled"] == "Enabled"
    assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"


def test_a_refresh_finds_no_change_where_there_is_none(store: Store, bucket: str) -> None:
    provider = provider_of(store)
    created = provider.create(props(bucket))
    found = provider.read(bucket, created.outs)
    assert found.outs == created.outs
    assert not provider.diff(bucket, found.outs, props(bucket)).changes


@pytest.mark.parametrize(
    "tampered",
    [
        [{"ID": "expire-noncurrent-versions", "NoncurrentVersionExpiration": {"NoncurrentDays": 3}}],
        [
            {
                "ID": "expire-noncurrent-versions",
                "NoncurrentVersionExpiration": {"NoncurrentDays": 90},
                "Status": "Disabled",
            }
        ],
        [
            {
                "ID": "expire-noncurrent-versions",
                "NoncurrentVersionExpiration": {"NoncurrentDays": 90},
                "Filter": {"Prefix": "x/"},
            }
        ],
        [{"ID": "delete-everything", "Expiration": {"Days": 1}}],
        [],
    ],
    ids=["days", "disabled", "prefix", "other rule", "no rules"],
)
def test_a_refresh_finds_each_tampering_with_the_rules_and_an_update_mends_it(
    store: Store, s3: Any, bucket: str, tampered: list[dict[str, Any]]
) -> None:
    provider = provider_of(store)
    created = provider.create(props(bucket))
    before = live_rules(s3, bucket)
    if tampered:
        rules = [{"Status": "Enabled", "Filter": {"Prefix": ""}, **rule} for rule in tampered]
        s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": rules})
    else:
        s3.delete_bucket_lifecycle(Bucket=bucket)
    found = provider.read(bucket, created.outs)
    diff = provider.diff(bucket, found.outs, props(bucket))
    assert diff.changes and not diff.replaces, "retention that somebody shortened would stay unseen"
    provider.update(bucket, found.outs, props(bucket))
    assert live_rules(s3, bucket) == before


def test_changed_days_are_updated_in_place(store: Store, s3: Any, bucket: str) -> None:
    provider = provider_of(store)
    created = provider.create(props(bucket))
    s3.put_object(Bucket=bucket, Key="kept", Body=b"x")
    wanted = props(bucket, rules=retention_rules(30, 1))
    diff = provider.diff(bucket, created.outs, wanted)
    assert diff.changes and not diff.replaces
    provider.update(bucket, created.outs, wanted)
    assert live_rules(s3, bucket)["expire-noncurrent-versions"]["NoncurrentVersionExpiration"]["NoncurrentDays"] == 30
    assert s3.head_object(Bucket=bucket, Key="kept")


def test_object_lock_and_name_need_another_bucket(store: Store) -> None:
    provider = provider_of(store)
    lock = provider.diff("b", props("b"), props("b", object_lock=True))
    assert lock.replaces == ["object_lock"] and lock.delete_before_replace, (
        "the name is taken until the old one is gone"
    )
    name = provider.diff("b", props("b"), props("c"))
    assert name.replaces == ["bucket"] and not name.delete_before_replace


def test_a_bucket_that_is_gone_is_made_anew(store: Store, s3: Any, bucket: str) -> None:
    provider = provider_of(store)
    created = provider.create(props(bucket))
    s3.delete_bucket(Bucket=bucket)
    assert provider.read(bucket, created.outs).id == ""
    provider.delete(bucket, created.outs)  # what is gone already is no error


@pytest.mark.parametrize("with_rules", [False, True])
def test_what_a_killed_run_left_is_taken_over(store: Store, s3: Any, bucket: str, with_rules: bool) -> None:
    if with_rules:
        provider_of(store).create(props(bucket))
        s3.put_object(Bucket=bucket, Key="already-used", Body=b"x")
    else:
        s3.create_bucket(Bucket=bucket)
    provider_of(store).create(props(bucket))
    assert "expire-noncurrent-versions" in live_rules(s3, bucket)


def test_somebody_elses_bucket_is_not_taken_over_unless_the_stack_names_it(store: Store, s3: Any, bucket: str) -> None:
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="theirs", Body=b"x")
    with pytest.raises(ProviderError, match=f"adoptBuckets {bucket}"):
        provider_of(store).create(props(bucket))
    with pytest.raises(ClientError, match="NoSuchLifecycleConfiguration"):
        s3.get_bucket_lifecycle_configuration(Bucket=bucket)
    provider_of(store, adopted=f"another {bucket}").create(props(bucket))
    assert "expire-noncurrent-versions" in live_rules(s3, bucket)


def test_an_existing_bucket_without_the_lock_that_evidence_needs_is_refused(store: Store, s3: Any, bucket: str) -> None:
    s3.create_bucket(Bucket=bucket)
    with pytest.raises(ProviderError, match="without object lock"):
        provider_of(store, adopted=bucket).create(props(bucket, object_lock=True))


@pytest.mark.parametrize("held", ["object", "old version", "delete marker"])
def test_a_bucket_that_holds_anything_is_not_deleted(store: Store, s3: Any, bucket: str, held: str) -> None:
    provider = provider_of(store)
    created = provider.create(props(bucket))
    versioned(s3, bucket)
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    if held != "object":
        s3.delete_object(Bucket=bucket, Key="k")
    if held == "delete marker":
        version = s3.list_object_versions(Bucket=bucket)["Versions"][0]["VersionId"]
        s3.delete_object(Bucket=bucket, Key="k", VersionId=version)
    with pytest.raises(ProviderError, match="allowDataLoss"):
        provider.delete(bucket, created.outs)
    assert not emptying.is_empty(s3, bucket), "a refused deletion must not have deleted anything"


def test_with_data_loss_allowed_versions_locked_ones_and_uploads_go_too(store: Store, s3: Any, bucket: str) -> None:
    provider = provider_of(store)
    wanted = props(bucket, object_lock=True, force_destroy=True)
    created = provider.create(wanted)
    for number in range(3):
        s3.put_object(Bucket=bucket, Key="k", Body=b"%d" % number)
    until = datetime.now(UTC) + timedelta(days=1)
    s3.put_object(Bucket=bucket, Key="locked", Body=b"x", ObjectLockMode="GOVERNANCE", ObjectLockRetainUntilDate=until)
    s3.delete_object(Bucket=bucket, Key="k")
    s3.create_multipart_upload(Bucket=bucket, Key="unfinished")
    provider.delete(bucket, created.outs)
    assert provider.read(bucket, created.outs).id == ""


def test_more_than_one_page_of_versions_is_emptied(store: Store, s3: Any, bucket: str) -> None:
    provider_of(store).create(props(bucket))
    versioned(s3, bucket)
    for number in range(12):
        s3.put_object(Bucket=bucket, Key=f"{number % 4}", Body=b"x")
    assert emptying.empty(s3, bucket, bypass_governance=False, page_size=5) == 12
    assert emptying.is_empty(s3, bucket)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"endpoint": "http://127.0.0.1:1"}, "objectStoreEndpoint"),
        ({"endpoint": "localhost:9000"}, "objectStoreEndpoint"),
        ({"secret_key": "wrong-key"}, "objectStoreSecretKey"),
        ({"access_key": "nobody"}, "objectStoreAccessKey"),
    ],
)
def test_an_endpoint_that_cannot_be_used_is_told_in_one_line(
    store: Store, bucket: str, changes: dict[str, str], says: str
) -> None:
    with pytest.raises(ProviderError) as caught:
        provider_of(store, **changes).create(props(bucket))
    text = str(caught.value)
    assert says in text and "\n" not in text
    assert store.secret_key not in text and "wrong-key" not in text, "the key must not be shown"


class Unsteady(BaseHTTPRequestHandler):
    """Answers 503 a few times, then as if the bucket were there."""

    failures = 0
    requests = 0

    def do_HEAD(self) -> None:
        Unsteady.requests += 1
        self.send_response(503 if Unsteady.requests <= Unsteady.failures else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def unsteady() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Unsteady)
    Thread(target=server.serve_forever, daemon=True).start()
    Unsteady.requests = 0
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_server_that_stumbles_twice_is_asked_again(store: Store, unsteady: str) -> None:
    Unsteady.failures = 2
    with replace(store, endpoint=unsteady).client() as client:
        client.head_bucket(Bucket="b")
    assert Unsteady.requests == 3


def test_a_server_that_keeps_failing_is_given_up_after_some_seconds(store: Store, unsteady: str) -> None:
    Unsteady.failures = 100
    with pytest.raises(ProviderError, match="503"), replace(store, endpoint=unsteady).client() as client:
        client.head_bucket(Bucket="b")
    assert Unsteady.requests == ATTEMPTS


class Binding:
    """The S3 client of a server whose bucket policies bind the root key, as RustFS's do and MinIO's do not.

    Everything reaches the running server, except what the policy there denies.
    """

    DENIED_BY: ClassVar = {
        "put_bucket_lifecycle_configuration": "s3:PutBucketLifecycle",
        "delete_bucket_lifecycle": "s3:PutBucketLifecycle",
        "delete_objects": "s3:DeleteObject",
    }

    def __init__(self, client: Any) -> None:
        self._client = client
        self.lifted_to: list[set[str]] = []

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)
        if name not in self.DENIED_BY:
            return method

        def bound(**arguments: Any) -> Any:
            document = guard.current(self._client, arguments["Bucket"]) or {"Statement": []}
            denied = {action for statement in document["Statement"] for action in statement["Action"]}
            # MinIO has another name for the one action.
            denied |= {"s3:PutBucketLifecycle"} if "s3:PutLifecycleConfiguration" in denied else set()
            self.lifted_to.append(denied)
            if self.DENIED_BY[name] in denied:
                raise ClientError({"Error": {"Code": "AccessDenied", "Message": "by the bucket policy"}}, name)
            return method(**arguments)

        return bound


@pytest.fixture
def binding(store: Store, s3: Any, monkeypatch: pytest.MonkeyPatch) -> Binding:
    made = Binding(s3)

    @contextmanager
    def client(_self: Store) -> Iterator[Binding]:
        yield made

    monkeypatch.setattr(Store, "client", client)
    return made


def guarded(s3: Any, store: Store, name: str) -> str:
    server = s3.list_buckets()["ResponseMetadata"]["HTTPHeaders"].get("server", "")
    return json.dumps(guard_policy(name, target_of(server)))


def put_guard(s3: Any, name: str, text: str) -> None:
    s3.put_bucket_policy(Bucket=name, Policy=text)


def guard_of(s3: Any, name: str) -> dict[str, Any]:
    return by_name(guard.current(s3, name) or {})


def test_the_guard_is_lifted_for_a_change_of_the_rules_and_back_in_force_afterwards(
    store: Store, s3: Any, bucket: str, binding: Binding
) -> None:
    text = guarded(s3, store, bucket)
    provider = provider_of(store)
    created = provider.create(props(bucket, guard=text))
    put_guard(s3, bucket, text)
    with pytest.raises(ClientError, match="AccessDenied"):
        binding.delete_bucket_lifecycle(Bucket=bucket)
    provider.update(bucket, created.outs, props(bucket, guard=text, rules=retention_rules(30, 1)))
    assert live_rules(s3, bucket)["expire-noncurrent-versions"]["NoncurrentVersionExpiration"]["NoncurrentDays"] == 30
    assert "s3:DeleteObject" in binding.lifted_to[-1], "objects must stay guarded while the rules are changed"
    assert guard_of(s3, bucket) == by_name(json.loads(text))


def test_the_guard_is_back_after_a_change_that_failed(store: Store, s3: Any, bucket: str) -> None:
    text = guarded(s3, store, bucket)
    provider = provider_of(store)
    created = provider.create(props(bucket, guard=text))
    put_guard(s3, bucket, text)
    bad = {"r": {"Prefix": "", "NoncurrentVersionExpiration": {"NoncurrentDays": -1}}}
    with pytest.raises(ProviderError):
        provider.update(bucket, created.outs, props(bucket, guard=text, rules=bad))
    assert guard_of(s3, bucket) == by_name(json.loads(text))


def test_a_run_killed_while_the_guard_was_lifted_is_made_good_by_the_next(store: Store, s3: Any, bucket: str) -> None:
    text = guarded(s3, store, bucket)
    provider = provider_of(store)
    created = provider.create(props(bucket, guard=text))
    put_guard(s3, bucket, json.dumps(lifted(json.loads(text))))
    provider.update(bucket, created.outs, props(bucket, guard=text, rules=retention_rules(30, 1)))
    assert guard_of(s3, bucket) == by_name(json.loads(text))


def test_a_guarded_bucket_whose_state_was_lost_is_taken_over_and_its_settings_can_be_made(
    store: Store, s3: Any, bucket: str, binding: Binding
) -> None:
    text = guarded(s3, store, bucket)
    provider_of(store).create(props(bucket, guard=text))
    put_guard(s3, bucket, text)
    provider_of(store).create(props(bucket, guard=text, rules=retention_rules(30, 1)))
    assert guard.current(s3, bucket) is None, "versioning could not be set; the guard's own resource puts it back last"


def test_a_bucket_policy_that_is_not_ours_is_left_alone(store: Store, s3: Any, bucket: str) -> None:
    provider = provider_of(store)
    created = provider.create(props(bucket))
    theirs = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Deny", "Principal": "*", "Action": ["s3:GetObject"], "Resource": [f"arn:aws:s3:::{bucket}/*"]}],
    }  # fmt: skip
    put_guard(s3, bucket, json.dumps(theirs))
    provider.update(bucket, created.outs, props(bucket, rules=retention_rules(30, 1)))
    assert guard_of(s3, bucket) == by_name(theirs)


def test_with_data_loss_allowed_a_guarded_bucket_goes_too(store: Store, s3: Any, bucket: str, binding: Binding) -> None:
    text = guarded(s3, store, bucket)
    provider = provider_of(store)
    created = provider.create(props(bucket, guard=text, force_destroy=True))
    put_guard(s3, bucket, text)
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    provider.delete(bucket, created.outs)
    assert provider.read(bucket, created.outs).id == ""


def test_a_prefix_keeps_its_old_versions_for_a_time_of_its_own(store: Store, s3: Any, bucket: str) -> None:
    rules = retention_rules(90, 1, {"feeds/": 30})
    provider = provider_of(store)
    created = provider.create(props(bucket, rules=rules))
    live = live_rules(s3, bucket)["expire-noncurrent-versions-of-feeds/"]
    assert live["Filter"]["Prefix"] == "feeds/" and live["NoncurrentVersionExpiration"]["NoncurrentDays"] == 30
    assert provider.read(bucket, created.outs).outs == created.outs
