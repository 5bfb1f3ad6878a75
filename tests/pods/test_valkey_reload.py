"""Changed users without a restart: applied one by one (local), and by ``ACL LOAD`` of the mounted file (Kubernetes)."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import valkey

from components.mapping import Mapping, load
from components.mapping.model import ValkeyAccess
from components.valkey.acl import set_user
from components.valkey.render import MAINTENANCE_USER, acl_mark, acl_rules, maintenance_rules, render_acl
from pods.valkey_upkeep import acl
from pods.valkey_upkeep.resp import Endpoint, MaintenanceError, ServerError
from tests.provider.base.harness import PluginClient, Resource, stellaops
from tests.support.own_valkey import ADMIN, OwnValkey, own_valkey, password, sha256
from tests.support.provider import settings

ROOT = Path(__file__).parents[2]
MAPPING = load(ROOT / "schema-mapping.yaml")
USERS = ["scanner", "policy", "concelier"]


def without_locator(mapping: Mapping) -> Mapping:
    """Scanner no longer owns ``locator:*``."""
    scanner = mapping.modules["scanner"]
    owns = tuple(pattern for pattern in scanner.valkey.owns if not pattern.startswith("locator:"))
    narrower = scanner.model_copy(update={"valkey": ValkeyAccess(owns=owns)})
    return mapping.model_copy(update={"modules": {**mapping.modules, "scanner": narrower}})


def users_file(mapping: Mapping, users: list[str]) -> str:
    """As the Secret holds it, with the maintenance user in it."""
    text = render_acl(mapping, {user: sha256(user) for user in users}, admin=(ADMIN, sha256(ADMIN)))
    rules = " ".join(set_user(sha256(MAINTENANCE_USER), maintenance_rules(mapping)))
    lines = [line for line in text.splitlines() if line.split()[1] != acl_mark(text)]
    lines.append(f"user {MAINTENANCE_USER} {rules}")
    body = "".join(f"{line}\n" for line in lines)
    return f"{body}user {acl_mark(body)} reset off\n"


def write(own: OwnValkey, text: str) -> str:
    """Put the file in place in one step, as the kubelet does; the mark that it is known by."""
    new = own.home / "users.acl.new"
    new.write_text(text)
    new.replace(own.home / "users.acl")
    return acl_mark(text)


@pytest.fixture
def own() -> Iterator[OwnValkey]:
    with own_valkey(MAPPING, USERS) as own:
        write(own, users_file(MAPPING, USERS))
        with own.client() as admin:
            admin.execute_command("ACL LOAD")
        yield own


@pytest.fixture
def user(own: OwnValkey) -> Endpoint:
    return Endpoint("127.0.0.1", own.port, MAINTENANCE_USER, password(MAINTENANCE_USER))


def one_connection(own: OwnValkey, user: str) -> Any:
    """A client that says when its connection is lost rather than making another."""
    client = own.client(user)
    connection = client.connection_pool.get_connection("PING")

    def run(*words: str) -> Any:
        connection.send_command(*words)
        return connection.read_response()

    return run


def test_loading_the_file_leaves_connections_of_unchanged_users_alone(own: OwnValkey, user: Endpoint) -> None:
    policy = one_connection(own, "policy")
    policy("SET", "policy:active", "1")
    acl.reload([user], write(own, users_file(without_locator(MAPPING), USERS)), wait=0)
    assert policy("GET", "policy:active") == "1", "a service that nothing changed for would be thrown out"


def test_a_right_that_was_taken_away_is_gone_after_the_load(own: OwnValkey, user: Endpoint) -> None:
    with own.client("scanner") as scanner:
        assert scanner.set("locator:x", "1", ex=60)
        acl.reload([user], write(own, users_file(without_locator(MAPPING), USERS)), wait=0)
        with pytest.raises((valkey.exceptions.NoPermissionError, valkey.ConnectionError)):
            scanner.set("locator:x", "2", ex=60)
        assert scanner.set("scan:x", "1"), "the rest of its rights stay, on this connection or the next"


def test_a_user_that_left_the_file_is_gone_with_its_connections(own: OwnValkey, user: Endpoint) -> None:
    scanner = one_connection(own, "scanner")
    assert scanner("SET", "scan:x", "1") == "OK"
    acl.reload([user], write(own, users_file(MAPPING, ["policy", "concelier"])), wait=0)
    with pytest.raises((valkey.ConnectionError, valkey.exceptions.NoPermissionError)):
        scanner("SET", "scan:x", "2")
    with pytest.raises(valkey.AuthenticationError):
        own.client("scanner").ping()


def test_a_new_user_comes_in_after_the_load_and_no_server_restarted(own: OwnValkey, user: Endpoint) -> None:
    with own.client() as admin:
        before = admin.info("server")["run_id"]
        acl.reload([user], write(own, users_file(MAPPING, [*USERS, "scheduler"])), wait=0)
        assert admin.info("server")["run_id"] == before
    assert own.client("scheduler").ping()


def test_the_reload_waits_for_a_file_that_comes_late(own: OwnValkey, user: Endpoint) -> None:
    text = users_file(MAPPING, [*USERS, "scheduler"])

    def later() -> None:
        time.sleep(1)
        write(own, text)

    thread = threading.Thread(target=later)
    thread.start()
    acl.reload([user], acl_mark(text), wait=30)
    thread.join()
    assert own.client("scheduler").ping()


def test_a_file_that_does_not_come_is_an_error_and_users_stay(own: OwnValkey, user: Endpoint) -> None:
    with pytest.raises(MaintenanceError, match="ACL file is still the old one; waited 0 s"):
        acl.reload([user], "acl-mark-0000000000000000", wait=0)
    assert own.client("scanner").ping()


def test_a_broken_file_is_refused_as_a_whole_and_users_stay(own: OwnValkey, user: Endpoint) -> None:
    mark = write(own, users_file(MAPPING, USERS) + "user evil +nosuchcommand\n")
    with pytest.raises(ServerError, match="ACL"):
        acl.reload([user], mark, wait=0)
    assert own.client("scanner").ping()


def test_a_second_reload_does_nothing(own: OwnValkey, user: Endpoint) -> None:
    mark = write(own, users_file(MAPPING, USERS))
    acl.reload([user], mark, wait=0)
    with own.client() as admin:
        admin.config_resetstat()
        acl.reload([user], mark, wait=0)
        assert "cmdstat_acl|load" not in admin.info("commandstats")


def test_the_mark_is_a_user_that_nobody_can_be(own: OwnValkey) -> None:
    mark = acl_mark((own.home / "users.acl").read_text())
    with own.client() as admin:
        found = admin.acl_getuser(mark)
    assert "off" in found["flags"] and not found["keys"] and not found["passwords"]
    with pytest.raises(valkey.AuthenticationError):
        own.client(mark, given="any").ping()


@pytest.fixture
def provider(own: OwnValkey) -> Iterator[PluginClient]:
    with stellaops(**settings(own.server)) as client:
        yield client


def applied(provider: PluginClient, mapping: Mapping, users: list[str], before: Resource | None = None) -> Resource:
    """The local way: one user after the other by the resource of ``valkeyApply: direct``."""
    wanted = {
        "users": {name: list(acl_rules(mapping, name)) for name in users},
        "passwordHashes": {name: sha256(name) for name in users},
    }
    return provider.create("stellaops:valkey:Users", wanted) if before is None else provider.update(before, wanted)


def test_applied_one_by_one_a_right_goes_at_once_and_the_connection_stays(
    own: OwnValkey, provider: PluginClient
) -> None:
    created = applied(provider, MAPPING, USERS)
    scanner = one_connection(own, "scanner")
    assert scanner("SET", "locator:x", "1", "EX", "60") == "OK"
    applied(provider, without_locator(MAPPING), USERS, created)
    with pytest.raises(valkey.exceptions.NoPermissionError):
        scanner("SET", "locator:x", "2", "EX", "60")
    assert scanner("SET", "scan:x", "1") == "OK", "the very connection goes on"


def test_applied_one_by_one_a_removed_user_is_gone_with_its_connections(own: OwnValkey, provider: PluginClient) -> None:
    created = applied(provider, MAPPING, USERS)
    scanner = one_connection(own, "scanner")
    assert scanner("PING") == "PONG"
    applied(provider, MAPPING, ["policy", "concelier"], created)
    with pytest.raises(valkey.ConnectionError):
        scanner("PING")
    with pytest.raises(valkey.AuthenticationError):
        own.client("scanner").ping()
