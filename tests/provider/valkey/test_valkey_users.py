"""``ValkeyUsers`` against a running server: what it applies is what the ACL file would say, and drift is found."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import valkey

from components.mapping import load
from components.valkey.render import MARK_PREFIX, acl_rules
from provider.errors import ProviderError
from provider.valkey.users_resource import ValkeyUsersProvider
from tests.support.own_valkey import ADMIN, OwnValkey, own_valkey, sha256

ROOT = Path(__file__).parents[3]
MAPPING = load(ROOT / "schema-mapping.yaml")


def provider_of(own: OwnValkey, **changes: Any) -> Any:
    provider = ValkeyUsersProvider()
    provider._server = replace(own.server, **changes)
    return provider


def props(*users: str) -> dict[str, Any]:
    return {
        "users": {user: list(acl_rules(MAPPING, user)) for user in users},
        "hashes": {user: sha256(user) for user in users},
        "canonical": None,
    }


def lines(own: OwnValkey) -> dict[str, str]:
    """Name -> what the server says of the user; the mark of a file is none."""
    with own.client() as admin:
        users = {line.split()[1]: line for line in admin.execute_command("ACL LIST")}
    return {name: line for name, line in users.items() if not name.startswith(MARK_PREFIX)}


@pytest.fixture
def own() -> Iterator[OwnValkey]:
    with own_valkey(MAPPING, []) as own:
        yield own


def test_applied_users_are_those_of_the_acl_file(own: OwnValkey) -> None:
    provider_of(own).create(props(*MAPPING.users))
    applied = lines(own)
    with own_valkey(MAPPING, list(MAPPING.users)) as deployed:
        assert applied == lines(deployed), "what is tested locally would not be what Kubernetes runs"


def test_a_second_run_changes_nothing_and_keeps_connections(own: OwnValkey) -> None:
    created = provider_of(own).create(props("scanner"))
    before = lines(own)
    with own.client("scanner") as service:
        service.set("scan:1", "x")
        provider_of(own).update(created.id, created.outs, props("scanner"))
        assert service.get("scan:1") == "x", "a service would be thrown out by every pulumi up"
    assert lines(own) == before


def test_users_outlive_a_restart(own: OwnValkey) -> None:
    provider_of(own).create(props("scanner", "policy"))
    before = lines(own)
    own.stop()
    own.start()
    assert lines(own) == before, "services could not log in after a restart"


def test_a_refresh_finds_no_change_where_there_is_none(own: OwnValkey) -> None:
    provider = provider_of(own)
    created = provider.create(props("scanner", "gateway"))
    found = provider.read(created.id, created.outs)
    assert found.outs == created.outs
    assert not provider.diff(created.id, found.outs, props("scanner", "gateway")).changes


@pytest.mark.parametrize(
    "tampering",
    [
        ("SETUSER", "scanner", "+flushall"),
        ("SETUSER", "scanner", "allkeys"),
        ("SETUSER", "scanner", "allchannels"),
        ("SETUSER", "scanner", "(+get ~policy:*)"),
        ("SETUSER", "scanner", "clearselectors"),
        ("SETUSER", "scanner", "off"),
        ("SETUSER", "scanner", "nopass"),
        ("SETUSER", "scanner", ">another"),
        ("SETUSER", "scanner", "resetpass"),
        ("DELUSER", "scanner"),
    ],
)  # fmt: skip
def test_a_refresh_finds_what_somebody_did_to_a_user_and_an_update_mends_it(
    own: OwnValkey, tampering: tuple[str, ...]
) -> None:
    provider, wanted = provider_of(own), props("scanner", "policy")
    created = provider.create(wanted)
    before = lines(own)
    with own.client() as admin:
        admin.execute_command("ACL", *tampering)
    found = provider.read(created.id, created.outs)
    assert provider.diff(created.id, found.outs, wanted).changes, f"ACL {' '.join(tampering)} would stay unseen"
    assert found.outs["users"]["policy"] == wanted["users"]["policy"], "the user that nobody touched must not show"
    provider.update(created.id, found.outs, wanted)
    assert lines(own) == before


def test_a_server_that_lost_all_users_gets_them_anew(own: OwnValkey) -> None:
    provider = provider_of(own)
    created = provider.create(props("scanner"))
    with own.client() as admin:
        admin.acl_deluser("scanner")
    assert provider.read(created.id, created.outs).id == ""


def test_a_module_that_left_the_mapping_loses_its_user(own: OwnValkey) -> None:
    provider = provider_of(own)
    created = provider.create(props("scanner", "policy"))
    provider.update(created.id, created.outs, props("policy"))
    assert "scanner" not in lines(own) and "policy" in lines(own)


def test_deleting_leaves_the_admin_default_and_users_of_others(own: OwnValkey) -> None:
    provider = provider_of(own)
    with own.client() as admin:
        admin.execute_command("ACL SETUSER", "operator", "on", ">secret", "+ping")
    before = lines(own)
    created = provider.create(props(*MAPPING.users))
    provider.delete(created.id, created.outs)
    assert lines(own) == before
    provider.delete(created.id, created.outs)  # what is gone already is no error


@pytest.mark.parametrize("name", [ADMIN, "default", "health-probe"])
def test_a_preview_refuses_to_take_over_the_admin(own: OwnValkey, name: str) -> None:
    wanted = {"users": {name: ["+ping"]}, "hashes": {name: "0" * 64}}
    failures = provider_of(own).check({}, wanted).failures
    assert failures and name in failures[0].reason


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"password": "wrong"}, "valkeyAdminPassword"),
        ({"user": "nobody"}, "valkeyAdminUser"),
        ({"port": 1}, "valkeyPort"),
        ({"host": "no-such-host.invalid"}, "valkeyHost"),
    ],
)
def test_a_server_that_cannot_be_used_is_told_in_one_line(own: OwnValkey, changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ProviderError) as caught:
        provider_of(own, **changes).create(props("scanner"))
    text = str(caught.value)
    assert says in text and "\n" not in text
    assert own.server.password not in text and "wrong" not in text, "the password must not be shown"


def test_an_admin_without_the_right_to_manage_users_is_told_so(own: OwnValkey) -> None:
    provider_of(own).create(props("scanner"))
    with pytest.raises(ProviderError, match="needs allkeys and allcommands"):
        provider_of(own, user="scanner", password="password-of-scanner").create(props("policy"))
    with pytest.raises(valkey.AuthenticationError):
        own.client("policy").ping()
