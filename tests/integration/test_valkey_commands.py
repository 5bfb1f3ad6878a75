"""The make targets for Valkey on a stack after ``make up``: what a user sees."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.stack import LocalStack

pytestmark = pytest.mark.xdist_group("live_stack")
STRAY = "stray:of-test-valkey-commands"


@pytest.fixture
def admin(live_stack: LocalStack) -> Iterator[Any]:
    with live_stack.valkey_admin() as client:
        yield client
        client.delete(STRAY, "queue:of-test-valkey-commands")
        client.execute_command("ACL LOAD")


def test_after_up_all_streams_and_groups_are_there_and_nothing_waits(live_stack: LocalStack) -> None:
    document = json.loads(live_stack.must("operate", "streams", "--json"))
    groups = {(stream["name"], group["name"]): group for stream in document for group in stream["groups"]}
    assert ("scanner:jobs", "scanner-workers") in groups and ("notify:delivery", "notify-workers") in groups
    assert not any(group["missing"] or group["overdue"] for group in groups.values())
    table = live_stack.must("operate", "streams")
    assert table.splitlines()[0].split()[:3] == ["STREAM", "/", "GROUP"]


def test_an_entry_that_waits_too_long_is_an_exit_code_and_a_line(live_stack: LocalStack, admin: Any) -> None:
    name = "queue:of-test-valkey-commands"
    entry = admin.xadd(name, {"n": 1})
    admin.xgroup_create(name, "workers", "0")
    admin.xreadgroup("workers", "dead", {name: ">"})
    admin.xclaim(name, "workers", "dead", 0, [entry], idle=3_600_000)
    result = live_stack.run("operate", "streams")
    assert result.returncode == 2 and "OVERDUE 1" in result.stdout, result.stdout + result.stderr


def test_trim_says_what_it_looked_at(live_stack: LocalStack) -> None:
    assert "streams looked at, 0 entries removed" in live_stack.must("operate", "trim")
    assert {row["stream"] for row in json.loads(live_stack.must("operate", "trim", "--json"))} >= {"scanner:events"}


def test_keys_finds_a_stray_key_and_exits_with_2(live_stack: LocalStack, admin: Any) -> None:
    admin.set(STRAY, 1)
    result = live_stack.run("operate", "keys")
    assert result.returncode == 2 and f"1 matches no pattern: {STRAY}" in result.stdout, result.stdout
    metrics = live_stack.run("operate", "keys", "--prometheus").stdout
    assert 'stellaops_valkey_key_offenders{pattern="no pattern",reason="matches no pattern"} 1' in metrics
    assert json.loads(live_stack.run("operate", "keys", "--json").stdout)["wrong"] == 1


def test_size_shows_every_pattern_against_maxmemory(live_stack: LocalStack) -> None:
    table = live_stack.must("operate", "size")
    assert "scan:{digest}" in table and "of maxmemory, 2048.0 MiB" in table
    document = json.loads(live_stack.must("operate", "size", "--json"))
    assert document["kept"] < 0.6 * document["maxmemory"] and not document["warnings"]


def test_drift_is_none_after_up_and_names_a_right_that_was_added(live_stack: LocalStack, admin: Any) -> None:
    clean = live_stack.run("operate", "drift", "--store", "valkey")
    assert clean.returncode == 0, clean.stdout + clean.stderr
    admin.execute_command("ACL SETUSER", "scanner", "+flushall")
    found = live_stack.run("operate", "drift", "--store", "valkey")
    assert found.returncode == 2
    assert found.stdout == "valkey: user scanner may run FLUSHALL: not in the mapping\n"


@pytest.mark.parametrize("command", ["streams", "trim", "keys", "size"])
def test_every_command_has_help(live_stack: LocalStack, command: str) -> None:
    assert "--stack" in live_stack.must("operate", command, "--help")
