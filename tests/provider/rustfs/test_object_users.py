"""``stellaops:objectstore:User`` against a running object store: RustFS where there is one, else MinIO."""

import secrets
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import boto3
import grpc
import pytest
from botocore.exceptions import ClientError

from components.rustfs.policy_documents import by_name
from provider.base.values import UNKNOWN
from provider.rustfs import admin
from provider.rustfs.store import Store
from tests.provider.base.harness import PluginClient, Props, Resource, said, stellaops
from tests.support.accounts import add_to_group, disable, remove_group
from tests.support.provider import NOWHERE, refreshed, refused, settings

TOKEN = "stellaops:objectstore:User"
READ_ALL = {"Effect": "Allow", "Action": ["s3:GetObject"], "Resource": ["arn:aws:s3:::*"]}


@pytest.fixture(scope="module")
def store(object_store: Any) -> Store:
    return Store(object_store.endpoint, "us-east-1", object_store.access_key, object_store.secret_key)


@pytest.fixture(scope="module")
def server(store: Store) -> admin.Admin:
    return admin.connect(store)


@pytest.fixture(scope="module")
def bucket(object_store: Any) -> Iterator[str]:
    """A bucket with one object, in case the server is shared under a name that nobody has."""
    name, client = f"test-{secrets.token_hex(6)}", object_store.client()
    client.create_bucket(Bucket=name)
    client.put_object(Bucket=name, Key="in/a", Body=b"x")
    yield name
    client.delete_object(Bucket=name, Key="in/a")
    client.delete_object(Bucket=name, Key="in/b")
    client.delete_bucket(Bucket=name)
    client.close()


@pytest.fixture
def user(server: admin.Admin) -> Iterator[str]:
    name = f"test-{secrets.token_hex(6)}"
    yield name
    server.remove_user(name)
    server.remove_policy(name)
    remove_group(server, f"group-of-{name}")


@pytest.fixture(scope="module")
def provider(store: Store) -> Iterator[PluginClient]:
    with stellaops(**settings(store=store)) as client:
        yield client


@pytest.fixture(scope="module")
def offline() -> Iterator[PluginClient]:
    """Configured for a server that does not run: whatever contacts one fails."""
    with stellaops(**settings(store=NOWHERE)) as client:
        yield client


def kept(user: str, **changes: Any) -> Resource:
    """The resource after an ``up``."""
    wanted = {**props(user, "b"), "state": "enabled", **changes}
    return Resource(TOKEN, user, wanted, {**wanted, "secretKey": "its-key"})


def props(user: str, bucket: str, *actions: str, rotate: int = 1) -> Props:
    statement = {
        "Effect": "Allow",
        "Action": list(actions or ["s3:GetObject"]),
        "Resource": [f"arn:aws:s3:::{bucket}/in/*"],
    }
    return {"user": user, "rotate": rotate, "policy": by_name({"Statement": [statement]})}


def may(store: Store, made: Resource, operation: Callable[[Any], Any]) -> bool:
    client = boto3.client(
        "s3", endpoint_url=store.endpoint, region_name=store.region,
        aws_access_key_id=made.outputs["user"], aws_secret_access_key=made.outputs["secretKey"],
    )  # fmt: skip
    try:
        operation(client)
    except ClientError as error:
        if error.response["Error"]["Code"] in ("AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "403"):
            return False
        raise
    finally:
        client.close()
    return True


def reads(bucket: str) -> Callable[[Any], Any]:
    return lambda client: client.get_object(Bucket=bucket, Key="in/a")


def writes(bucket: str) -> Callable[[Any], Any]:
    return lambda client: client.put_object(Bucket=bucket, Key="in/b", Body=b"x")


def test_a_user_may_do_what_its_policy_says(provider: PluginClient, store: Store, user: str, bucket: str) -> None:
    made = provider.create(TOKEN, props(user, bucket))
    assert made.id == user and len(made.outputs["secretKey"]) == 40, "more is cut off or refused by some servers"
    assert may(store, made, reads(bucket))
    assert not may(store, made, writes(bucket))


def test_a_changed_policy_is_put_in_place_and_the_key_stays(
    provider: PluginClient, store: Store, user: str, bucket: str
) -> None:
    made = provider.create(TOKEN, props(user, bucket))
    wanted = props(user, bucket, "s3:GetObject", "s3:PutObject")
    diff = provider.diff(made, wanted)
    assert diff.detailed == {f'policy["Allow {bucket}/in/*"]': "UPDATE"} and not diff.replaces
    changed = provider.update(made, wanted)
    assert changed.outputs["secretKey"] == made.outputs["secretKey"], (
        "the service would be locked out by a change of the mapping"
    )
    assert may(store, changed, writes(bucket))


def test_rotation_gives_another_key_at_once_and_the_old_one_is_refused(
    provider: PluginClient, store: Store, user: str, bucket: str
) -> None:
    made = provider.create(TOKEN, props(user, bucket))
    wanted = props(user, bucket, rotate=2)
    assert provider.diff(made, wanted).replaces == [], "a replaced user would be deleted after it was made"
    changed = provider.update(made, wanted)
    assert may(store, changed, reads(bucket))
    assert not may(store, made, reads(bucket))


def test_a_refresh_finds_no_change_where_there_is_none(
    provider: PluginClient, store: Store, user: str, bucket: str
) -> None:
    made = provider.create(TOKEN, props(user, bucket))
    found = refreshed(provider, made)
    assert found == made, "the engine would show a change"
    assert provider.diff(found, props(user, bucket)).detailed == {}


def other_policy(server: admin.Admin, user: str, _: Store) -> None:
    server.put_policy(user, {"Version": "2012-10-17", "Statement": [READ_ALL]})


def further_policy(server: admin.Admin, user: str, _: Store) -> None:
    server.attach(user, f"{user},readwrite")


def no_policy_of_its_own(server: admin.Admin, user: str, _: Store) -> None:
    server.attach(user, "readonly")


def other_key(server: admin.Admin, user: str, _: Store) -> None:
    server.put_user(user, "somebody-elses-key")


def disabled(server: admin.Admin, user: str, _: Store) -> None:
    disable(server, user)


def member_of_a_group(server: admin.Admin, user: str, _: Store) -> None:
    add_to_group(server, f"group-of-{user}", user, "readwrite")


def administrator(server: admin.Admin, user: str, _: Store) -> None:
    policy = server.policies()[user]
    extra = {"Effect": "Allow", "Action": ["admin:*"]}
    server.put_policy(user, {**policy, "Statement": [*policy["Statement"], extra]})


TAMPERINGS = [
    other_policy, further_policy, no_policy_of_its_own, other_key, disabled, member_of_a_group, administrator
]  # fmt: skip


@pytest.mark.parametrize("tamper", TAMPERINGS)
def test_a_refresh_finds_each_tampering_and_an_update_mends_it(
    provider: PluginClient,
    store: Store,
    server: admin.Admin,
    user: str,
    bucket: str,
    tamper: Callable[[admin.Admin, str, Store], None],
) -> None:
    made = provider.create(TOKEN, props(user, bucket))
    tamper(server, user, store)
    found = refreshed(provider, made)
    assert provider.diff(found, props(user, bucket)).detailed, "what somebody did by hand would stay unseen"
    assert found.inputs != made.inputs, "the engine would not compare"
    assert provider.update(found, props(user, bucket)).outputs == made.outputs
    assert refreshed(provider, made) == made
    assert may(store, made, reads(bucket)) and not may(store, made, writes(bucket))


def test_a_user_that_is_gone_is_made_anew_and_deleting_it_is_no_error(
    provider: PluginClient, store: Store, server: admin.Admin, user: str, bucket: str
) -> None:
    made = provider.create(TOKEN, props(user, bucket))
    server.remove_user(user)
    assert provider.refresh(made) is None
    provider.delete(made)
    assert user not in server.users() and user not in server.policies(), "nothing may be left behind"


def test_what_a_killed_run_left_is_taken_over(provider: PluginClient, store: Store, user: str, bucket: str) -> None:
    lost = provider.create(TOKEN, props(user, bucket))
    made = provider.create(TOKEN, props(user, bucket))
    assert may(store, made, reads(bucket)) and not may(store, lost, reads(bucket))


def test_the_key_that_provisions_is_never_made_a_modules(provider: PluginClient, store: Store) -> None:
    _, failures = provider.check(TOKEN, props(store.access_key, "b"))
    assert len(failures) == 1 and failures[0].startswith("user: ") and "the admin's access key" in failures[0]


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"user": None}, "user"),
        ({"rotate": "2"}, "rotate"),
        ({"rotate": -1}, "rotate"),
        ({"policy": {"Allow b/*": {"Effect": "Allow"}}}, 'policy["Allow b/*"]'),
        ({"policy": {"Allow b/*": "attached"}}, 'policy["Allow b/*"]'),
        ({"state": "disabled"}, "state"),
        ({"secretKey": "mine"}, "secretKey"),
    ],
)
def test_a_mistake_is_refused_where_it_stands(offline: PluginClient, changes: Props, place: str) -> None:
    _, failures = offline.check(TOKEN, {**props("u", "b"), **changes})
    assert [text.partition(": ")[0] for text in failures] == [place]


def test_another_name_is_another_user_and_nothing_else_replaces(offline: PluginClient) -> None:
    renamed = offline.diff(kept("u"), props("v", "b"))
    assert renamed.replaces == ["user"] and not renamed.delete_before_replace
    assert offline.diff(kept("u"), props("u", "b", rotate=2)).detailed == {"rotate": "UPDATE"}
    disabled = offline.diff(kept("u", state="disabled"), props("u", "b"))
    assert disabled.detailed == {"state": "UPDATE"} and disabled.replaces == []


def test_a_preview_contacts_no_server_and_has_what_is_known(offline: PluginClient) -> None:
    planned = offline.create(TOKEN, props("u", "b"), preview=True)
    assert planned.outputs == {**planned.inputs, "secretKey": UNKNOWN} and planned.secret == {"secretKey"}
    planned = offline.update(kept("u"), props("u", "b", "s3:PutObject"), preview=True)
    assert planned.outputs["secretKey"] == "its-key" and planned.secret == {"secretKey"}
    planned = offline.update(kept("u"), props("u", "b", rotate=2), preview=True)
    assert planned.outputs["secretKey"] == UNKNOWN


def test_an_imported_user_keeps_its_key_until_it_is_rotated(
    provider: PluginClient, store: Store, user: str, bucket: str
) -> None:
    made = provider.create(TOKEN, props(user, bucket))
    assert made.secret == {"secretKey"}
    found = provider.imported(TOKEN, user)
    assert found is not None and found.inputs == {**props(user, bucket, rotate=0), "state": "enabled"}
    assert provider.diff(found).detailed == {} and refreshed(provider, found).outputs == found.outputs
    assert may(store, made, reads(bucket)), "an import must not lock out the service"
    assert list(provider.diff(found, props(user, bucket)).detailed) == ["rotate"]
    changed = provider.update(found, props(user, bucket))
    assert changed.outputs["rotate"] == 1 and changed.secret == {"secretKey"}
    assert may(store, changed, reads(bucket)) and not may(store, made, reads(bucket))


def test_an_import_of_nobody_finds_nothing(provider: PluginClient, user: str) -> None:
    assert provider.imported(TOKEN, user) is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"endpoint": "http://127.0.0.1:1"}, "objectStoreEndpoint"),
        ({"secret_key": "wrong-key"}, "objectStoreSecretKey"),
        ({"access_key": "nobody"}, "objectStoreAccessKey"),
    ],
)
def test_an_admin_api_that_cannot_be_used_is_told_in_one_line(
    store: Store, user: str, changes: dict[str, str], words: str
) -> None:
    with stellaops(**settings(store=replace(store, **changes))) as client, pytest.raises(grpc.RpcError) as caught:
        client.create(TOKEN, props(user, "b"))
    text = said(caught.value)
    assert words in text
    assert store.secret_key not in text and "wrong-key" not in text, "the key must not be shown"


def test_a_key_that_may_not_manage_users_is_told_so(
    provider: PluginClient, store: Store, user: str, bucket: str
) -> None:
    made = provider.create(TOKEN, props(user, bucket))
    module = replace(store, access_key=user, secret_key=made.outputs["secretKey"])
    with stellaops(**settings(store=module)) as client, refused("a key that may manage users and policies"):
        client.create(TOKEN, props(f"{user}-2", bucket))
