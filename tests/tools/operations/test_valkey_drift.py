"""Valkey's part of ``make drift``: each manual change is named with a remedy that works; an untouched server gives nothing."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from valkey import Valkey

from components.mapping import load
from components.mapping.printable import printable
from components.valkey.plan import maintenance_plan
from pods.valkey_upkeep import keys, streams
from pods.valkey_upkeep.resp import Connection
from tests.support.operated import stack_with
from tests.support.own_valkey import ADMIN, OwnValkey, own_valkey, password, sha256
from tests.support.valkey_remedies import run_remedy
from tests.support.valkey_tamperings import VALKEY, ValkeyTampering, tampered
from tools.operations import drift_valkey
from tools.operations.drift_finding import DriftFinding
from tools.operations.stack import Stack

# Attempts after which a key that a remedy deleted must be back to what `up` recreates.
ROUNDS = 3
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
        "valkeyAdminUser": ADMIN, "valkeyAdminPassword": password(ADMIN), "valkeyApply": "direct", "kubernetesMode": "none", "backups": "none",
    }  # fmt: skip
    stack = stack_with({**values, **changes})
    secrets = {name: {"valkey_password": password(name)} for name in MAPPING.users}
    stack.__dict__["outputs"] = {"secrets": secrets}
    return stack


def findings(server: OwnValkey, **changes: str) -> list[DriftFinding]:
    return drift_valkey.check(stack_of(server, **changes))


def sentences(server: OwnValkey) -> list[str]:
    return [item.sentence for item in findings(server)]


@pytest.fixture
def raw(server: OwnValkey, admin: Any) -> Iterator[Any]:
    """The admin, with replies as bytes."""
    with Valkey(port=server.port, username=ADMIN, password=password(ADMIN)) as client:
        yield client


def test_an_untouched_server_shows_no_difference(server: OwnValkey, admin: Any) -> None:
    assert sentences(server) == []


def test_there_are_fifty_tamperings_with_names_of_their_own() -> None:
    assert len({case.name for case in VALKEY}) == len(VALKEY) == 50


@pytest.mark.parametrize("tampering", [pytest.param(case, id=case.name) for case in VALKEY])
def test_a_manual_change_is_named_and_its_remedies_work(
    server: OwnValkey, admin: Any, raw: Any, tampering: ValkeyTampering
) -> None:
    before = users_and_settings(admin)
    with tampered(raw, tampering):
        found = findings(server)
    assert any(all(word.lower() in item.sentence.lower() for word in tampering.names) for item in found), found
    assert (sentences(server), users_and_settings(admin)) == ([], before), "the undo is not exact"
    with tampered(raw, tampering):
        for _ in range(ROUNDS):
            remedies = [item.difference.remedy for item in findings(server) if item.difference.remedy]
            for remedy in remedies:
                run_remedy(raw, stack_of(server), remedy)
        # The rest is for `up`, which tests/stack/test_valkey_tamperings.py runs.
        left = [item.sentence for item in findings(server) if item.difference.remedy]
        assert not left, f"these remedies do not work: {remedies}"


def users_and_settings(admin: Any) -> tuple[list[str], dict[str, str]]:
    return sorted(admin.execute_command("ACL LIST")), admin.config_get("*")


@pytest.mark.parametrize(
    ("tampering", "expected", "remedy"),
    [
        ("ACL DELUSER policy", "user policy is missing", ""),
        ("ACL SETUSER scanner -ping", "user scanner may not run PING: in the mapping", ""),
        ("ACL SETUSER scanner (~policy:* +get)", "user scanner may run GET on ~policy:*: not in the mapping", ""),
        ("ACL SETUSER scanner allchannels", "user scanner may run &* as channels: not in the mapping", ""),
        ("ACL SETUSER scanner allcommands allkeys", "user scanner may run @ALL on ~*: not in the mapping", ""),
        ("ACL SETUSER scanner >another", "user scanner has 2 passwords", ""),
        ("ACL SETUSER scanner resetpass >another", "user scanner has another password than the stack's", ""),
        (
            "ACL SETUSER default on nopass +@all ~*",
            "user default is on and needs no password: it must be off; it has admin permissions",
            "ACL SETUSER default reset off",
        ),
        (
            "ACL SETUSER intruder on >x +@all ~*",
            "user intruder is not in the mapping, and `up` does not remove it; it has admin permissions",
            "ACL DELUSER intruder",
        ),
        ("ACL SETUSER guest off", "user guest (it is off) is not in the mapping, and `up` does not remove it", "ACL DELUSER guest"),
        (
            "ACL SETUSER acl-mark-x on >x +get ~*",
            "user acl-mark-x only identifies a version of users.acl, but it is on or has permissions",
            "ACL SETUSER acl-mark-x reset off",
        ),
        ("ACL SETUSER maintenance nopass", "user maintenance needs no password", "ACL LOAD"),
        ("ACL SETUSER maintenance +config", "user maintenance may run CONFIG: not in the mapping", "ACL LOAD"),
        (f"ACL SETUSER {ADMIN} >another", f"user {ADMIN} must have exactly one password, the stack's", "ACL LOAD"),
        ("DEL scanner:jobs", "stream scanner:jobs is missing", ""),
        ("XGROUP DESTROY scanner:events policy", "consumer group policy of stream scanner:events is missing", ""),
        (
            "XGROUP CREATE scanner:events spy 0",
            "consumer group spy of stream scanner:events is not in the mapping",
            "XGROUP DESTROY scanner:events spy",
        ),
        ("XADD foreign:stream * a 1", "stream foreign:stream is not in the mapping", "DEL foreign:stream"),
        ("XADD scan:x * a 1", "stream scan:x is not in the mapping", "DEL scan:x"),
        ("CONFIG SET maxmemory 1gb", f"setting maxmemory is {1 << 30}, not {2 << 30}", f"CONFIG SET maxmemory {2 << 30}"),
        (
            "CONFIG SET appendfsync no",
            "setting appendfsync is no, not everysec",
            "CONFIG SET appendfsync everysec",
        ),
        ("SET locator:a x", "key locator:a has no TTL", f"PEXPIRE locator:a {30 * 86_400_000}"),
        ("SET quota:secret-token x", "key quota:secr... has no TTL", "python3 -m tools keys --repair --stack test"),
        (
            "XADD queue:a 18446744073709551615-18446744073709551615 a 1",
            "stream queue:a takes no more entries: its last ID is the largest, 18446744073709551615-18446744073709551615",
            "python3 -m tools streams repair queue:a --stack test",
        ),
    ],
)  # fmt: skip
def test_the_sentence_states_what_and_where_and_the_remedy_is_a_command(
    server: OwnValkey, admin: Any, tampering: str, expected: str, remedy: str
) -> None:
    # A selector, in brackets, is one argument.
    admin.execute_command(*re.findall(r"\([^)]*\)|\S+", tampering))
    assert [(item.sentence, item.difference.remedy) for item in findings(server)] == [(expected, remedy)]


def test_a_stricter_setting_is_no_difference(server: OwnValkey, admin: Any) -> None:
    admin.config_set("appendfsync", "always")
    assert sentences(server) == []


def test_a_user_that_up_removes_has_no_remedy_of_its_own(server: OwnValkey, admin: Any) -> None:
    admin.execute_command("ACL SETUSER", "former", "on", ">x")
    stack = stack_of(server)
    stack.outputs["secrets"]["former"] = {"valkey_password": "x"}
    (found,) = drift_valkey.check(stack)
    assert found.sentence == "user former is no longer in the mapping, and `up` removes it"
    assert found.remedy("make up ARGS=--refresh") == "make up ARGS=--refresh"


def test_on_kubernetes_users_are_loaded_again_from_the_file(server: OwnValkey, admin: Any, raw: Any) -> None:
    admin.execute_command("ACL SETUSER", "scanner", "+flushall")
    admin.config_set("maxmemory-clients", "10%")
    deployed = {"valkeyApply": "none", "kubernetesMode": "cluster"}
    (found,) = findings(server, **deployed)
    assert found.difference.remedy == "ACL LOAD"
    run_remedy(raw, stack_of(server), found.difference.remedy)
    assert findings(server, **deployed) == []


def test_a_backup_user_that_the_stack_has_is_missed(server: OwnValkey, admin: Any) -> None:
    (found,) = findings(server, backups="logical")
    assert (found.sentence, found.difference.remedy) == ("user backup-agent is missing", "")


def test_odd_names_break_neither_the_report_nor_the_remedies(server: OwnValkey, admin: Any, raw: Any) -> None:
    for number, name in enumerate(
        (b"a\nb", b"\x1b[31mred", b'quote"d \\', b"\xff\xfe", "\u202eevil".encode(), b"$(false)")
    ):
        raw.xadd(b"queue:" + name, {"n": 1}, id="99999999999999-1")
        raw.set(b"stray:" + name, number)
        raw.execute_command("XGROUP", "CREATE", "scanner:events", name, "0")
    found = findings(server)
    assert len(found) == 18, "a key was not named"
    for item in found:
        printed = printable(item.remedy("up"))
        run_remedy(raw, stack_of(server), printed)
    # Five keys with the same fault are named at once.
    for item in findings(server):
        run_remedy(raw, stack_of(server), item.remedy("up"))
    assert findings(server) == []


def test_of_many_keys_a_few_are_named_and_the_rest_is_counted(server: OwnValkey, admin: Any, raw: Any) -> None:
    for number in range(keys.EXAMPLES + 7):
        admin.set(f"locator:{number}", "x")
    found = findings(server)
    assert len(found) == keys.EXAMPLES + 1
    rest = next(item for item in found if "more keys" in item.sentence)
    assert rest.sentence == "7 more keys of locator:{imageDigest} have the fault: has no TTL"
    run_remedy(raw, stack_of(server), rest.difference.remedy)
    assert findings(server) == []
    assert all(0 < admin.ttl(name) <= 30 * 86_400 for name in admin.keys("locator:*"))


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
