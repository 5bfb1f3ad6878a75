"""``stellaops:valkey:Users`` against a running server: what it applies is what the ACL file would say, and drift is found."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest
import valkey

from components.mapping import load
from components.valkey.render import MARK_PREFIX, acl_rules
from provider.base.values import UNKNOWN, Secret
from tests.provider.base.harness import PluginClient, Props, Resource, said, stellaops
from tests.support.own_valkey import ADMIN, OwnValkey, own_valkey, sha256
from tests.support.provider import NOBODY, refreshed, refused, settings

TOKEN = "stellaops:valkey:Users"
ROOT = Path(__file__).parents[3]
MAPPING = load(ROOT / "schema-mapping.yaml")


def props(*users: str) -> Props:
    return {
        "users": {user: list(acl_rules(MAPPING, user)) for user in users},
        "passwordHashes": {user: Secret(sha256(user)) for user in users},
    }


def kept(*users: str) -> Resource:
    """The resource after an ``up``."""
    wanted = props(*users)
    return Resource(TOKEN, "valkey-users", wanted, {**wanted, "canonicalRules": dict.fromkeys(users, "on")})


def lines(own: OwnValkey) -> dict[str, str]:
    """Name -> what the server says of the user; the mark of a file is none."""
    with own.client() as admin:
        users = {line.split()[1]: line for line in admin.execute_command("ACL LIST")}
    return {name: line for name, line in users.items() if not name.startswith(MARK_PREFIX)}


@pytest.fixture
def own() -> Iterator[OwnValkey]:
    with own_valkey(MAPPING, []) as own:
        yield own


@pytest.fixture(scope="module")
def offline() -> Iterator[PluginClient]:
    """Configured for a server that does not run: whatever contacts one fails."""
    with stellaops(**settings(NOBODY)) as client:
        yield client


@pytest.fixture(scope="module")
def process() -> Iterator[PluginClient]:
    with stellaops() as client:
        yield client


@pytest.fixture
def provider(process: PluginClient, own: OwnValkey) -> PluginClient:
    process.configure(**settings(own.server))
    return process


def test_applied_users_are_those_of_the_acl_file(own: OwnValkey, provider: PluginClient) -> None:
    provider.create(TOKEN, props(*MAPPING.users))
    applied = lines(own)
    with own_valkey(MAPPING, list(MAPPING.users)) as deployed:
        assert applied == lines(deployed), "what is tested locally would not be what Kubernetes runs"


def test_a_second_run_changes_nothing_and_keeps_connections(own: OwnValkey, provider: PluginClient) -> None:
    created = provider.create(TOKEN, props("scanner"))
    before = lines(own)
    with own.client("scanner") as service:
        service.set("scan:1", "x")
        provider.update(created, props("scanner"))
        assert service.get("scan:1") == "x", "a service would be thrown out by every pulumi up"
    assert lines(own) == before


def test_users_outlive_a_restart(own: OwnValkey, provider: PluginClient) -> None:
    provider.create(TOKEN, props("scanner", "policy"))
    before = lines(own)
    own.stop()
    own.start()
    assert lines(own) == before, "services could not log in after a restart"


def test_a_refresh_finds_no_change_where_there_is_none(own: OwnValkey, provider: PluginClient) -> None:
    created = provider.create(TOKEN, props("scanner", "gateway"))
    found = refreshed(provider, created)
    assert found == replace(created, inputs=found.inputs)
    assert found.inputs == created.inputs, "the engine would show a change"
    assert provider.diff(found, props("scanner", "gateway")).detailed == {}


@pytest.mark.parametrize(
    "tampering",
    [
        ("SETUSER", "scanner", "+flushall"),
        ("SETUSER", "scanner", "allkeys"),
        ("SETUSER", "scanner", "allchannels"),
        ("SETUSER", "scanner", "(+get ~policy:*)"),
        ("SETUSER", "scanner", "clearselectors"),
        ("SETUSER", "scanner", "off"),
        ("SETUSER", "scanner", "nopass"),
        ("SETUSER", "scanner", ">another"),
        ("SETUSER", "scanner", "resetpass"),
        ("DELUSER", "scanner"),
    ],
)  # fmt: skip
def test_a_refresh_finds_what_somebody_did_to_a_user_and_an_update_mends_it(
    own: OwnValkey, provider: PluginClient, tampering: tuple[str, ...]
) -> None:
    wanted = props("scanner", "policy")
    created = provider.create(TOKEN, wanted)
    before = lines(own)
    with own.client() as admin:
        admin.execute_command("ACL", *tampering)
    found = refreshed(provider, created)
    seen = provider.diff(found, wanted).detailed
    assert seen and found.inputs != created.inputs, f"ACL {' '.join(tampering)} would stay unseen"
    assert seen.keys() <= {"users.scanner", "passwordHashes.scanner"}, "the user that nobody touched must not show"
    provider.update(found, wanted)
    assert lines(own) == before


def test_a_server_that_lost_all_users_gets_them_anew(own: OwnValkey, provider: PluginClient) -> None:
    created = provider.create(TOKEN, props("scanner"))
    with own.client() as admin:
        admin.acl_deluser("scanner")
    assert provider.refresh(created) is None


def test_a_module_that_left_the_mapping_loses_its_user(own: OwnValkey, provider: PluginClient) -> None:
    created = provider.create(TOKEN, props("scanner", "policy"))
    provider.update(created, props("policy"))
    assert "scanner" not in lines(own) and "policy" in lines(own)


def test_deleting_leaves_the_admin_default_and_users_of_others(own: OwnValkey, provider: PluginClient) -> None:
    with own.client() as admin:
        admin.execute_command("ACL SETUSER", "operator", "on", ">secret", "+ping")
    before = lines(own)
    created = provider.create(TOKEN, props(*MAPPING.users))
    provider.delete(created)
    assert lines(own) == before
    provider.delete(created)  # what is gone already is no error


@pytest.mark.parametrize(
    ("name", "place"), [(ADMIN, "users.admin"), ("default", "users.default"), ("health-probe", 'users["health-probe"]')]
)
def test_a_preview_refuses_to_take_over_the_admin(offline: PluginClient, name: str, place: str) -> None:
    wanted = {"users": {name: ["+ping"]}, "passwordHashes": {name: "0" * 64}}
    _, failures = offline.check(TOKEN, wanted)
    assert [text.partition(": ")[0] for text in failures] == [place] and name in failures[0]


@pytest.mark.parametrize(
    ("wanted", "place"),
    [
        ({"users": {"a": ["+ping"]}, "passwordHashes": {}}, "passwordHashes.a"),
        ({"users": {}, "passwordHashes": {"a": Secret("0" * 64)}}, "users.a"),
        ({"users": {"a": ["+ping"]}, "passwordHashes": {"a": Secret("clear-password")}}, "passwordHashes.a"),
        ({"users": {"a": "+ping"}, "passwordHashes": {"a": "0" * 64}}, "users.a"),
        ({"users": {"a": ["+ping", 1]}, "passwordHashes": {"a": "0" * 64}}, "users.a[1]"),
        ({"users": {}}, "passwordHashes"),
        ({"users": {}, "passwordHashes": {}, "canonicalRules": {}}, "canonicalRules"),
    ],
)
def test_a_mistake_is_refused_in_the_preview_where_it_stands(offline: PluginClient, wanted: Props, place: str) -> None:
    _, failures = offline.check(TOKEN, wanted)
    assert [text.partition(": ")[0] for text in failures] == [place]
    assert "clear-password" not in failures[0]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"password": "wrong"}, "valkeyAdminPassword"),
        ({"user": "nobody"}, "valkeyAdminUser"),
        ({"port": 1}, "valkeyPort"),
        ({"host": "no-such-host.invalid"}, "valkeyHost"),
    ],
)
def test_a_server_that_cannot_be_used_is_told_in_one_line(
    own: OwnValkey, process: PluginClient, changes: dict[str, Any], words: str
) -> None:
    process.configure(**settings(replace(own.server, **changes)))
    with pytest.raises(grpc.RpcError) as caught:
        process.create(TOKEN, props("scanner"))
    text = said(caught.value)
    assert words in text
    assert own.server.password not in text and "wrong" not in text, "the password must not be shown"


def test_an_admin_without_the_right_to_manage_users_is_told_so(own: OwnValkey, provider: PluginClient) -> None:
    provider.create(TOKEN, props("scanner"))
    provider.configure(**settings(replace(own.server, user="scanner", password="password-of-scanner")))
    with refused("needs allkeys and allcommands"):
        provider.create(TOKEN, props("policy"))
    with pytest.raises(valkey.AuthenticationError):
        own.client("policy").ping()


def test_hashes_are_secret_in_the_state(provider: PluginClient) -> None:
    created = provider.create(TOKEN, props("scanner"))
    assert created.secret == {"passwordHashes"}
    assert refreshed(provider, created).secret == {"passwordHashes"}


def test_a_preview_contacts_no_server_and_has_what_is_known(offline: PluginClient) -> None:
    planned = offline.create(TOKEN, props("scanner"), preview=True)
    assert planned.outputs["users"] == props("scanner")["users"] and planned.secret == {"passwordHashes"}
    assert planned.outputs["canonicalRules"] == UNKNOWN
    renewed = {**props("scanner"), "passwordHashes": {"scanner": UNKNOWN}}
    planned = offline.update(kept("scanner"), renewed, preview=True)
    assert planned.outputs["canonicalRules"] == {"scanner": "on"}, "another password changes no rule"
    planned = offline.update(kept("scanner"), props("scanner", "policy"), preview=True)
    assert planned.outputs["canonicalRules"] == UNKNOWN


def test_each_user_that_changes_is_named(offline: PluginClient) -> None:
    wanted = props("scanner", "policy", "notifier")
    wanted["users"]["policy"] = ["+ping"]
    wanted["passwordHashes"]["scanner"] = UNKNOWN
    found = offline.diff(kept("scanner", "policy", "gateway"), wanted)
    assert found.detailed == {
        "users.policy": "UPDATE",
        "users.gateway": "DELETE",
        "users.notifier": "ADD",
        "passwordHashes.scanner": "UPDATE",
        "passwordHashes.gateway": "DELETE",
        "passwordHashes.notifier": "ADD",
    }
    assert found.replaces == [], "a replaced resource would delete every user"


def test_an_import_takes_the_named_users_and_applies_what_it_found(own: OwnValkey, provider: PluginClient) -> None:
    provider.create(TOKEN, props("scanner", "policy", "gateway"))
    before = lines(own)
    found = provider.imported(TOKEN, "scanner, policy")
    assert found is not None and found.secret == {"passwordHashes"}
    assert found.inputs["users"].keys() == {"scanner", "policy"}
    assert provider.diff(found).detailed == {}
    # The server's own words are arguments, too: the code that an import prints can be applied as it is.
    provider.update(found, found.inputs)
    assert lines(own) == before
    provider.update(found, props("scanner", "policy"))
    assert lines(own) == before


@pytest.mark.parametrize(
    ("id_", "words"), [("scanner,nobody", "no such user: nobody"), (f"scanner,{ADMIN}", "does not belong to a module")]
)
def test_an_import_of_other_users_is_refused(own: OwnValkey, provider: PluginClient, id_: str, words: str) -> None:
    provider.create(TOKEN, props("scanner"))
    with refused(words):
        provider.imported(TOKEN, id_)
