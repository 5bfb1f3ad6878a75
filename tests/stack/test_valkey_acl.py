"""Log in as every user and try every command on every pattern: each cell equals what the mapping says.

Commands run for real. A refusal is NOPERM; whatever else the server says (a key of the wrong type, a group that does
not exist) comes after the permission was found. What is allowed is written out in ``tests/support/valkey_commands.py``, apart
from the rendering.
"""

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
import valkey

from components.mapping import Mapping, load
from components.mapping.model import ValkeyAccess
from components.mapping.values import KeyPattern
from components.valkey.acl import PROBE_USER
from tests.support.own_valkey import ADMIN, OwnValkey, own_valkey
from tests.support.valkey_commands import COMMANDS, LOOK, READ, allowed

ROOT = Path(__file__).parents[2]
MAPPING = load(ROOT / "schema-mapping.yaml")

# With a key of one's own where a command takes one: it is the command that nobody may run.
FORBIDDEN = (
    "FLUSHALL", "FLUSHDB", "CONFIG GET *", "CONFIG SET maxmemory 1", "CONFIG REWRITE", "KEYS *", "SCAN 0", "RANDOMKEY", "DBSIZE",
    "ACL LIST", "ACL WHOAMI", "ACL SETUSER me +@all", "DEBUG SLEEP 0", "SHUTDOWN NOSAVE", "MONITOR", "INFO", "SAVE", "BGSAVE",
    "BGREWRITEAOF", "EVAL return(1) 0", "EVALSHA abc 0", "SCRIPT FLUSH", "FUNCTION LIST", "FCALL f 0", "CLIENT LIST",
    "CLIENT KILL ID 1", "CLIENT PAUSE 1", "CLIENT NO-EVICT on", "REPLICAOF NO ONE", "SYNC", "PSYNC ? -1", "SWAPDB 0 0",
    "MODULE LIST", "SLOWLOG GET", "LATENCY RESET", "MEMORY DOCTOR", "CLUSTER INFO", "FAILOVER", "PUBLISH c m", "SUBSCRIBE c",
    "RENAME {key} {key}", "COPY {key} {key}2", "MIGRATE h 1 {key} 0 1", "RESTORE {key} 0 x", "DUMP {key}", "SORT {key}",
    "SORT {key} BY x GET y", "SORT_RO {key}", "RENAME {key} policy:active", "RENAMENX {key} {key}", "SCRIPT LOAD x", "FUNCTION LOAD x",
    "FUNCTION FLUSH", "REPLICAOF 127.0.0.1 1", "CLIENT UNBLOCK 1", "CLUSTER RESET", "MODULE LOAD x", "LASTSAVE", "ROLE", "ACL LOAD",
    "OBJECT ENCODING {key}", "MOVE {key} 1", "WAIT 0 0", "XSETID {key} 1-1", "XGROUP SETID {key} g 0",
)  # fmt: skip


def sample(pattern: str) -> str:
    return re.sub(r"\{[^}]*\}|\*", "sample", pattern)


# One key of each pattern, and keys beside them that nobody has.
KEYS = [*dict.fromkeys(sample(pattern) for pattern in MAPPING.valkey.keys)]
STRAY = [
    "stray",
    "stray:sample",
    "scan",
    "scanner",
    "dpop",
    "xscan:sample",
    "policy:other",
    "scanner:events:2",
    "notify:deliver?",
]


def expected(mapping: Mapping, user: str, key: str) -> set[str]:
    found: set[str] = set()
    for access in mapping.access.keys[user]:
        if fnmatchcase(key, re.sub(r"\{[^}]*\}", "*", access.pattern)):
            found |= allowed(access.verb, access.type)
    return found


def granted(client: Any, key: str, commands: dict[str, str]) -> set[str]:
    """Names of the commands that the server does not refuse for want of permission, or (DEBUG) to everybody."""
    with client.pipeline(transaction=False) as together:
        for text in commands.values():
            together.execute_command(*(word.replace("{key}", key) for word in text.split()))
        answers = together.execute(raise_on_error=False)
    return {name for name, answer in zip(commands, answers, strict=True) if not refused(answer)}


def refused(answer: Any) -> bool:
    if isinstance(answer, valkey.exceptions.NoPermissionError):
        return True
    return isinstance(answer, valkey.ResponseError) and "command not allowed" in str(answer)


@pytest.fixture(scope="module")
def server() -> Iterator[OwnValkey]:
    with own_valkey(MAPPING, list(MAPPING.users)) as own:
        yield own


def test_there_are_24_modules_and_3_services() -> None:
    assert len(MAPPING.users) == 27


@pytest.mark.parametrize("user", list(MAPPING.users))
def test_a_user_may_do_on_each_pattern_what_the_mapping_says_and_nothing_else(server: OwnValkey, user: str) -> None:
    wrong = []
    with server.client(user) as client:
        for key in [*KEYS, *STRAY]:
            found, wanted = granted(client, key, COMMANDS), expected(MAPPING, user, key)
            wrong += [f"{user} may {command} {key}" for command in sorted(found - wanted)]
            wrong += [f"{user} may not {command} {key}" for command in sorted(wanted - found)]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("user", list(MAPPING.users))
def test_nobody_may_run_what_endangers_others(server: OwnValkey, user: str) -> None:
    own_key = sample(MAPPING.access.keys[user][0].pattern)
    with server.client(user) as client:
        found = granted(client, own_key, {text: text for text in FORBIDDEN})
    assert not found, f"{user} may {sorted(found)}"


def test_no_granted_command_is_of_a_category_that_modules_must_not_have(server: OwnValkey) -> None:
    with server.client() as admin:
        bad = {
            command for category in ("dangerous", "admin", "scripting", "pubsub") for command in admin.acl_cat(category)
        }
        rules = [
            line
            for line in admin.execute_command("ACL LIST")
            if not line.startswith((f"user {ADMIN} ", "user default "))
        ]
    given = {match for line in rules for match in re.findall(r"\+([a-z|\-]+)", line)}
    assert given, "the modules can do something"
    assert not given & bad
    assert not [line for line in rules if "+@" in line], "categories grow with the server's version; name commands"


@pytest.mark.parametrize("name", ["default", "nobody"])
def test_only_known_users_come_in(server: OwnValkey, name: str) -> None:
    with pytest.raises(valkey.AuthenticationError):
        server.client(name).ping()


def test_nobody_comes_in_without_a_name_or_with_another_ones_password(server: OwnValkey) -> None:
    with pytest.raises(valkey.AuthenticationError):
        server.client("scanner", given="password-of-policy").ping()
    with pytest.raises(valkey.AuthenticationError, match=r"(?i)auth"):
        valkey.Valkey(port=server.port).get("scan:sample")


def test_the_probe_pings_without_a_password_and_sees_nothing(server: OwnValkey) -> None:
    with server.client(PROBE_USER, given="any") as client:
        assert client.ping()
        assert not granted(client, "scan:sample", COMMANDS)
        assert not granted(client, "scan:sample", {text: text for text in FORBIDDEN})


def test_every_user_can_do_what_client_libraries_do_on_connecting(server: OwnValkey) -> None:
    for user in MAPPING.users:
        with valkey.Valkey(
            port=server.port, username=user, password=f"password-of-{user}", client_name="x", protocol=3, db=0
        ) as client:
            assert client.ping(), f"{user} cannot connect"
            assert client.select(0) and client.client_id()


def test_there_is_no_other_database_to_hide_in(server: OwnValkey) -> None:
    for user in MAPPING.users:
        with server.client(user) as client, pytest.raises(valkey.ResponseError, match="out of range"):
            client.select(1)


def test_a_stream_is_closed_to_its_producers_eyes_and_its_groups_to_its_consumers_hands(server: OwnValkey) -> None:
    with server.client() as admin:
        admin.xgroup_create("scanner:jobs", "scanner-workers", "0", mkstream=True)
        admin.xgroup_create("concelier:drift", "policy", "0", mkstream=True)
    with server.client("concelier") as producer:
        entry = producer.xadd("concelier:drift", {"event": "advisory.new"})
        for command in (
            "XRANGE concelier:drift - +", "XREADGROUP GROUP policy c STREAMS concelier:drift >", f"XDEL concelier:drift {entry}",
        ):  # fmt: skip
            with pytest.raises(valkey.exceptions.NoPermissionError):
                producer.execute_command(*command.split())
    with server.client("policy") as consumer:
        assert consumer.xreadgroup("policy", "c", {"concelier:drift": ">"})
        for command in (
            "XGROUP DESTROY concelier:drift policy", "XGROUP SETID concelier:drift policy $", "XTRIM concelier:drift MAXLEN 0",
            "XADD concelier:drift * event forged", "DEL concelier:drift",
        ):  # fmt: skip
            with pytest.raises(valkey.exceptions.NoPermissionError):
                consumer.execute_command(*command.split())
        assert consumer.xack("concelier:drift", "policy", entry) == 1


def test_a_transaction_is_open_to_all_and_closed_to_foreign_keys(server: OwnValkey) -> None:
    with server.client("scanner") as client, client.pipeline(transaction=True) as together:
        together.watch("scan:sample")
        together.multi()
        together.set("scan:sample", "1")
        assert together.execute() == [True]
        with pytest.raises(valkey.exceptions.NoPermissionError):
            together.watch("policy:active")


def test_one_foreign_key_among_own_ones_refuses_the_whole_command(server: OwnValkey) -> None:
    with server.client("scanner") as client:
        with pytest.raises(valkey.exceptions.NoPermissionError):
            client.mset({"scan:sample": "1", "policy:active": "evil"})
        with pytest.raises(valkey.exceptions.NoPermissionError):
            client.sunion("layers:sample", "stray")


READ_ONLY = ("scan:{digest}", "layers:{digest}", "policy:history", "orchestrator:*")


def test_a_reader_looks_and_changes_nothing() -> None:
    """The mapping of today has no module that only reads a key, but the verb exists."""
    reader = MAPPING.modules["gateway"].model_copy(
        update={"valkey": ValkeyAccess(reads=tuple(map(KeyPattern, READ_ONLY)))}
    )
    mapping = MAPPING.model_copy(update={"modules": {**MAPPING.modules, "gateway": reader}})
    with own_valkey(mapping, ["gateway"]) as own, own.client("gateway") as client:
        for key in KEYS:
            assert granted(client, key, COMMANDS) == expected(mapping, "gateway", key), key
        assert granted(client, "scan:sample", COMMANDS) == LOOK | READ["string"]


def test_the_memory_policy_of_the_mapping_is_what_the_server_runs_with(server: OwnValkey) -> None:
    with server.client() as admin:
        names = (
            "maxmemory",
            "maxmemory-policy",
            "stream-node-max-bytes",
            "stream-node-max-entries",
            "appendonly",
            "databases",
        )
        found = {name: admin.config_get(name)[name] for name in names}
        saved = admin.config_get("save")["save"]
    assert found == {
        "maxmemory": str(2 << 30), "maxmemory-policy": "volatile-lru", "stream-node-max-bytes": "4096",
        "stream-node-max-entries": "100", "appendonly": "yes", "databases": "1",
    }  # fmt: skip
    assert saved, "the reference's backup strategy has RDB snapshots"
