"""The commands behind `make`, where no stack is up: what they say, and that they leave nothing half-made."""

import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.stack import PROJECT, LocalStack
from tests.support.watchdog import Watchdog
from tools import locks
from tools.local.paths import State


@pytest.fixture
def stack(tmp_path: Path, watchdog: Watchdog) -> Iterator[LocalStack]:
    watchdog.watch(tmp_path)
    made = LocalStack(tmp_path / "state")
    yield made
    made.run("clean", "--yes")


def one_line(result: "subprocess.CompletedProcess[str]") -> str:
    lines = result.stderr.strip().splitlines()
    assert result.returncode == 1, f"a mistake must not look like success: {result.stdout}{result.stderr}"
    assert len(lines) == 1 and lines[0].startswith("error: "), f"one clear line, not:\n{result.stderr}"
    return lines[0]


@pytest.mark.parametrize("command", [["env", "scanner"], ["pulumi", "stack"]])
def test_before_the_first_up_a_command_says_to_run_it(stack: LocalStack, command: list[str]) -> None:
    assert one_line(stack.run(*command)) == "error: there is no local stack yet; run make up first"
    assert not stack.state.exists()


@pytest.mark.parametrize("command", [["down"], ["destroy"], ["clean"]])
def test_removing_what_is_not_there_is_no_failure(stack: LocalStack, command: list[str]) -> None:
    assert stack.run(*command).returncode == 0
    assert not stack.state.exists()


def test_two_commands_at_once_do_not_meet(stack: LocalStack) -> None:
    stack.state.mkdir(mode=0o700)
    with locks.lock(stack.state / "lock"):
        said = one_line(stack.run("up"))
    assert f"another make (pid {os.getpid()}) is using" in said, "the user could not tell who"


def test_clean_and_destroy_remove_nothing_unasked(stack: LocalStack) -> None:
    stack.state.mkdir(mode=0o700)
    checkpoint = State(stack.state).checkpoint
    checkpoint.parent.mkdir(parents=True)
    checkpoint.write_text("{}")
    assert "make destroy YES=1" in one_line(stack.run("destroy"))
    assert "make clean YES=1" in one_line(stack.run("clean"))
    assert stack.state.exists(), "data would be lost in a script that nobody watches"
    for command in (["make", "destroy"], ["make", "clean", "YES=0"]):
        asked = subprocess.run(command, cwd=PROJECT, env=stack.environment, stdin=subprocess.DEVNULL, check=False)
        assert asked.returncode != 0 and stack.state.exists()
    subprocess.run(["make", "clean", "YES=1"], cwd=PROJECT, env=stack.environment, stdin=subprocess.DEVNULL, check=True)
    assert not stack.state.exists(), "the remedy that was printed does not work"


@pytest.mark.parametrize(("answer", "left"), [(b"n\n", True), (b"\n", True), (b"y\n", False)])
def test_clean_asks_on_a_terminal(stack: LocalStack, answer: bytes, left: bool) -> None:
    stack.state.mkdir(mode=0o700)
    ours, theirs = pty.openpty()
    try:
        os.write(ours, answer)
        result = subprocess.run(
            [sys.executable, "-m", "tools", "clean"],
            cwd=PROJECT, env=stack.environment, stdin=theirs, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
    finally:
        os.close(ours)
        os.close(theirs)
    assert stack.state.exists() == left, f"{answer!r} was taken for its opposite: {result.stdout}{result.stderr}"


def test_servers_alone_start_and_stop(stack: LocalStack) -> None:
    shown = stack.must("up", "--servers-only")
    assert all(text in shown for text in ("postgresql://127.0.0.1:", "valkey://127.0.0.1:", "http://127.0.0.1:"))
    assert "stopped PostgreSQL, Valkey, object store" in stack.must("down")
    assert stack.must("down").strip() == "nothing was running"


def test_without_go_its_wheel_and_anything_built_up_says_what_to_install(stack: LocalStack, tmp_path: Path) -> None:
    stack.environment |= {"XDG_CACHE_HOME": str(tmp_path / "empty"), "PATH": str(tmp_path / "no-such-directory")}
    stack.environment |= {"PIP_NO_INDEX": "1"}
    result = stack.run("up")
    *pip, last = result.stderr.strip().splitlines()
    assert result.returncode == 1 and last.startswith("error: ") and "install Go 1.26 or later" in last
    assert all(line.startswith("ERROR: ") for line in pip), "only pip's own reason may stand above"


def test_an_object_store_that_does_not_answer_is_named(stack: LocalStack) -> None:
    stack.environment["RUSTFS_ENDPOINT"] = "http://127.0.0.1:9"
    assert "RUSTFS_ACCESS_KEY and RUSTFS_SECRET_KEY is not" in one_line(stack.run("up", "--servers-only"))
    stack.environment |= {"RUSTFS_ACCESS_KEY": "key", "RUSTFS_SECRET_KEY": "secret-of-it"}
    result = stack.run("up", "--servers-only")
    assert "RUSTFS_ENDPOINT=http://127.0.0.1:9 can't be used" in one_line(result)
    assert "secret-of-it" not in result.stdout + result.stderr


def test_a_state_directory_that_cannot_be_written_is_named(stack: LocalStack, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    stack.environment["STELLAOPS_STATE_DIR"] = str(tmp_path / "file" / "state")
    assert "Not a directory" in one_line(stack.run("up", "--servers-only"))


def test_arguments_that_no_command_knows_are_refused(stack: LocalStack) -> None:
    result = stack.run("down", "--everything")
    assert result.returncode == 1 and "unrecognized arguments: --everything" in result.stderr
