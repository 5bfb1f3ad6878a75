"""A run that fails at any of its calls, on real servers: the next run makes the store match the program, old or new.

The engine keeps the old inputs of a resource whose update failed. If the program is then put back, it sees no difference,
and runs the update only because the provider reports it as unfinished.
"""

import itertools
import json
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

import pytest

from components.mapping import load
from components.rustfs.lifecycle import retention_rules
from components.rustfs.policies import guard_policy
from components.rustfs.policy_documents import by_name
from components.rustfs.servers import target_of
from provider.base.values import Secret
from provider.rustfs import admin, emptying, guard
from provider.rustfs.store import Store
from tests.faults.stores import sorted_document
from tests.provider.base.harness import PluginClient, Props, Resource, stellaops
from tests.support.faulty_proxy import Fault, FaultyProxy, faulty_proxy
from tests.support.own_valkey import OwnValkey, own_valkey, sha256
from tests.support.provider import settings
from tests.support.stack import PROJECT

KINDS = ("users", "streams", "user", "bucket")
ADDRESS = "http://127.0.0.1"


@dataclass(frozen=True)
class Server:
    """The provider, whose calls to the server pass through the proxy."""

    provider: PluginClient
    proxy: FaultyProxy


@dataclass(frozen=True)
class Case:
    """A kind, two versions of its inputs, and ``live``, which reads what the server has of either."""

    server: Server
    token: str
    old: Props
    new: Props
    live: Callable[[Resource | None], Any]

    def create(self) -> Resource:
        self.server.proxy.arm()
        return self.server.provider.create(self.token, self.old)

    def update(self, resource: Resource, inputs: Props) -> Resource:
        self.server.proxy.arm()
        return self.server.provider.update(resource, inputs)

    def delete(self, resource: Resource) -> None:
        self.server.proxy.arm()
        self.server.provider.delete(resource)


@pytest.fixture(scope="module")
def own() -> Iterator[OwnValkey]:
    with own_valkey(load(PROJECT / "schema-mapping.yaml"), []) as own:
        yield own


@pytest.fixture(scope="module")
def cache(own: OwnValkey) -> Iterator[Server]:
    with faulty_proxy(own.port) as proxy, stellaops(**settings(replace(own.server, port=proxy.port))) as client:
        yield Server(client, proxy)


@pytest.fixture(scope="module")
def store(object_store: Any) -> Store:
    if not object_store.endpoint.startswith(ADDRESS):
        pytest.skip("the proxy is for a local server without TLS")
    return Store(object_store.endpoint, "us-east-1", object_store.access_key, object_store.secret_key)


@pytest.fixture(scope="module")
def objects(store: Store) -> Iterator[Server]:
    with (
        faulty_proxy(int(urlsplit(store.endpoint).port or 0)) as proxy,
        stellaops(**settings(store=replace(store, endpoint=f"{ADDRESS}:{proxy.port}"))) as client,
    ):
        yield Server(client, proxy)


@pytest.fixture
def name() -> str:
    return f"test-{secrets.token_hex(6)}"


@pytest.fixture
def users(own: OwnValkey, cache: Server) -> Case:
    def props(**users: str) -> Props:
        return {
            "users": {name: ["resetchannels", *rules.split()] for name, rules in users.items()},
            "passwordHashes": {name: Secret(sha256(name + rules)) for name, rules in users.items()},
        }

    def live(_: Resource | None) -> tuple[list[str], list[str]]:
        """The users of the server and those of its file, which a restart brings back."""
        with own.client() as client:
            saved = (own.home / "users.acl").read_text(encoding="utf-8").splitlines()
            return sorted(client.execute_command("ACL LIST")), sorted(saved)

    old = props(scanner="+ping +get ~scan:*", policy="+ping ~policy:*", symbols="+ping")
    new = props(scanner="+ping +get +set ~scan:* ~other:*", policy="+ping ~policy:*", vexhub="+@all ~*")
    return Case(cache, "stellaops:valkey:Users", old, new, live)


@pytest.fixture
def streams(own: OwnValkey, cache: Server) -> Case:
    def live(_: Resource | None) -> dict[str, list[str]]:
        with own.client() as client:
            return {key: sorted(group["name"] for group in client.xinfo_groups(key)) for key in client.scan_iter()}

    old = {"jobs": ["workers", "audit"], "events": ["feed"], "plain": []}
    new = {"jobs": ["workers", "more"], "added": ["feed"], "bare": []}
    return Case(cache, "stellaops:valkey:Streams", {"streams": old}, {"streams": new}, live)


@pytest.fixture
def user(store: Store, name: str, objects: Server) -> Case:
    server = admin.connect(store)

    def props(*actions: str) -> Props:
        statement = {"Effect": "Allow", "Action": list(actions), "Resource": [f"arn:aws:s3:::{name}/*"]}
        return {"user": name, "rotate": len(actions), "policy": by_name({"Statement": [statement]})}

    def live(resource: Resource | None) -> Any:
        found = server.users().get(name)
        facts = None if found is None else {key: found.get(key) for key in ("status", "policyName", "memberOf")}
        accepted = resource and store.accepts(name, resource.outputs["secretKey"])
        return facts, sorted_document(server.policies().get(name)), accepted

    return Case(
        objects, "stellaops:objectstore:User", props("s3:GetObject"), props("s3:GetObject", "s3:PutObject"), live
    )


@pytest.fixture
def bucket(store: Store, name: str, objects: Server) -> Iterator[Case]:
    with store.client() as s3:
        kind = s3.list_buckets()["ResponseMetadata"]["HTTPHeaders"].get("server", "")
        policy = json.dumps(guard_policy(name, target_of(kind)))

        def props(days: int) -> Props:
            return {"bucket": name, "rules": retention_rules(days, 1), "guard": policy}

        def exists() -> bool:
            return name in [found["Name"] for found in s3.list_buckets()["Buckets"]]

        def live(_: Resource | None) -> Any:
            rules = s3.get_bucket_lifecycle_configuration(Bucket=name)["Rules"] if exists() else None
            return sorted_document([rules, guard.current(s3, name) if exists() else None])

        yield Case(objects, "stellaops:objectstore:Bucket", props(30), props(90), live)
        if exists():
            s3.delete_bucket_policy(Bucket=name)
            emptying.empty(s3, name, bypass_governance=False)
            s3.delete_bucket(Bucket=name)


@pytest.fixture
def case(request: pytest.FixtureRequest) -> Case:
    found: Case = request.getfixturevalue(request.param)
    return found


@pytest.mark.parametrize("case", KINDS, indirect=True)
def test_the_run_after_a_failed_update_makes_what_the_program_declares(case: Case) -> None:
    provider, proxy = case.server.provider, case.server.proxy
    made = case.update(case.create(), case.old)
    before = case.live(made)
    made = case.update(made, case.new)
    calls, after = proxy.calls, case.live(made)
    assert after != before
    nothing_changed = True
    made = case.update(made, case.old)
    # A call that ran leaves the server as the next one that did not run, so both need not be tried with both programs.
    attempts = ((True, case.old), (False, case.new))
    for nth, (ran, declared) in itertools.product(range(1, calls + 1), attempts):
        fault = Fault(nth, ran=ran)
        proxy.arm(fault)
        recorded, message = provider.try_update(made, case.new)
        assert proxy.struck, f"{fault} has not happened"
        nothing_changed &= not message or case.live(made) == before
        # The engine updates what it has recorded as unfinished, even if the inputs are the old ones.
        made = case.update(recorded, declared)
        assert case.live(made) == (before if declared is case.old else after), f"{fault}: {message}"
        if declared is case.new:
            made = case.update(made, case.old)
    assert not nothing_changed, "no fault has left the server half changed"
    case.delete(made)


@pytest.mark.parametrize("case", KINDS, indirect=True)
def test_what_a_failed_creation_leaves_is_completed_or_deleted(case: Case) -> None:
    provider, proxy = case.server.provider, case.server.proxy
    nothing = case.live(None)
    made = case.create()
    calls = proxy.calls
    made = case.update(made, case.old)
    created = case.live(made)
    case.delete(made)
    recorded_once = False
    for nth, (ran, declared) in itertools.product(range(1, calls + 1), ((False, True), (True, False))):
        fault = Fault(nth, ran=ran)
        proxy.arm(fault)
        recorded, message = provider.try_create(case.token, case.old)
        assert proxy.struck, f"{fault} has not happened"
        recorded_once |= bool(message) and recorded is not None
        if declared:
            recorded = case.update(recorded or case.create(), case.old)
            assert case.live(recorded) == created, f"{fault}: {message}"
        if recorded is not None:
            case.delete(recorded)
        assert case.live(None) == nothing, f"{fault}: {message}"
    assert recorded_once


@pytest.mark.parametrize("case", ["users", "user"], indirect=True)
def test_users_work_if_their_deletion_failed_and_the_program_declares_them_again(case: Case) -> None:
    """The engine keeps a resource whose deletion failed, sees no difference and runs no update."""
    provider, proxy = case.server.provider, case.server.proxy
    made = case.create()
    before = case.live(made)
    case.delete(made)
    calls = proxy.calls
    made = case.create()
    for nth, ran in itertools.product(range(1, calls + 1), (False, True)):
        made = case.update(made, case.old)
        proxy.arm(Fault(nth, ran=ran))
        message = provider.try_delete(made)
        assert proxy.struck
        if message:
            assert case.live(made) == before, f"call {nth}, ran: {ran}: {message}"
        else:
            made = case.create()
    case.delete(made)
