"""The make targets for Valkey on a stack after ``make up``: what a user sees."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.stack import LocalStack
from tools.cli.main import dispatch
from tools.local import commands
from tools.operations.stack import Stack

pytestmark = pytest.mark.xdist_group("live_stack")
STRAY = "stray:of-test-valkey-commands"
QUEUE = "queue:of-test-valkey-commands"


@pytest.fixture
def admin(live_stack: LocalStack) -> Iterator[Any]:
    with live_stack.valkey_admin() as client:
        yield client
        client.delete(STRAY, QUEUE)
        client.execute_command("ACL LOAD")


@pytest.fixture
def run(live_stack: LocalStack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """A command in this process, on the live stack: its exit code and standard output."""
    stack = Stack("local", {f"stellaops-storage:{key}": value for key, value in live_stack.config.items()})
    stack.__dict__["outputs"] = live_stack.outputs
    monkeypatch.setattr(commands, "use_environment_of", lambda _name: None)
    monkeypatch.setattr(Stack, "load", lambda _name: stack)

    def command(*arguments: str) -> tuple[int, str]:
        code = dispatch(arguments)
        return code, capsys.readouterr().out

    return command


def test_after_up_all_streams_and_groups_are_there_and_nothing_waits(live_stack: LocalStack) -> None:
    """As typed: through make's own command line, the engine's config and a server that runs."""
    document = json.loads(live_stack.must("streams", "--json"))
    groups = {(stream["name"], group["name"]): group for stream in document for group in stream["groups"]}
    assert ("scanner:jobs", "scanner-workers") in groups and ("notify:delivery", "notify-workers") in groups
    assert not any(group["missing"] or group["overdue"] for group in groups.values())


def test_drift_is_none_after_up_and_names_a_right_that_was_added(live_stack: LocalStack, admin: Any) -> None:
    clean = live_stack.run("drift", "--store", "valkey")
    assert clean.returncode == 0, clean.stdout + clean.stderr
    admin.execute_command("ACL SETUSER", "scanner", "+flushall")
    found = live_stack.run("drift", "--store", "valkey")
    assert found.returncode == 2
    assert found.stdout == ("valkey: user scanner may run FLUSHALL: not in the mapping; run: make up ARGS=--refresh\n")


def test_an_entry_that_waits_too_long_is_an_exit_code_and_a_line(run: Any, admin: Any) -> None:
    entry = admin.xadd(QUEUE, {"n": 1})
    admin.xgroup_create(QUEUE, "workers", "0")
    admin.xreadgroup("workers", "dead", {QUEUE: ">"})
    admin.xclaim(QUEUE, "workers", "dead", 0, [entry], idle=3_600_000)
    code, text = run("streams")
    assert code == 2 and "OVERDUE 1" in text
    assert text.splitlines()[0].split()[:3] == ["STREAM", "/", "GROUP"]


def test_trim_says_what_it_looked_at(run: Any) -> None:
    code, text = run("trim")
    assert code == 0 and "streams checked, 0 entries removed" in text
    assert {row["stream"] for row in json.loads(run("trim", "--json")[1])} >= {"scanner:events", "scanner:jobs"}


def test_keys_finds_a_stray_key_and_exits_with_2(run: Any, admin: Any) -> None:
    admin.set(STRAY, 1)
    code, text = run("keys")
    assert code == 2 and f"1 matches no pattern: {STRAY}" in text
    assert 'offenders{pattern="no pattern",reason="matches no pattern"} 1' in run("keys", "--prometheus")[1]
    assert json.loads(run("keys", "--json")[1])["offenders"]["no pattern"]["matches no pattern"]["examples"] == [STRAY]


def test_size_shows_every_pattern_against_maxmemory(run: Any) -> None:
    code, text = run("size")
    assert code == 0 and "scan:{digest}" in text and "of maxmemory, 2048.0 MiB" in text
    document = json.loads(run("size", "--json")[1])
    assert document["kept"] < 0.6 * document["maxmemory"] and not document["warnings"]


@pytest.mark.parametrize(
    ("config", "says"),
    [({"valkeyPort": "1"}, "valkeyPort"), ({"valkeyAdminPassword": "wrong-one"}, "valkeyAdminPassword")],
)
@pytest.mark.parametrize("command", ["streams", "trim", "keys", "drift"])
def test_a_server_that_cannot_be_asked_is_one_line(
    live_stack: LocalStack,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: str,
    config: dict[str, str],
    says: str,
) -> None:
    values = {**live_stack.config, **config}
    stack = Stack("local", {f"stellaops-storage:{key}": value for key, value in values.items()})
    stack.__dict__["outputs"] = live_stack.outputs
    monkeypatch.setattr(commands, "use_environment_of", lambda _name: None)
    monkeypatch.setattr(Stack, "load", lambda _name: stack)
    arguments = [command, "--store", "valkey"] if command == "drift" else [command]
    assert dispatch(arguments) == 1
    errors = capsys.readouterr().err
    assert errors.count("\n") == 1 and says in errors and "wrong-one" not in errors
