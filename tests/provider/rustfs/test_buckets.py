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

import grpc
import pytest
from botocore.exceptions import ClientError

from components.rustfs.lifecycle import retention_rules
from components.rustfs.policies import guard_policy
from components.rustfs.policy_documents import by_name, lifted
from components.rustfs.servers import target_of
from provider.base.configuration import parse
from provider.base.values import UNKNOWN, decode, encode
from provider.errors import ProviderError
from provider.rustfs import emptying, guard
from provider.rustfs.bucket import Bucket
from provider.rustfs.store import ATTEMPTS, Store
from provider.settings import CONFIGURATION, ProviderSettings
from tests.provider.base.harness import PluginClient, Props, Resource, said, stellaops
from tests.support.provider import NOWHERE, refreshed, refused, settings

TOKEN = "stellaops:objectstore:Bucket"


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


@pytest.fixture(scope="module")
def provider(store: Store) -> Iterator[PluginClient]:
    with stellaops(**settings(store=store)) as client:
        yield client


@pytest.fixture(scope="module")
def offline() -> Iterator[PluginClient]:
    """Configured for a server that does not run: whatever contacts one fails."""
    with stellaops(**settings(store=NOWHERE)) as client:
        yield client


def props(bucket: str, **changes: Any) -> Props:
    plain = {"bucket": bucket, "objectLock": False, "rules": retention_rules(90, 1), "forceDestroy": False}
    return {**plain, **changes}


def kept(bucket: str, **changes: Any) -> Resource:
    """The resource after an ``up``."""
    wanted = {**props(bucket, **changes), "adopt": False}
    return Resource(TOKEN, bucket, wanted, {**wanted, "leftToServer": ["abort-stale-uploads"]})


def live_rules(s3: Any, bucket: str) -> dict[str, Any]:
    return {rule["ID"]: rule for rule in s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]}


def versioned(s3: Any, bucket: str) -> None:
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})


def test_old_versions_expire_after_90_days_and_current_ones_never(provider: PluginClient, s3: Any, bucket: str) -> None:
    created = provider.create(TOKEN, props(bucket))
    rules = live_rules(s3, bucket)
    assert rules["expire-noncurrent-versions"]["NoncurrentVersionExpiration"]["NoncurrentDays"] == 90
    assert rules["remove-expired-delete-markers"]["Expiration"]["ExpiredObjectDeleteMarker"] is True
    for name, rule in rules.items():
        assert not set(rule.get("Expiration", {})) & {"Days", "Date"}, f"{name} would delete current versions"
    assert set(rules) | set(created.outputs["leftToServer"]) == set(retention_rules(90, 1)), (
        "a rule was lost on the way"
    )


def test_only_the_rule_for_stale_uploads_is_left_to_a_server_that_has_none(provider: PluginClient, bucket: str) -> None:
    created = provider.create(TOKEN, props(bucket))
    assert set(created.outputs["leftToServer"]) <= {"abort-stale-uploads"}


def test_object_lock_is_given_when_the_mapping_asks_for_it_and_only_then(
    provider: PluginClient, s3: Any, bucket: str
) -> None:
    provider.create(TOKEN, props(bucket, objectLock=True))
    answer = s3.get_object_lock_configuration(Bucket=bucket)
    assert answer["ObjectLockConfiguration"]["ObjectLockEnabled"] == "Enabled"
    assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"


def test_a_refresh_finds_no_change_where_there_is_none(provider: PluginClient, bucket: str) -> None:
    created = provider.create(TOKEN, props(bucket))
    found = refreshed(provider, created)
    assert found == created, "the engine would show a change"
    assert provider.diff(found, props(bucket)).detailed == {}


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
    provider: PluginClient, s3: Any, bucket: str, tampered: list[dict[str, Any]]
) -> None:
    created = provider.create(TOKEN, props(bucket))
    before = live_rules(s3, bucket)
    if tampered:
        rules = [{"Status": "Enabled", "Filter": {"Prefix": ""}, **rule} for rule in tampered]
        s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": rules})
    else:
        s3.delete_bucket_lifecycle(Bucket=bucket)
    found = refreshed(provider, created)
    diff = provider.diff(found, props(bucket))
    assert diff.detailed and not diff.replaces, "retention that somebody shortened would stay unseen"
    assert all(path.startswith("rules[") for path in diff.detailed), "the rule must be named"
    assert found.inputs["rules"] == found.outputs["rules"] != created.inputs["rules"], "the engine would not compare"
    provider.update(found, props(bucket))
    assert live_rules(s3, bucket) == before


def test_changed_days_are_updated_in_place(provider: PluginClient, s3: Any, bucket: str) -> None:
    created = provider.create(TOKEN, props(bucket))
    s3.put_object(Bucket=bucket, Key="kept", Body=b"x")
    wanted = props(bucket, rules=retention_rules(30, 1))
    diff = provider.diff(created, wanted)
    assert diff.detailed == {'rules["expire-noncurrent-versions"]': "UPDATE"} and not diff.replaces
    provider.update(created, wanted)
    assert live_rules(s3, bucket)["expire-noncurrent-versions"]["NoncurrentVersionExpiration"]["NoncurrentDays"] == 30
    assert s3.head_object(Bucket=bucket, Key="kept")


def test_object_lock_and_name_need_another_bucket(offline: PluginClient) -> None:
    lock = offline.diff(kept("b"), props("b", objectLock=True))
    assert list(lock.detailed) == ["objectLock"] and lock.replaces == ["objectLock"]
    assert lock.delete_before_replace, "the name is taken until the old one is gone"
    name = offline.diff(kept("b"), props("c"))
    assert name.replaces == ["bucket"] and not name.delete_before_replace
    both = offline.diff(kept("b"), props("c", objectLock=True))
    assert both.replaces == ["bucket", "objectLock"] and not both.delete_before_replace


def test_each_rule_that_changes_is_named(offline: PluginClient) -> None:
    rules = retention_rules(30, 1, {"feeds/": 7})
    del rules["abort-stale-uploads"]
    assert offline.diff(kept("b"), props("b", rules=rules)).detailed == {
        'rules["expire-noncurrent-versions"]': "UPDATE",
        'rules["abort-stale-uploads"]': "DELETE",
        'rules["expire-noncurrent-versions-of-feeds/"]': "ADD",
    }


def test_what_concerns_others_than_the_bucket_is_no_change(offline: PluginClient) -> None:
    assert offline.diff(kept("b"), props("b", guard="{}", adopt=True)).detailed == {}, (
        "the guard's own resource puts it, and adopt matters when a bucket is created"
    )
    force = offline.diff(kept("b"), props("b", forceDestroy=True))
    assert list(force.detailed) == ["forceDestroy"] and force.replaces == []


def test_a_preview_contacts_no_server_and_has_what_is_known(offline: PluginClient) -> None:
    planned = offline.create(TOKEN, props("b"), preview=True)
    assert planned.outputs == {**planned.inputs, "leftToServer": UNKNOWN}
    planned = offline.update(kept("b"), props("b", forceDestroy=True), preview=True)
    assert planned.outputs["leftToServer"] == ["abort-stale-uploads"] and planned.outputs["forceDestroy"] is True
    planned = offline.update(kept("b"), props("b", rules=retention_rules(1, 1)), preview=True)
    assert planned.outputs["leftToServer"] == UNKNOWN


def test_numbers_from_the_engine_are_whole_ones() -> None:
    rules = decode(encode({"r": {"Prefix": "", "NoncurrentVersionExpiration": {"NoncurrentDays": 90}}}))
    assert repr(rules["r"]["NoncurrentVersionExpiration"]["NoncurrentDays"]) == "90", "S3 takes no others"


@pytest.mark.parametrize(
    ("rule", "words", "place"),
    [
        ({"Prefix": ""}, "does nothing", 'rules["odd-rule"]'),
        ({"Prefix": "", "Expiration": {}}, "does nothing", 'rules["odd-rule"]'),
        (
            {"Prefix": "", "NoncurrentVersionExpiration": {"NoncurrentDays": 0}},
            "at least one day",
            'rules["odd-rule"].NoncurrentVersionExpiration.NoncurrentDays',
        ),
        (
            {"Prefix": "", "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": -1}},
            "at least one day",
            'rules["odd-rule"].AbortIncompleteMultipartUpload.DaysAfterInitiation',
        ),
    ],
)
def test_a_preview_refuses_a_rule_that_the_server_would(
    offline: PluginClient, rule: dict[str, Any], words: str, place: str
) -> None:
    _, failures = offline.check(TOKEN, props("b", rules={"odd-rule": rule}))
    assert [text.partition(": ")[0] for text in failures] == [place]
    assert "odd-rule" in failures[0] and words in failures[0]


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"bucket": None}, "bucket"),
        ({"objectLock": "yes"}, "objectLock"),
        ({"rules": {"r": "keep"}}, "rules.r"),
        ({"rules": None}, "rules"),
        ({"force_destroy": True}, "force_destroy"),
        ({"rules": {str(number): retention_rules(1, 1)["abort-stale-uploads"] for number in range(1001)}}, "rules"),
    ],
)
def test_a_mistake_is_refused_where_it_stands(offline: PluginClient, changes: Props, place: str) -> None:
    _, failures = offline.check(TOKEN, {**props("b"), **changes})
    assert [text.partition(": ")[0] for text in failures] == [place]


def test_an_import_takes_the_bucket_as_it_is(provider: PluginClient, s3: Any, bucket: str) -> None:
    created = provider.create(TOKEN, props(bucket, objectLock=True))
    s3.put_object(Bucket=bucket, Key="kept", Body=b"x")
    found = provider.imported(TOKEN, bucket)
    assert found is not None and found.id == bucket
    left = created.outputs["leftToServer"]
    live = {name: rule for name, rule in retention_rules(90, 1).items() if name not in left}
    assert found.inputs == {**props(bucket, objectLock=True, rules=live), "adopt": False}
    assert provider.diff(found).detailed == {}
    assert provider.diff(found, props(bucket, objectLock=True)).replaces == [], "the bucket would be deleted"
    assert provider.imported(TOKEN, f"{bucket}-2") is None


def test_a_bucket_that_is_gone_is_made_anew(provider: PluginClient, s3: Any, bucket: str) -> None:
    created = provider.create(TOKEN, props(bucket))
    s3.delete_bucket(Bucket=bucket)
    assert provider.refresh(created) is None
    provider.delete(created)  # what is gone already is no error


@pytest.mark.parametrize("with_rules", [False, True])
def test_what_a_killed_run_left_is_taken_over(provider: PluginClient, s3: Any, bucket: str, with_rules: bool) -> None:
    if with_rules:
        provider.create(TOKEN, props(bucket))
        s3.put_object(Bucket=bucket, Key="already-used", Body=b"x")
    else:
        s3.create_bucket(Bucket=bucket)
    provider.create(TOKEN, props(bucket))
    assert "expire-noncurrent-versions" in live_rules(s3, bucket)


def test_somebody_elses_bucket_is_not_taken_over_unless_the_stack_names_it(
    provider: PluginClient, s3: Any, bucket: str
) -> None:
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="theirs", Body=b"x")
    with refused(f"adoptBuckets {bucket}"):
        provider.create(TOKEN, props(bucket))
    with pytest.raises(ClientError, match="NoSuchLifecycleConfiguration"):
        s3.get_bucket_lifecycle_configuration(Bucket=bucket)
    provider.create(TOKEN, props(bucket, adopt=True))
    assert "expire-noncurrent-versions" in live_rules(s3, bucket)


@pytest.mark.parametrize("preview", [True, False], ids=["preview", "up"])
def test_an_existing_bucket_without_the_lock_that_evidence_needs_is_refused(
    provider: PluginClient, s3: Any, bucket: str, *, preview: bool
) -> None:
    s3.create_bucket(Bucket=bucket)
    with refused("without object lock"):
        provider.create(TOKEN, props(bucket, objectLock=True, adopt=True), preview=preview)


def test_a_preview_refuses_the_bucket_that_up_would_refuse(provider: PluginClient, s3: Any, bucket: str) -> None:
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="theirs", Body=b"x")
    with refused(f"adoptBuckets {bucket}"):
        provider.create(TOKEN, props(bucket), preview=True)


def test_a_preview_names_what_adopting_a_bucket_replaces_and_changes_nothing(
    kind: Bucket, s3: Any, bucket: str, capsys: pytest.CaptureFixture[str]
) -> None:
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="theirs", Body=b"x")
    old_rule = {"ID": "theirs", "Status": "Enabled", "Filter": {"Prefix": "tmp/"}, "Expiration": {"Days": 7}}
    s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": [old_rule]})
    public = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": "*", "Action": ["s3:GetObject"], "Resource": [f"arn:aws:s3:::{bucket}/*"]}],
    }  # fmt: skip
    put_guard(s3, bucket, json.dumps(public))
    kind.preview(props(bucket, adopt=True))
    printed = capsys.readouterr().out
    assert "lifecycle rule theirs (Prefix tmp/, Days 7) is removed" in printed, printed
    assert f"its bucket policy is removed (Allow {bucket}/*: s3:GetObject)" in printed, printed
    assert "versioning (never enabled) is enabled" in printed
    assert set(live_rules(s3, bucket)) == {"theirs"} and guard.current(s3, bucket) is not None, "a preview only reads"

    kind.create(props(bucket, adopt=True))
    assert "theirs" not in live_rules(s3, bucket)
    assert guard.current(s3, bucket) is None, "anybody could still read the objects"


def test_a_preview_of_a_bucket_that_is_deleted_first_adopts_nothing(
    kind: Bucket, s3: Any, bucket: str, capsys: pytest.CaptureFixture[str]
) -> None:
    created = kind.create(props(bucket, adopt=False))
    locked = props(bucket, objectLock=True, adopt=False)
    assert kind.plan(created.outputs, locked, ()).delete_before_replace
    kind.preview(locked)
    assert capsys.readouterr().out == ""


def test_a_preview_without_a_server_says_what_it_cannot_show(
    offline: PluginClient, capsys: pytest.CaptureFixture[str], bucket: str
) -> None:
    offline.create(TOKEN, props(bucket), preview=True)
    kind = Bucket(settings_of(NOWHERE))
    kind.preview(props(bucket))
    assert f"does not show whether bucket {bucket} exists already: object store at {NOWHERE.endpoint}" in (
        capsys.readouterr().out
    )


@pytest.mark.parametrize("held", ["object", "old version", "delete marker"])
def test_a_bucket_that_holds_anything_is_not_deleted(provider: PluginClient, s3: Any, bucket: str, held: str) -> None:
    created = provider.create(TOKEN, props(bucket))
    versioned(s3, bucket)
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    if held != "object":
        s3.delete_object(Bucket=bucket, Key="k")
    if held == "delete marker":
        version = s3.list_object_versions(Bucket=bucket)["Versions"][0]["VersionId"]
        s3.delete_object(Bucket=bucket, Key="k", VersionId=version)
    with refused("allowDataLoss"):
        provider.delete(created)
    assert not emptying.is_empty(s3, bucket), "a refused deletion must not have deleted anything"


def test_with_data_loss_allowed_versions_locked_ones_and_uploads_go_too(
    provider: PluginClient, s3: Any, bucket: str
) -> None:
    wanted = props(bucket, objectLock=True, forceDestroy=True)
    created = provider.create(TOKEN, wanted)
    for number in range(3):
        s3.put_object(Bucket=bucket, Key="k", Body=b"%d" % number)
    until = datetime.now(UTC) + timedelta(days=1)
    s3.put_object(Bucket=bucket, Key="locked", Body=b"x", ObjectLockMode="GOVERNANCE", ObjectLockRetainUntilDate=until)
    s3.delete_object(Bucket=bucket, Key="k")
    s3.create_multipart_upload(Bucket=bucket, Key="unfinished")
    provider.delete(created)
    assert provider.refresh(created) is None


def test_more_than_one_page_of_versions_is_emptied_and_the_progress_shown(
    provider: PluginClient, s3: Any, bucket: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(emptying, "REPORT_EVERY", 10)
    provider.create(TOKEN, props(bucket))
    versioned(s3, bucket)
    for number in range(12):
        # XML cannot name the last key, so it cannot be deleted together with others.
        s3.put_object(Bucket=bucket, Key=("0", "1", "2", "\x1b[31m")[number % 4], Body=b"x")
    assert emptying.empty(s3, bucket, bypass_governance=False, page_size=5) == 12
    assert emptying.is_empty(s3, bucket)
    assert capsys.readouterr().out == f"bucket {bucket}: 10 versions deleted so far\n"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"endpoint": "http://127.0.0.1:1"}, "objectStoreEndpoint"),
        ({"endpoint": "localhost:9000"}, "objectStoreEndpoint"),
        ({"secret_key": "wrong-key"}, "objectStoreSecretKey"),
        ({"access_key": "nobody"}, "objectStoreAccessKey"),
    ],
)
def test_an_endpoint_that_cannot_be_used_is_told_in_one_line(
    store: Store, bucket: str, changes: dict[str, str], words: str
) -> None:
    with stellaops(**settings(store=replace(store, **changes))) as client, pytest.raises(grpc.RpcError) as caught:
        client.create(TOKEN, props(bucket))
    text = said(caught.value)
    assert words in text
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


@pytest.fixture
def kind(store: Store) -> Bucket:
    """The kind in this process, where ``binding`` reaches it and no check stands before it."""
    return Bucket(settings_of(store))


def settings_of(store: Store) -> ProviderSettings:
    inputs = ProviderSettings()
    values, failures = parse(CONFIGURATION, settings(store=store))
    assert not failures
    inputs.configure(values)
    return inputs


def guarded(s3: Any, store: Store, name: str) -> str:
    server = s3.list_buckets()["ResponseMetadata"]["HTTPHeaders"].get("server", "")
    return json.dumps(guard_policy(name, target_of(server)))


def put_guard(s3: Any, name: str, text: str) -> None:
    s3.put_bucket_policy(Bucket=name, Policy=text)


def guard_of(s3: Any, name: str) -> dict[str, Any]:
    return by_name(guard.current(s3, name) or {})


def test_the_guard_is_lifted_for_a_change_of_the_rules_and_back_in_force_afterwards(
    kind: Bucket, store: Store, s3: Any, bucket: str, binding: Binding
) -> None:
    text = guarded(s3, store, bucket)
    created = kind.create(props(bucket, adopt=False, guard=text))
    put_guard(s3, bucket, text)
    with pytest.raises(ClientError, match="AccessDenied"):
        binding.delete_bucket_lifecycle(Bucket=bucket)
    kind.update(bucket, created.outputs, props(bucket, guard=text, rules=retention_rules(30, 1)))
    assert live_rules(s3, bucket)["expire-noncurrent-versions"]["NoncurrentVersionExpiration"]["NoncurrentDays"] == 30
    assert "s3:DeleteObject" in binding.lifted_to[-1], "objects must stay guarded while the rules are changed"
    assert guard_of(s3, bucket) == by_name(json.loads(text))


def test_the_guard_is_back_after_a_change_that_failed(kind: Bucket, store: Store, s3: Any, bucket: str) -> None:
    text = guarded(s3, store, bucket)
    created = kind.create(props(bucket, adopt=False, guard=text))
    put_guard(s3, bucket, text)
    bad = {"r": {"Prefix": "", "NoncurrentVersionExpiration": {"NoncurrentDays": -1}}}
    with pytest.raises(ProviderError):
        kind.update(bucket, created.outputs, props(bucket, guard=text, rules=bad))
    assert guard_of(s3, bucket) == by_name(json.loads(text))


def test_a_run_killed_while_the_guard_was_lifted_is_made_good_by_the_next(
    kind: Bucket, store: Store, s3: Any, bucket: str
) -> None:
    text = guarded(s3, store, bucket)
    created = kind.create(props(bucket, adopt=False, guard=text))
    put_guard(s3, bucket, json.dumps(lifted(json.loads(text))))
    kind.update(bucket, created.outputs, props(bucket, guard=text, rules=retention_rules(30, 1)))
    assert guard_of(s3, bucket) == by_name(json.loads(text))


def test_a_guarded_bucket_whose_state_was_lost_is_taken_over_and_its_settings_can_be_made(
    kind: Bucket, store: Store, s3: Any, bucket: str, binding: Binding
) -> None:
    text = guarded(s3, store, bucket)
    kind.create(props(bucket, adopt=False, guard=text))
    put_guard(s3, bucket, text)
    kind.create(props(bucket, adopt=False, guard=text, rules=retention_rules(30, 1)))
    assert guard.current(s3, bucket) is None, "versioning could not be set; the guard's own resource puts it back last"


def test_a_bucket_policy_that_is_not_ours_is_left_alone(provider: PluginClient, s3: Any, bucket: str) -> None:
    created = provider.create(TOKEN, props(bucket))
    theirs = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Deny", "Principal": "*", "Action": ["s3:GetObject"], "Resource": [f"arn:aws:s3:::{bucket}/*"]}],
    }  # fmt: skip
    put_guard(s3, bucket, json.dumps(theirs))
    provider.update(created, props(bucket, rules=retention_rules(30, 1)))
    assert guard_of(s3, bucket) == by_name(theirs)


def test_with_data_loss_allowed_a_guarded_bucket_goes_too(
    kind: Bucket, store: Store, s3: Any, bucket: str, binding: Binding
) -> None:
    text = guarded(s3, store, bucket)
    created = kind.create(props(bucket, adopt=False, guard=text, forceDestroy=True))
    put_guard(s3, bucket, text)
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    kind.delete(bucket, created.outputs)
    assert kind.read(bucket, created.outputs) is None


def test_a_prefix_keeps_its_old_versions_for_a_time_of_its_own(provider: PluginClient, s3: Any, bucket: str) -> None:
    rules = retention_rules(90, 1, {"feeds/": 30})
    created = provider.create(TOKEN, props(bucket, rules=rules))
    live = live_rules(s3, bucket)["expire-noncurrent-versions-of-feeds/"]
    assert live["Filter"]["Prefix"] == "feeds/" and live["NoncurrentVersionExpiration"]["NoncurrentDays"] == 30
    assert refreshed(provider, created) == created
