"""A server is killed with -9 while ``up`` uses it; two runs start at once."""

import contextlib
import json
import subprocess
import sys
import time

import psutil
import pytest

from tests.faults import killing
from tests.faults.conftest import SmallStack, clear

# The run has started to use that server, or is about to.
CASES = (
    ("postgres", "created Role", "PostgreSQL"),
    ("valkey", "provisioning", "Valkey"),
    ("objects", "provisioning", "object store"),
)
LOCAL = (sys.executable, "-m", "tools")


def pid(stack: SmallStack, server: str) -> int:
    return int(json.loads((stack.state / "servers" / server / "server.json").read_text())["pid"])


@pytest.mark.parametrize(("server", "moment", "title"), CASES)
def test_a_server_that_is_killed_during_up_is_named_and_the_next_up_starts_it_and_goes_on(
    small_stack: SmallStack, server: str, moment: str, title: str
) -> None:
    if server == "objects" and small_stack.shares_object_store:
        pytest.skip("the object store is somebody else's")
    small_stack.change()
    killed = pid(small_stack, server)

    def kill(line: str) -> None:
        if moment in line:
            with contextlib.suppress(psutil.NoSuchProcess):
                psutil.Process(killed).kill()

    said = clear(killing.watched(small_stack, ["up"], kill))
    line = said.splitlines()[-1]
    assert title in line and f"pid {killed}" in line and "run make up again" in line, said
    shown = small_stack.whole()
    assert pid(small_stack, server) != killed, shown
    small_stack.at_rest()


def test_of_two_ups_at_once_one_stops_with_a_line_and_the_stack_is_whole(small_stack: SmallStack) -> None:
    small_stack.change()
    processes = [
        subprocess.Popen(
            [*LOCAL, "up"], cwd=small_stack.project, env=small_stack.environment, text=True, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        for _ in range(2)
    ]  # fmt: skip
    ended = [(process, *process.communicate(timeout=killing.RUN_TIMEOUT_SECONDS)) for process in processes]
    done, stopped = sorted(ended, key=lambda run: run[0].returncode)
    assert done[0].returncode == 0, done
    assert stopped[0].returncode == 1 and f"another make (pid {done[0].pid}) is using" in stopped[2], stopped
    assert len(stopped[2].splitlines()) == 1 and not stopped[1], "one line, not more"
    small_stack.whole()


def test_up_waits_for_an_engine_that_is_at_work_without_make(small_stack: SmallStack) -> None:
    small_stack.change()
    locks = small_stack.state / "backend" / ".pulumi" / "locks"
    with small_stack.admin() as held:
        # Block changes of roles, so that the engine is still running when the second run starts.
        held.execute("BEGIN")
        held.execute("LOCK TABLE pg_catalog.pg_authid IN SHARE MODE")
        with subprocess.Popen(
            [*LOCAL, "pulumi", "up", "--yes", "--skip-preview"],
            cwd=small_stack.project, env=small_stack.environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        ) as engine:  # fmt: skip
            while not list(locks.rglob("*.json")):
                assert engine.poll() is None, "it ended before it had begun"
                time.sleep(0.1)

            def let_go(line: str) -> None:
                if "waiting for another engine" in line:
                    held.execute("ROLLBACK")

            try:
                second = killing.watched(small_stack, ["up"], let_go)
            finally:
                held.execute("ROLLBACK")
    assert f"another engine (pid {engine.pid}) was using this stack and has ended" in second.stdout, second
    assert second.returncode == 0 and engine.returncode == 0, second
    small_stack.whole()
