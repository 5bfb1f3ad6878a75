"""The jobs' program on replicated servers, run as in its container."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import valkey

from components.mapping import load
from components.valkey.component import streams_of
from components.valkey.deployment.users import NODE_USER, acl_file, node_rules
from components.valkey.plan import maintenance_files
from components.valkey.render import MAINTENANCE_USER, acl_mark, maintenance_rules, render_acl
from tests.kubernetes.nodes import PASSWORD, Nodes, nodes, sha256, until

ROOT = Path(__file__).parents[2]
MAPPING = load(ROOT / "schema-mapping.yaml")


@pytest.fixture(scope="module")
def replicated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    with nodes(tmp_path_factory.mktemp("jobs"), MAPPING, 3, {"scanner": "first"}, tls=False) as made:
        until("two replicas follow", lambda: made.following() == 2)
        yield made


def started(made: Nodes, directory: Path, *command: str) -> "subprocess.Popen[str]":
    program = directory / "maintenance"
    program.mkdir(exist_ok=True)
    for name, text in maintenance_files(MAPPING).items():
        (program / name).write_text(text)
    (directory / "password").write_text("upkeep")
    environment = {
        # The primary comes last: a job has to find it.
        "VALKEY_HOST": ",".join(reversed(made.addresses)),
        "VALKEY_PORT": str(made.port),
        "VALKEY_TLS": "false",
        "VALKEY_USER": MAINTENANCE_USER,
        "VALKEY_PASSWORD_FILE": str(directory / "password"),
    }
    return subprocess.Popen(
        [sys.executable, "-m", "maintenance", *command], cwd=directory, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def job(made: Nodes, directory: Path, *command: str) -> tuple[int, str]:
    """Its exit code and what it said."""
    with started(made, directory, *command) as process:
        out, err = process.communicate(timeout=60)
    return process.returncode, out + err


def test_streams_are_made_once_the_primary_takes_writes(replicated: Nodes, tmp_path: Path) -> None:
    primary = replicated.client(replicated.addresses[0])
    primary.config_set("min-replicas-to-write", 3)
    code, said = job(replicated, tmp_path, "streams")
    assert code == 1 and "NOREPLICAS" in said and len(said.splitlines()) == 1
    with started(replicated, tmp_path, "streams", "--wait", "30") as process:
        # It is at work, and has been refused, when its connections come and go.
        seen = int(primary.info("stats")["total_connections_received"])
        until("it tries again", lambda: int(primary.info("stats")["total_connections_received"]) > seen + 1)
        assert process.poll() is None
        primary.config_set("min-replicas-to-write", 1)
        assert process.wait(timeout=40) == 0


def test_streams_and_groups_are_made_on_the_primary(replicated: Nodes, tmp_path: Path) -> None:
    for _ in range(2):
        code, said = job(replicated, tmp_path, "streams", "--wait", "20")
        assert code == 0, said
    client = replicated.client(replicated.addresses[0])
    for name, groups in streams_of(MAPPING).items():
        assert {group["name"] for group in client.xinfo_groups(name)} == set(groups)


def test_new_users_are_loaded_on_every_server_without_a_restart(replicated: Nodes, tmp_path: Path) -> None:
    before = [replicated.client(address).info("server")["run_id"] for address in replicated.addresses]
    modules = render_acl(MAPPING, {"scanner": sha256("second")}, admin=("admin", sha256("admin")))
    rules = {
        NODE_USER: (sha256(PASSWORD), node_rules(replicas=True, tls=False)),
        MAINTENANCE_USER: (sha256("upkeep"), maintenance_rules(MAPPING)),
    }
    text = acl_file(modules, rules)
    for address in replicated.addresses:
        (replicated.directory / address / "users.acl").write_text(text)
    code, said = job(replicated, tmp_path, "acl", "--mark", acl_mark(text), "--wait", "20")
    assert code == 0, said
    for address in replicated.addresses:
        assert replicated.client(address, "scanner", "second").ping()
        with pytest.raises(valkey.AuthenticationError):
            replicated.client(address, "scanner", "first").ping()
    assert [replicated.client(address).info("server")["run_id"] for address in replicated.addresses] == before


def test_trim_and_the_audit_run_with_their_users_rights(replicated: Nodes, tmp_path: Path) -> None:
    assert job(replicated, tmp_path, "trim")[0] == 0
    assert job(replicated, tmp_path, "keys", "--prometheus")[0] == 0
    replicated.client(replicated.addresses[0]).set("nobodys:key", "1")
    assert job(replicated, tmp_path, "keys", "--prometheus")[0] == 2, "a job that ends well raises no alert"
