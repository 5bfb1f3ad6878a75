"""`make up` again, after all that may happen to a stack that is up."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import psutil
import pytest
import yaml

from tests.faults import small
from tests.support.stack import LocalStack, temporary_stack
from tests.support.watchdog import Watchdog
from tools import processes
from tools.local.stack import repeat_interrupted_updates

pytestmark = pytest.mark.xdist_group("local_stack")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, watchdog: Watchdog) -> Iterator[LocalStack]:
    """A stack of these tests' own: they stop its servers and interrupt it."""
    directory = tmp_path_factory.mktemp("local-stack")
    project = small.project(directory / "project", {"backups": "none"})
    with temporary_stack(directory / "state", watchdog, project) as made:
        made.must("up")
        yield made


def record(stack: LocalStack, server: str) -> dict[str, int]:
    values: dict[str, int] = json.loads((stack.state / "servers" / server / "server.json").read_text())
    return values


def unchanged(stack: LocalStack) -> bool:
    return stack.run("preview", "--expect-no-changes").returncode == 0


def test_tests_that_share_a_stack_run_on_one_worker(request: pytest.FixtureRequest) -> None:
    if "PYTEST_XDIST_WORKER" not in os.environ:
        pytest.skip("only with several workers")
    assert request.node.nodeid.endswith("@local_stack"), "pytest-xdist ignores groups: each worker brings up a stack"


def test_a_resource_whose_update_was_interrupted_is_updated_again() -> None:
    resources: list[dict[str, Any]] = [{"urn": "changed"}, {"urn": "changed", "delete": True}, {"urn": "created"}]
    operations = [{"type": kind, "resource": {"urn": kind.replace("ing", "ed")}} for kind in ("creating", "deleting")]
    operations.append({"type": "updating", "resource": {"urn": "changed"}})
    repeat_interrupted_updates({"resources": resources, "pending_operations": operations})
    assert [bool(resource.get("initErrors")) for resource in resources] == [True, False, False]


def test_a_second_up_changes_nothing_and_rewrites_nothing(stack: LocalStack) -> None:
    config = stack.state / "Pulumi.local.yaml"
    before = config.stat().st_mtime_ns
    shown = stack.must("up")
    assert re.search(r"Resources:\s+\d+ unchanged", shown), f"a second run must be quick and quiet:\n{shown}"
    assert "started at" not in shown and config.stat().st_mtime_ns == before


def test_everything_below_the_state_directory_is_private(stack: LocalStack) -> None:
    assert stack.state.stat().st_mode & 0o077 == 0
    for path in (
        *stack.state.glob("*"),
        *(stack.state / "servers").glob("*/*"),
        *(stack.state / "rendered").rglob("*"),
    ):
        if path.is_file():
            assert path.stat().st_mode & 0o077 == 0, f"others could read {path.relative_to(stack.state)}"


def test_no_secret_stands_in_clear_outside_of_its_own_file(stack: LocalStack) -> None:
    passwords = [path.read_text().strip() for path in (stack.state / "servers").glob("*/password")]
    assert len(passwords) == 3
    for path in stack.state.rglob("*"):
        if path.is_file() and path.name != "password":
            text = path.read_bytes()
            assert not [word for word in passwords if word.encode() in text], f"a root password stands in {path}"


def test_env_prints_exports_alone(stack: LocalStack) -> None:
    lines = stack.must("env", "scanner").splitlines()
    assert all(line.startswith("export ") for line in lines), "eval would run something else"
    wrong = stack.run("env", "scaner")
    assert wrong.returncode == 1 and wrong.stderr == 'error: no module "scaner"; run make env MODULE=scanner\n'


def test_a_stopped_server_is_back_after_up_and_a_moved_one_is_followed(stack: LocalStack) -> None:
    died = record(stack, "valkey")
    process = psutil.Process(died["pid"])
    process.kill()
    process.wait(timeout=10)
    with socket.create_server(("127.0.0.1", died["port"])):
        shown = stack.must("up")
        moved = record(stack, "valkey")["port"]
        assert moved != died["port"]
        assert f"pid {died['pid']} is gone" in shown and f"port {died['port']} is used by" in shown
        assert unchanged(stack)
        assert f"VALKEY_PORT={moved}" in stack.must("env", "scanner"), "services would go on with the old port"


def test_refresh_reaches_a_server_that_moved_since_the_last_up(stack: LocalStack) -> None:
    stack.must("down")
    with socket.create_server(("127.0.0.1", record(stack, "postgres")["port"])):
        shown = stack.must("refresh")
    assert not re.search(r"\d+ (created|deleted)", shown), f"what is there would be taken for lost:\n{shown}"


def test_data_that_were_lost_are_made_again(stack: LocalStack) -> None:
    stack.must("down")
    for path in (stack.state / "servers" / "valkey").glob("*"):
        if path.name != "password":
            subprocess.run(["rm", "-r", str(path)], check=True)
    shown = stack.must("up")
    assert "a server's data are new" in shown
    assert unchanged(stack), "streams and users would be missing until somebody notices"


def test_ctrl_c_ends_cleanly_and_the_next_up_goes_on(stack: LocalStack) -> None:
    stack.must("destroy", "--yes")
    with subprocess.Popen(
        [sys.executable, "-m", "tools", "up"],
        cwd=stack.project, env=stack.environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        start_new_session=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if "created Role" in line and "finishes the operations in progress" not in "".join(lines):
                os.killpg(process.pid, signal.SIGINT)
        code = process.wait(timeout=60)
    said = "".join(lines)
    assert code == 130, said
    assert "run make up again" in lines[-1] and "Traceback" not in said, said
    stack.must("up")
    assert unchanged(stack)


def test_an_engine_that_is_at_work_is_not_disturbed(stack: LocalStack) -> None:
    locks = stack.state / "backend" / ".pulumi" / "locks" / "organization" / "stellaops-storage" / "local"
    locks.mkdir(parents=True, exist_ok=True)
    lock = locks / "5f4a9d3e.json"
    lock.write_text(json.dumps({"pid": 1, "username": "root", "hostname": "another.example", "timestamp": ""}))
    try:
        result = stack.run("up")
        assert result.returncode == 1 and "the engine on another.example (pid 1) may be using" in result.stderr
    finally:
        lock.unlink()
    lock.write_text(json.dumps({"pid": 1, "username": "root", "hostname": socket.gethostname(), "timestamp": ""}))
    assert "removed the lock of an engine that was killed" in stack.must("up"), (
        "a killed run would block all later ones"
    )
    assert not lock.exists()


def test_config_set_survives_up_and_decides_which_mapping_the_stack_has(stack: LocalStack) -> None:
    mapping = stack.state.parent / "other-mapping.yaml"
    text = (stack.project / "schema-mapping.yaml").read_text()
    other = yaml.safe_load(text)
    other["valkey"]["memory"]["maxmemory"] = "123mb"
    mapping.write_text(yaml.safe_dump(other, sort_keys=False))
    stack.must("pulumi", "config", "set", "mapping", str(mapping))
    stack.must("pulumi", "config", "set", "valkeyHost", "elsewhere.example")
    try:
        shown = stack.must("up")
        assert "stellaops-storage:valkeyHost was reset" in shown, "the user would wonder where the value went"
        assert f"stellaops-storage:mapping: {mapping}" in (stack.state / "Pulumi.local.yaml").read_text()
        conf = (stack.state / "servers" / "valkey" / "valkey.conf").read_text()
        assert "maxmemory 123mb" in conf, "the server would have the memory of another mapping"
        assert unchanged(stack)
        mapping.write_text(text.replace("modules:", "modulez:", 1))
        refused = stack.run("up")
        assert refused.returncode == 1 and f"{mapping} has " in refused.stderr, refused.stderr
    finally:
        stack.must("pulumi", "config", "rm", "mapping")
    stack.must("up")
    assert unchanged(stack)


def test_a_state_directory_that_was_deleted_without_clean_is_no_obstacle(stack: LocalStack) -> None:
    before = {server: record(stack, server)["pid"] for server in ("postgres", "valkey", "objects")}
    shutil.rmtree(stack.state)
    stack.must("up")
    assert unchanged(stack), "a clone that is deleted and cloned again would fail on the former passwords"
    for server, pid in before.items():
        assert record(stack, server)["pid"] != pid and not processes.created(pid), f"the former {server} runs on"
