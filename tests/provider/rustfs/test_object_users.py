"""The ``ObjectStoreUser`` resource against a running object store: RustFS where there is one, else MinIO."""

import secrets
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from components.rustfs.policy_documents import by_name
from provider.errors import ProviderError
from provider.rustfs import admin
from provider.rustfs.store import Store
from provider.rustfs.user_resource import ObjectStoreUserProvider
from tests.support.disabling import disable

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


def provider_of(store: Store, **changes: Any) -> Any:
    provider = ObjectStoreUserProvider()
    provider._store = replace(store, **changes)
    return provider


def props(user: str, bucket: str, *actions: str, rotate: int = 1) -> dict[str, Any]:
    statement = {
        "Effect": "Allow",
        "Action": list(actions or ["s3:GetObject"]),
        "Resource": [f"arn:aws:s3:::{bucket}/in/*"],
    }
    return {"user": user, "rotate": rotate, "policy": by_name({"Statement": [statement]}), "state": "enabled"}


def may(store: Store, outs: dict[str, Any], operation: Callable[[Any], Any]) -> bool:
    client = boto3.client(
        "s3", endpoint_url=store.endpoint, region_name=store.region,
        aws_access_key_id=outs["user"], aws_secret_access_key=outs["secret_key"],
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


def test_a_user_may_do_what_its_policy_says(store: Store, user: str, bucket: str) -> None:
    made = provider_of(store).create(props(user, bucket))
    assert made.id == user and len(made.outs["secret_key"]) == 40, "more is cut off or refused by some servers"
    assert may(store, made.outs, reads(bucket))
    assert not may(store, made.outs, writes(bucket))


def test_a_changed_policy_is_put_in_place_and_the_key_stays(store: Store, user: str, bucket: str) -> None:
    provider = provider_of(store)
    made = provider.create(props(user, bucket))
    wanted = props(user, bucket, "s3:GetObject", "s3:PutObject")
    diff = provider.diff(user, made.outs, wanted)
    assert diff.changes and not diff.replaces
    outs = provider.update(user, made.outs, wanted).outs
    assert outs["secret_key"] == made.outs["secret_key"], "the service would be locked out by a change of the mapping"
    assert may(store, outs, writes(bucket))


def test_rotation_gives_another_key_at_once_and_the_old_one_is_refused(store: Store, user: str, bucket: str) -> None:
    provider = provider_of(store)
    made = provider.create(props(user, bucket))
    wanted = props(user, bucket, rotate=2)
    assert provider.diff(user, made.outs, wanted).replaces == [], "a replaced user would be deleted after it was made"
    outs = provider.update(user, made.outs, wanted).outs
    assert may(store, outs, reads(bucket))
    assert not may(store, made.outs, reads(bucket))


def test_a_refresh_finds_no_change_where_there_is_none(store: Store, user: str, bucket: str) -> None:
    provider = provider_of(store)
    made = provider.create(props(user, bucket))
    found = provider.read(user, made.outs)
    assert found.outs == made.outs
    assert not provider.diff(user, found.outs, props(user, bucket)).changes


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


@pytest.mark.parametrize("tamper", [other_policy, further_policy, no_policy_of_its_own, other_key, disabled])
def test_a_refresh_finds_each_tampering_and_an_update_mends_it(
    store: Store, server: admin.Admin, user: str, bucket: str, tamper: Callable[[admin.Admin, str, Store], None]
) -> None:
    provider = provider_of(store)
    made = provider.create(props(user, bucket))
    tamper(server, user, store)
    found = provider.read(user, made.outs)
    assert provider.diff(user, found.outs, props(user, bucket)).changes, "what somebody did by hand would stay unseen"
    provider.update(user, found.outs, props(user, bucket))
    assert provider.read(user, made.outs).outs == made.outs
    assert may(store, made.outs, reads(bucket)) and not may(store, made.outs, writes(bucket))


def test_a_user_that_is_gone_is_made_anew_and_deleting_it_is_no_error(
    store: Store, server: admin.Admin, user: str, bucket: str
) -> None:
    provider = provider_of(store)
    made = provider.create(props(user, bucket))
    server.remove_user(user)
    assert provider.read(user, made.outs).id == ""
    provider.delete(user, made.outs)
    assert user not in server.users() and user not in server.policies(), "nothing may be left behind"


def test_what_a_killed_run_left_is_taken_over(store: Store, user: str, bucket: str) -> None:
    lost = provider_of(store).create(props(user, bucket))
    made = provider_of(store).create(props(user, bucket))
    assert may(store, made.outs, reads(bucket)) and not may(store, lost.outs, reads(bucket))


def test_the_key_that_provisions_is_never_made_a_modules(store: Store) -> None:
    failures = provider_of(store).check({}, props(store.access_key, "b")).failures
    assert failures and "provisions" in failures[0].reason


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"endpoint": "http://127.0.0.1:1"}, "objectStoreEndpoint"),
        ({"secret_key": "wrong-key"}, "objectStoreSecretKey"),
        ({"access_key": "nobody"}, "objectStoreAccessKey"),
    ],
)
def test_an_admin_api_that_cannot_be_used_is_told_in_one_line(
    store: Store, user: str, changes: dict[str, str], says: str
) -> None:
    with pytest.raises(ProviderError) as caught:
        provider_of(store, **changes).create(props(user, "b"))
    text = str(caught.value)
    assert says in text and "\n" not in text
    assert store.secret_key not in text and "wrong-key" not in text, "the key must not be shown"


def test_a_key_that_may_not_manage_users_is_told_so(store: Store, user: str, bucket: str) -> None:
    made = provider_of(store).create(props(user, bucket))
    with pytest.raises(ProviderError, match="a key that may manage users and policies"):
        provider_of(store, access_key=user, secret_key=made.outs["secret_key"]).create(props(f"{user}-2", bucket))
