"""Making streams and groups, and the files as a ConfigMap has them, run by a plain Python without our packages."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from components.mapping import load
from components.valkey.component import streams_of
from components.valkey.plan import maintenance_files, maintenance_plan
from components.valkey.render import MAINTENANCE_USER
from pods.valkey_upkeep import streams
from pods.valkey_upkeep.resp import Connection, Endpoint, MaintenanceError, ServerError, endpoints, primary
from tests.support.own_valkey import OwnValkey, own_valkey, password

ROOT = Path(__file__).parents[2]
MAPPING = load(ROOT / "schema-mapping.yaml")
PLAN = maintenance_plan(MAPPING)


@pytest.fixture(scope="module")
def server() -> Iterator[OwnValkey]:
    with own_valkey(MAPPING, []) as own:
        yield own


@pytest.fixture
def user(server: OwnValkey) -> Endpoint:
    with server.client() as admin:
        admin.flushall()
    return server.add_maintenance(MAPPING)


class Job:
    """``python3 -m maintenance`` as a container runs it: these files, this environment, nothing of the project."""

    def __init__(self, directory: Path, port: int) -> None:
        self.directory = directory
        (directory / "maintenance").mkdir()
        for name, text in maintenance_files(MAPPING).items():
            (directory / "maintenance" / name).write_text(text)
        (directory / "password").write_text(f"{password(MAINTENANCE_USER)}\n")
        self.environment = {
            "VALKEY_HOST": "127.0.0.1", "VALKEY_PORT": str(port), "VALKEY_TLS": "false", "VALKEY_USER": MAINTENANCE_USER,
            "VALKEY_PASSWORD_FILE": str(directory / "password"),
        }  # fmt: skip

    def start(self, command: str, *arguments: str, **environment: str) -> "subprocess.Popen[str]":
        # -I leaves out the project and our environment's packages; -S its site directory.
        begin = "import runpy, sys; sys.path.insert(0, '.'); runpy.run_module('maintenance', run_name='__main__')"
        return subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", begin, command, "--plan", "maintenance/plan.json", *arguments],
            cwd=self.directory, env={**self.environment, **environment}, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def run(self, command: str, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        process = self.start(command, *arguments, **environment)
        output, errors = process.communicate(timeout=60)
        return subprocess.CompletedProcess(process.args, process.returncode, output, errors)


@pytest.fixture
def job(tmp_path: Path, server: OwnValkey, user: Endpoint) -> Job:
    return Job(tmp_path, server.port)


def live(server: OwnValkey) -> dict[str, list[str]]:
    with server.client() as admin:
        return {key: sorted(group["name"] for group in admin.xinfo_groups(key)) for key in admin.keys("*")}


def wanted() -> dict[str, list[str]]:
    return {name: sorted(groups) for name, groups in streams_of(MAPPING).items()}


def test_the_job_makes_every_stream_and_group_and_a_second_run_changes_nothing(job: Job, server: OwnValkey) -> None:
    first = job.run("streams")
    assert first.returncode == 0, first.stderr
    assert live(server) == wanted()
    assert "created scanner:jobs scanner-workers" in first.stdout
    with server.client() as admin:
        for number in range(3):
            admin.xadd("scheduler:jobs", {"n": number})
        admin.xreadgroup("scanner", "w", {"scheduler:jobs": ">"}, count=2)
        before = admin.xinfo_groups("scheduler:jobs")
        second = job.run("streams")
        assert (second.returncode, second.stdout) == (0, "all streams and groups exist\n")
        assert admin.xinfo_groups("scheduler:jobs") == before, "a worker would do its jobs twice"


def test_the_plan_and_the_resource_make_the_same_streams(user: Endpoint, server: OwnValkey) -> None:
    assert {stream["name"]: [group["name"] for group in stream["groups"]] for stream in PLAN["streams"]} == streams_of(
        MAPPING
    )
    idle = {group["name"]: group["idle_ms"] for stream in PLAN["streams"] for group in stream["groups"]}
    assert (idle["notify-workers"], idle["scanner-workers"]) == (30_000, 60_000)


def test_a_group_that_was_lost_comes_back_and_delivers_what_was_added_meanwhile(
    user: Endpoint, server: OwnValkey
) -> None:
    with server.client() as admin, Connection(user) as connection:
        streams.make(connection, PLAN)
        admin.xgroup_destroy("scheduler:jobs", "policy")
        admin.xadd("scheduler:jobs", {"job": 1})
        assert streams.make(connection, PLAN) == ["scheduler:jobs policy"]
        assert admin.xreadgroup("policy", "w", {"scheduler:jobs": ">"})


def test_a_key_of_another_type_is_named_and_the_other_streams_are_made(user: Endpoint, server: OwnValkey) -> None:
    with server.client() as admin, Connection(user) as connection:
        admin.set("scheduler:jobs", "x")
        with pytest.raises(ServerError, match="key scheduler:jobs is not a stream"):
            streams.make(connection, PLAN)
    assert live_streams(server) == wanted().keys() - {"scheduler:jobs"}


def live_streams(server: OwnValkey) -> set[str]:
    with server.client() as admin:
        return {key for key in admin.keys("*") if admin.type(key) == "stream"}


def test_trim_and_keys_run_in_the_job_and_speak_json_and_prometheus(job: Job, server: OwnValkey) -> None:
    job.run("streams")
    trimmed = job.run("trim", "--json")
    assert trimmed.returncode == 0, trimmed.stderr
    assert {row["stream"] for row in json.loads(trimmed.stdout)} == set(wanted())
    clean = job.run("keys", "--json")
    assert clean.returncode == 0 and json.loads(clean.stdout)["total"] == 6
    with server.client() as admin:
        admin.set("stray", 1)
    found = job.run("keys", "--prometheus")
    assert found.returncode == 2
    assert 'stellaops_valkey_key_offenders{pattern="no pattern",reason="matches no pattern"} 1' in found.stdout


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({"VALKEY_HOST": ""}, "VALKEY_HOST is not set"),
        ({"VALKEY_PORT": "x"}, "'x' is not a port"),
        ({"VALKEY_TLS": "maybe"}, "VALKEY_TLS is 'maybe'"),
        ({"VALKEY_PORT": "1"}, "Connection refused; check that it runs"),
        ({"VALKEY_HOST": "no-such-host.invalid"}, "check that it runs"),
        ({"VALKEY_PASSWORD_FILE": "/no/file"}, "VALKEY_PASSWORD_FILE: /no/file can't be read"),
        ({"VALKEY_PASSWORD_FILE": "", "VALKEY_PASSWORD": "wrong-password"}, "WRONGPASS"),
        ({"VALKEY_PASSWORD_FILE": "", "VALKEY_PASSWORD": ""}, "NOAUTH"),
    ],
)  # fmt: skip
def test_whatever_keeps_the_job_from_working_is_one_line(job: Job, environment: dict[str, str], says: str) -> None:
    result = job.run("streams", **environment)
    assert result.returncode == 1 and says in result.stderr, result.stderr
    assert result.stderr.count("\n") == 1 and "Traceback" not in result.stderr
    assert "wrong-password" not in result.stderr and password(MAINTENANCE_USER) not in result.stderr


def test_a_plan_that_is_missing_or_broken_is_named(job: Job) -> None:
    plan = job.directory / "maintenance" / "plan.json"
    plan.write_text("{")
    assert "is not JSON" in job.run("trim").stderr
    plan.unlink()
    assert "can't be read" in job.run("trim").stderr


def test_among_several_servers_the_primary_is_found(user: Endpoint, server: OwnValkey) -> None:
    with own_valkey(MAPPING, []) as replica:
        follower = replica.add_maintenance(MAPPING)
        with replica.client() as admin:
            admin.config_set("primaryuser", "admin")
            admin.config_set("primaryauth", password("admin"))
            admin.replicaof("127.0.0.1", str(server.port))
        with primary([follower, user]) as connection:
            assert connection.endpoint == user
        with pytest.raises(MaintenanceError, match=r"no primary found: .*a replica"):
            primary([follower, follower])


def test_hosts_divided_by_commas_may_have_ports_of_their_own() -> None:
    found = endpoints({"VALKEY_HOST": "a, b:7000", "VALKEY_PORT": "6380", "VALKEY_USER": "u", "VALKEY_PASSWORD": "p"})
    assert [(item.host, item.port) for item in found] == [("a", 6380), ("b", 7000)]
    assert "'p'" not in repr(found), "a password must not show in a traceback"


def test_a_server_that_starts_later_is_waited_for(job: Job, server: OwnValkey) -> None:
    server.stop()
    waiting = job.start("streams", "--wait", "60")
    time.sleep(0.5)
    assert waiting.poll() is None, "a job that begins before the server must not fail"
    server.start()
    output, errors = waiting.communicate(timeout=60)
    assert waiting.returncode == 0, errors
    assert "scanner-workers" in output or "all streams" in output


def test_any_odd_key_comes_through_the_protocol_unchanged(user: Endpoint, server: OwnValkey) -> None:
    odd: Any = "a\r\nb \xff $3".encode("latin-1")
    with Connection(server.endpoint) as connection:
        connection.call("SET", odd, "v")
        (name,) = connection.call("KEYS", "*")
        assert name.encode(errors="surrogateescape") == odd
        assert connection.call("GET", name) == "v"
