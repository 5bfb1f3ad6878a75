"""What the pods run, run here: the deployment's configuration and scripts on real servers and Sentinels."""

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from valkey.exceptions import NoPermissionError

from components.mapping import load
from components.valkey.deployment.users import NODE_USER, exporter_rules
from tests.kubernetes.nodes import PASSWORD, Nodes, has_tls, nodes, until

ROOT = Path(__file__).parents[2]
MAPPING = load(ROOT / "schema-mapping.yaml")
SCANNER = {"scanner": "scanner-word"}
NEEDS_TLS = pytest.mark.skipif(
    not has_tls(), reason="needs a valkey-server and valkey-cli with TLS on the PATH; the wheel's has none"
)
TRANSPORTS = [pytest.param(False, id="plain"), pytest.param(True, id="tls", marks=NEEDS_TLS)]


def linked(made: Nodes) -> bool:
    """One primary, every other server follows it, and all Sentinels know all servers and each other."""
    primaries = made.primaries()
    if len(primaries) != 1:
        return False
    following = int(made.client(primaries[0]).info("replication")["connected_slaves"])
    for address in made.addresses:
        made.hurry(address)
        state = made.sentinel_client(address).sentinel_master("stellaops")
        if (state["num-other-sentinels"], state["num-slaves"], state["ip"]) != (2, 2, primaries[0]):
            return False
    return following == len(made.addresses) - 1


@pytest.fixture(scope="module", params=TRANSPORTS)
def replicated(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    with nodes(tmp_path_factory.mktemp("nodes"), MAPPING, 3, SCANNER, tls=request.param) as made:
        until("all servers and Sentinels know each other", lambda: linked(made))
        yield made


def test_a_new_deployment_begins_with_its_first_node_as_primary(replicated: Nodes) -> None:
    until("everything is linked", lambda: linked(replicated))
    assert replicated.primaries() == replicated.addresses[:1]


def test_before_it_stops_a_primary_hands_over_and_a_replica_does_not(replicated: Nodes) -> None:
    until("everything is linked", lambda: linked(replicated))
    (primary,) = replicated.primaries()
    replica = next(address for address in replicated.addresses if address != primary)
    done = replicated.pre_stop(replica)
    assert done.returncode == 0, done.stdout + done.stderr
    assert replicated.primaries() == [primary]
    done = replicated.pre_stop(primary)
    assert done.returncode == 0, done.stdout + done.stderr
    assert replicated.role(primary) == "slave", "its clients would fail until Sentinel noticed that it is gone"
    until("the others follow", lambda: linked(replicated))


def test_a_module_writes_through_sentinel_again_after_its_primary_was_killed(replicated: Nodes) -> None:
    until("everything is linked", lambda: linked(replicated))
    client = replicated.through_sentinel("scanner", "scanner-word")
    until("the module writes", lambda: bool(client.set("scan:before", "1")))
    (primary,) = replicated.primaries()
    until(
        "replicas have it",
        lambda: all(replicated.client(address).get("scan:before") for address in replicated.addresses),
    )
    for what in ("server", "sentinel"):
        replicated.kill(primary, what)
    until("the module writes again", lambda: bool(client.set("scan:after", "2")))
    assert client.get("scan:before") == "1", "what replicas had would be lost with the primary"
    for what in ("server", "sentinel"):
        replicated.start(primary, what)
    until("the old primary follows the new one", lambda: linked(replicated))
    assert replicated.role(primary) == "slave", "two primaries would take writes"
    until("it has what was written meanwhile", lambda: replicated.client(primary).get("scan:after") == "2")


def test_after_all_nodes_were_down_the_last_primary_is_primary_again(replicated: Nodes) -> None:
    until("everything is linked", lambda: linked(replicated))
    first, *others = replicated.addresses
    if replicated.primaries() == [first]:
        replicated.pre_stop(first)
        until("the others follow", lambda: linked(replicated))
    (primary,) = replicated.primaries()
    until("it takes writes", lambda: replicated.client(primary).set("scan:last", "3"))
    until("its AOF has it", lambda: int(replicated.client(primary).info("persistence")["aof_pending_bio_fsync"]) == 0)
    time.sleep(1.1)  # appendfsync everysec
    for address, what in list(replicated.running):
        replicated.kill(address, what)
    # Here all of them start at once, on few processors: no Sentinel may take the last one to start for gone.
    replicated.settings["DOWN_AFTER_MS"] = "60000"
    for address in replicated.addresses:
        for what in ("server", "sentinel"):
            replicated.start(address, what)
    until("everything is linked again", lambda: linked(replicated))
    assert replicated.primaries() == [primary], "an old primary would overwrite what was written after it"
    assert primary in others and replicated.client(primary).get("scan:last") == "3"


def test_whoever_reaches_sentinel_may_ask_for_the_primary_and_nothing_else(replicated: Nodes) -> None:
    sentinel = replicated.sentinel_client(replicated.addresses[0])
    assert sentinel.sentinel_get_master_addr_by_name("stellaops")[0] in replicated.addresses
    for command in ("SENTINEL FAILOVER stellaops", "SENTINEL REMOVE stellaops", "SENTINEL CONFIG GET *", "ACL LIST"):
        with pytest.raises(NoPermissionError):
            sentinel.execute_command(*command.split())


def test_the_nodes_password_stands_in_private_files_only(replicated: Nodes) -> None:
    for file in replicated.directory.rglob("*"):
        if file.is_file() and not file.is_symlink() and PASSWORD.encode() in file.read_bytes():
            assert file.stat().st_mode & 0o077 == 0 or file == replicated.directory / "password", file


@pytest.fixture(scope="module", params=TRANSPORTS)
def single(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    with nodes(tmp_path_factory.mktemp("single"), MAPPING, 1, SCANNER, tls=request.param) as made:
        yield made


def test_before_it_stops_a_single_server_has_a_snapshot(single: Nodes) -> None:
    (address,) = single.addresses
    before = single.data(address) / "dump.rdb"
    before.unlink(missing_ok=True)
    single.client(address).set("scan:x", "1")
    done = single.pre_stop(address)
    assert done.returncode == 0, done.stdout + done.stderr
    assert before.exists()


def test_the_nodes_own_user_and_the_exporters_reach_no_key(single: Nodes) -> None:
    (address,) = single.addresses
    admin = single.client(address)
    admin.execute_command("ACL", "SETUSER", "exporter", "reset", "on", ">word", *exporter_rules())
    for user, word in ((NODE_USER, PASSWORD), ("exporter", "word")):
        client = single.client(address, user, word)
        assert client.ping()
        for command in ("GET scan:x", "SET scan:x 1", "CONFIG GET *", "ACL LIST", "KEYS *", "FLUSHALL", "SHUTDOWN"):
            with pytest.raises(NoPermissionError):
                client.execute_command(*command.split())
    assert single.client(address, "exporter", "word").info("memory")


def test_the_rendered_directives_are_in_force(single: Nodes) -> None:
    (address,) = single.addresses
    found: dict[str, Any] = single.client(address).config_get("max*", "stream-node-*", "port", "tls-port")
    assert found["maxmemory"] == str(2 << 30) and found["maxmemory-policy"] == "volatile-lru"
    assert found["maxmemory-clients"] == "10%"
    assert "0" in (found["port"], found["tls-port"]), "with TLS, nothing may listen without it"


@NEEDS_TLS
def test_renewed_certificates_are_served_without_a_restart(tmp_path: Path) -> None:
    with nodes(tmp_path, MAPPING, 1, SCANNER, tls=True) as made:
        (address,) = made.addresses
        started = made.client(address).info("server")["run_id"]
        made.start(address, "tls-reload")
        time.sleep(1.5)
        renewed = made.issue()
        until("the server has the new certificate", lambda: made.served(address, made.port) == renewed)
        assert made.client(address).info("server")["run_id"] == started


@NEEDS_TLS
def test_sentinel_ends_for_renewed_certificates_and_comes_back_with_them(tmp_path: Path) -> None:
    with nodes(tmp_path, MAPPING, 3, SCANNER, tls=True) as made:
        until("all servers and Sentinels know each other", lambda: linked(made))
        made.issue()
        process = made.running[made.addresses[2], "sentinel"]
        until("the Sentinel ended", lambda: process.poll() is not None)
        made.start(made.addresses[2], "sentinel")
        until("it knows the others", lambda: linked(made))


def test_scripts_are_plain_sh() -> None:
    for script in sorted((ROOT / "pods" / "scripts" / "valkey").glob("*.sh")):
        done = subprocess.run(["sh", "-n", script], capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{script.name}: {done.stderr}"
