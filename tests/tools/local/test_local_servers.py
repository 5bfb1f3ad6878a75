"""The servers of the local stack, whatever happened to them before."""

import json
import os
import pwd
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.support.watchdog import Watchdog
from tools import processes
from tools.local import fleet
from tools.local.errors import UserError
from tools.local.servers import accounts, homes
from tools.local.servers.base import LocalServer
from tools.local.servers.postgres import LocalPostgres
from tools.local.servers.valkey import LocalValkey


@pytest.fixture
def valkey(tmp_path: Path, watchdog: Watchdog) -> Iterator[LocalValkey]:
    watchdog.watch(tmp_path)
    server = LocalValkey(tmp_path / "valkey")
    yield server
    server.remove()


@pytest.fixture
def postgres(tmp_path: Path, watchdog: Watchdog) -> Iterator[LocalPostgres]:
    watchdog.watch(tmp_path)
    server = LocalPostgres(tmp_path / "postgres")
    yield server
    server.remove()


def pid(server: LocalServer) -> int:
    return int(json.loads((server.directory / "server.json").read_text())["pid"])


def test_a_taken_port_is_named_with_its_holder_and_another_one_is_chosen(valkey: LocalValkey) -> None:
    valkey.start()
    before = valkey.port
    valkey.stop()
    said: list[str] = []
    with socket.create_server(("127.0.0.1", before)):
        valkey.start(said.append)
    assert valkey.port != before
    assert f"port {before} is used by" in said[0] and f"(pid {os.getpid()})" in said[0], (
        "the user could not find out who took the port"
    )
    assert str(valkey.port) in said[0], "the user would look for the server at its old port"


def test_the_port_is_kept_over_a_restart(valkey: LocalValkey) -> None:
    valkey.start()
    before = valkey.port
    valkey.stop()
    valkey.start()
    assert valkey.port == before, "every client's settings would be void after make down and make up"


def test_a_server_that_died_is_started_again_with_its_data(valkey: LocalValkey) -> None:
    valkey.start()
    died = pid(valkey)
    psutil.Process(died).kill()
    psutil.wait_procs([psutil.Process(died)] if psutil.pid_exists(died) else [], timeout=5)
    assert valkey.status == "died"
    said: list[str] = []
    assert valkey.start(said.append)
    assert valkey.status == "running"
    assert f"pid {died}" in said[0], "a server that dies again and again would go unnoticed"


def test_a_running_server_is_left_alone(valkey: LocalValkey) -> None:
    valkey.start()
    before = pid(valkey)
    assert not valkey.start()
    assert pid(valkey) == before


def test_a_server_whose_record_was_lost_is_found_and_not_started_twice(valkey: LocalValkey) -> None:
    valkey.start()
    before = pid(valkey)
    record = valkey.directory / "server.json"
    record.write_text(json.dumps({"port": valkey.port}))
    assert not valkey.start(), "a second server would fight over the same files"
    assert pid(valkey) == before


def test_down_does_not_stop_a_process_that_got_the_pid_of_a_dead_server(valkey: LocalValkey) -> None:
    valkey.start()
    valkey.stop()
    with subprocess.Popen(["sleep", "60"]) as foreign:
        try:
            record = valkey.directory / "server.json"
            record.write_text(json.dumps({"port": valkey.port, "pid": foreign.pid, "created": 1.0}))
            assert not valkey.stop()
            assert foreign.poll() is None, "make down would kill whatever runs under a recycled pid"
        finally:
            foreign.kill()


def test_changed_configuration_restarts_the_server(valkey: LocalValkey, monkeypatch: pytest.MonkeyPatch) -> None:
    valkey.start()
    from tools.local.servers import valkey as module

    render = module.render_conf
    monkeypatch.setattr(module, "render_conf", lambda *place: render(*place) + "maxclients 99\n")
    said: list[str] = []
    assert valkey.start(said.append), "a new memory policy in the mapping would not reach the running server"
    assert "configuration changed" in said[0]


def test_what_an_interrupted_initdb_left_is_no_obstacle(postgres: LocalPostgres) -> None:
    half = postgres.home / "data.new"
    if postgres.home != postgres.directory:
        homes.create(postgres.home, postgres.directory)
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    (postgres.home / "data.password").write_text("old")
    postgres.start()
    with postgres.connect() as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    assert not half.exists() and not (postgres.home / "data.password").exists()


def test_a_wrong_password_is_one_line_that_names_the_file(postgres: LocalPostgres) -> None:
    postgres.start()
    (postgres.directory / "password").write_text("not-the-one")
    with pytest.raises(UserError) as caught:
        postgres.start()
    assert "refuses the admin password" in str(caught.value) and "password" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_server_that_does_not_come_up_shows_the_end_of_its_log(postgres: LocalPostgres) -> None:
    postgres.start()
    postgres.stop()
    (postgres.data / "global" / "pg_control").unlink()
    with pytest.raises(UserError) as caught:
        postgres.start()
    assert "PostgreSQL ended right after its start" in str(caught.value)
    assert "pg_control" in caught.value.details, "the reason would have to be looked for"
    assert postgres.status == "stopped"


def test_a_pid_file_from_before_a_reboot_is_no_obstacle(postgres: LocalPostgres) -> None:
    postgres.start()
    postgres.stop()
    # Its pid is alive, but it is not a PostgreSQL: so it is after the restart of a container.
    (postgres.data / "postmaster.pid").write_text(f"{os.getpid()}\n{postgres.data}\n1\n{postgres.port}\n\n127.0.0.1\n")
    assert postgres.start()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has somebody else to run PostgreSQL as")
def test_postgresql_does_not_run_as_root(postgres: LocalPostgres) -> None:
    postgres.start()
    assert psutil.Process(pid(postgres)).username() in accounts.CANDIDATES
    owner = pwd.getpwuid(postgres.data.stat().st_uid).pw_name
    assert owner in accounts.CANDIDATES


def test_root_passwords_are_private_and_on_no_command_line(postgres: LocalPostgres, valkey: LocalValkey) -> None:
    for server in (postgres, valkey):
        server.start()
        for path in (server.directory / "password", server.directory / "server.json", server.log):
            assert path.stat().st_mode & 0o777 == 0o600, f"others could read {path.name}"
        assert server.directory.stat().st_mode & 0o777 == 0o700
        lines = [" ".join(process.info["cmdline"] or []) for process in psutil.process_iter(["cmdline"])]
        assert not [line for line in lines if server.password in line], "`ps` shows the password to everyone"
        assert server.password not in server.log.read_text()


def test_a_process_is_known_by_its_start_and_not_by_its_pid_alone() -> None:
    own = processes.created(os.getpid())
    assert own is not None and processes.is_running(os.getpid(), own)
    assert not processes.is_running(1, own)
    assert not processes.stop(os.getpid(), own - 60, ()), "we would have stopped ourselves"


def test_servers_of_a_deleted_state_directory_are_stopped_and_new_ones_start_at_the_same_path(
    postgres: LocalPostgres, valkey: LocalValkey
) -> None:
    for server in (postgres, valkey):
        server.start()
        former = pid(server)
        home = server.home if isinstance(server, LocalPostgres) else server.directory
        shutil.rmtree(server.directory)
        said: list[str] = []
        for orphan in homes.orphans():
            if orphan.directory == server.directory:
                assert orphan.home == home
                fleet.remove_home(orphan.home)
        again = type(server)(server.directory)
        assert again.start(said.append), "the user's new stack would fail on the former one's password"
        assert again.status == "running" and pid(again) != former
        assert not processes.created(former), "a server would run on that nothing refers to"
        if isinstance(again, LocalPostgres) and home != again.directory:
            assert again.home != home and not home.exists(), "data of deleted clones would pile up"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root keeps PostgreSQL's data outside of the state directory")
def test_a_home_that_is_in_use_or_on_a_file_system_that_is_not_mounted_is_no_orphan(tmp_path: Path) -> None:
    directory = tmp_path / "postgres"
    home = homes.home_of(directory)
    homes.create(home, directory)

    def is_orphan() -> bool:
        return home in [orphan.home for orphan in homes.orphans()]

    try:
        assert not is_orphan(), "another clone's make up would delete a stack's data"
        shutil.rmtree(directory)
        assert is_orphan()
        owner = json.loads((home / homes.OWNER_FILE).read_text())
        (home / homes.OWNER_FILE).write_text(json.dumps({**owner, "mount": str(tmp_path / "not-mounted")}))
        assert not is_orphan(), "unplugging a disk would delete the data of the stack on it"
    finally:
        shutil.rmtree(home)
