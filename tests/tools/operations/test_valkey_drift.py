"""Valkey's part of ``make drift``: what somebody changes by hand is named in words; an untouched server gives nothing."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from components.mapping import load
from components.valkey.plan import maintenance_plan
from pods.valkey_upkeep import streams
from pods.valkey_upkeep.resp import Connection
from tests.support.operated import stack_with
from tests.support.own_valkey import ADMIN, OwnValkey, own_valkey, password, sha256
from tools.operations import drift_valkey
from tools.operations.stack import Stack

ROOT = Path(__file__).parents[3]
MAPPING = load(ROOT / "schema-mapping.yaml")


@pytest.fixture(scope="module")
def server() -> Iterator[OwnValkey]:
    with own_valkey(MAPPING, list(MAPPING.users)) as own:
        own.add_maintenance(MAPPING)
        yield own


@pytest.fixture
def admin(server: OwnValkey) -> Iterator[Any]:
    """The admin of a server that is as the mapping says; what the test does to it is undone."""
    with server.client() as client:
        before = client.config_get("*")
        client.flushall()
        with Connection(server.endpoint) as connection:
            streams.make(connection, maintenance_plan(MAPPING))
        yield client
        client.execute_command("ACL LOAD")
        for name, value in client.config_get("*").items():
            if value != before[name]:
                client.config_set(name, before[name])


def stack_of(server: OwnValkey, **changes: str) -> Stack:
    """As ``Stack.load`` would give it, with outputs as ``up`` leaves them."""
    values = {
        "mapping": str(ROOT / "schema-mapping.yaml"), "valkeyHost": "127.0.0.1", "valkeyPort": str(server.port),
        "valkeyAdminUser": ADMIN, "valkeyAdminPassword": password(ADMIN),
    }  # fmt: skip
    stack = stack_with({**values, **changes})
    secrets = {name: {"valkey_password": password(name)} for name in MAPPING.users}
    stack.__dict__["outputs"] = {"secrets": secrets}
    return stack


def sentences(server: OwnValkey) -> list[str]:
    return [item.sentence for item in drift_valkey.check(stack_of(server))]


def test_an_untouched_server_shows_no_difference(server: OwnValkey, admin: Any) -> None:
    assert sentences(server) == []


@pytest.mark.parametrize(
    ("tampering", "expected"),
    [
        ("ACL DELUSER policy", ["user policy is missing"]),
        ("ACL SETUSER scanner off", ["user scanner is off"]),
        ("ACL SETUSER scanner +flushall", ["user scanner may run FLUSHALL: not in the mapping"]),
        ("ACL SETUSER scanner -ping", ["user scanner may not run PING: in the mapping"]),
        ("ACL SETUSER scanner (~policy:* +get)", ["user scanner may run GET on ~policy:*: not in the mapping"]),
        ("ACL SETUSER scanner allchannels", ["user scanner may run &* as channels: not in the mapping"]),
        ("ACL SETUSER scanner nopass", ["user scanner needs no password"]),
        ("ACL SETUSER scanner >another", ["user scanner has 2 passwords"]),
        ("ACL SETUSER scanner resetpass >another", ["user scanner has another password than the stack's"]),
        ("ACL SETUSER default on nopass +@all ~*", [
            "user default is on and needs no password: it must be off; it has admin permissions",
        ]),
        ("ACL SETUSER intruder on >x +@all ~*", ["user intruder is not in the mapping; it has admin permissions"]),
        ("ACL SETUSER guest on >x +get ~scan:*", ["user guest is not in the mapping"]),
        ("ACL SETUSER acl-mark-x on >x +get ~*", ["user acl-mark-x only identifies a version of users.acl, but it is on or has permissions"]),
        ("ACL SETUSER health-probe (~* +get)", ["user health-probe may run GET on ~*: not in the mapping"]),
        ("ACL SETUSER maintenance nopass", ["user maintenance needs no password"]),
        ("ACL SETUSER maintenance +config", ["user maintenance may run CONFIG: not in the mapping"]),
        (f"ACL SETUSER {ADMIN} >another", [f"user {ADMIN} must have exactly one password, the stack's"]),
        ("DEL scanner:jobs", ["stream scanner:jobs is missing"]),
        ("XGROUP DESTROY scanner:events policy", ["consumer group policy of stream scanner:events is missing"]),
        ("XGROUP CREATE scanner:events spy 0", ["consumer group spy of stream scanner:events is not in the mapping"]),
        ("XADD foreign:stream * a 1", ["stream foreign:stream is not in the mapping"]),
        ("XADD scan:x * a 1", ["stream scan:x is not in the mapping"]),
        ("CONFIG SET maxmemory 1gb", [f"setting maxmemory is {1 << 30}, not {2 << 30}"]),
        ("CONFIG SET maxmemory-policy allkeys-lru", ["setting maxmemory-policy is allkeys-lru, not volatile-lru"]),
        ("CONFIG SET stream-node-max-entries 500", ["setting stream-node-max-entries is 500, not 100"]),
        ("CONFIG SET stream-node-max-bytes 0", ["setting stream-node-max-bytes is 0, not 4096"]),
        ("CONFIG SET appendonly no", ["setting appendonly is no, not yes"]),
        ("CONFIG SET appendfsync no", ["setting appendfsync is no, not everysec"]),
        ("CONFIG SET appendfsync always", []),
    ],
)  # fmt: skip
def test_what_was_changed_by_hand_is_named(server: OwnValkey, admin: Any, tampering: str, expected: list[str]) -> None:
    # A selector, in brackets, is one argument.
    admin.execute_command(*re.findall(r"\([^)]*\)|\S+", tampering))
    assert sentences(server) == expected


def test_a_save_that_was_switched_off_is_named(server: OwnValkey, admin: Any) -> None:
    admin.config_set("save", "")
    assert sentences(server) == ["setting save is empty, not 3600 1 300 100 60 10000"]


def test_a_key_in_a_streams_place_is_named(server: OwnValkey, admin: Any) -> None:
    admin.delete("scheduler:jobs")
    admin.set("scheduler:jobs", "1")
    assert sentences(server) == ["key scheduler:jobs is a string, not a stream"]


def test_everything_for_a_user_is_told_once_and_not_as_a_list_of_all_commands(server: OwnValkey, admin: Any) -> None:
    admin.execute_command("ACL SETUSER", "scanner", "allcommands", "allkeys")
    assert sentences(server) == ["user scanner may run @ALL on ~*: not in the mapping"]


def test_no_sentence_has_a_password_or_its_hash(server: OwnValkey, admin: Any) -> None:
    admin.execute_command("ACL SETUSER", "scanner", "resetpass", ">another-password")
    admin.execute_command("ACL SETUSER", ADMIN, ">another-password")
    text = "\n".join(sentences(server))
    assert "another-password" not in text and password("scanner") not in text and sha256("scanner") not in text


def test_drift_changes_nothing(server: OwnValkey, admin: Any) -> None:
    admin.execute_command("ACL SETUSER", "scanner", "+flushall")
    before = admin.execute_command("ACL LIST"), sorted(admin.keys("*")), admin.lastsave()
    sentences(server)
    assert (admin.execute_command("ACL LIST"), sorted(admin.keys("*")), admin.lastsave()) == before
