"""What every plugin does with properties, before and without any server; through the offline postgresql plugin."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from provider.base.schema import DEFAULTS
from provider.base.values import UNKNOWN, Secret, decode, encode
from tests.provider.base.harness import PluginClient, Resource, plugin, said
from tests.support.stack import PROJECT

ROLE = "postgresql:index/role:Role"
GRANT = "postgresql:index/grant:Grant"
DATABASE = "postgresql:index/database:Database"
VERSIONING = "aws:s3/bucketVersioning:BucketVersioning"


@pytest.fixture(scope="module")
def client() -> Iterator[PluginClient]:
    """Configured for a server that is not there: whoever asks it fails."""
    with plugin("postgresql") as client:
        client.configure(host="127.0.0.1", port="1", username="u", password=Secret("topsecret"), sslmode="disable")
        yield client


def test_values_survive_the_way_to_the_engine_and_back() -> None:
    properties = {
        "text": "x", "number": 5, "fraction": 0.5, "truth": False, "list": ["a", UNKNOWN, Secret("b")], "map": {"k": {"l": 1}},
        "secret": Secret({"a": [1]}), "unknown": UNKNOWN, "hidden": Secret(UNKNOWN), "empty": [], "nothing": None,
    }  # fmt: skip
    expected = {name: value for name, value in properties.items() if name != "nothing"}
    assert decode(encode(properties)) == expected


def test_an_unknown_property_is_refused_with_the_nearest_one(client: PluginClient) -> None:
    _, failures = client.check(ROLE, {"name": "x", "logn": True})
    assert failures == ["logn: unknown property 'logn'; did you mean 'login'?"]


def test_every_problem_is_reported_at_once(client: PluginClient) -> None:
    wrong = {
        "name": "x",
        "login": "yes",
        "roles": "y",
        "connectionLimit": True,
        "searchPaths": ["a", 1],
        "statementTimeout": -1,
    }
    _, failures = client.check(ROLE, wrong)
    assert sorted(failures) == [
        "connectionLimit: expected a whole number, got a boolean",
        "login: expected true or false, got a string",
        "roles: expected a list, got a string",
        "searchPaths[1]: expected a string, got a number",
        "statementTimeout: expected 0 or more, got -1",
    ]


def test_an_ill_typed_secret_is_not_shown(client: PluginClient) -> None:
    _, failures = client.check(ROLE, {"name": "x", "login": Secret("topsecret")})
    assert failures and "topsecret" not in failures[0], "a secret in the wrong place must not end up in a terminal"


def test_a_missing_required_property_is_named(client: PluginClient) -> None:
    _, failures = client.check(GRANT, {"role": "r", "privileges": []})
    assert sorted(failures) == [
        "database: missing required property 'database'",
        "objectType: missing required property 'objectType'",
    ]


def test_what_only_the_official_plugin_can_do_says_so(client: PluginClient) -> None:
    _, failures = client.check(ROLE, {"name": "x", "passwordWo": "y"})
    assert failures == ["passwordWo: write-only passwords need the official plugin; 'password' is kept encrypted"]
    with pytest.raises(grpc.RpcError) as caught:
        client.check("postgresql:index/publication:Publication", {})
    assert "does not support postgresql:index/publication:Publication" in said(caught.value)


def test_inputs_are_kept_with_defaults_as_the_official_plugin_keeps_them(client: PluginClient) -> None:
    inputs, _ = client.check(ROLE, {"name": "x", "login": True})
    assert inputs["connectionLimit"] == -1 and inputs["validUntil"] == "infinity" and inputs["inherit"] is True
    assert "connectionLimit" in inputs[DEFAULTS] and "login" not in inputs[DEFAULTS]


def test_a_name_is_made_once_and_kept(client: PluginClient) -> None:
    first, _ = client.check(ROLE, {}, name="orders")
    assert first["name"].startswith("orders-") and "name" in first[DEFAULTS]
    second, _ = client.check(ROLE, {}, old=first, name="orders")
    assert second["name"] == first["name"], "a new name at each preview would replace the role each time"


def test_secrets_stay_secret_through_check_and_preview(client: PluginClient) -> None:
    inputs, _ = client.check(ROLE, {"name": Secret("x"), "password": Secret("p"), "roles": [Secret("a"), "b"]})
    assert inputs["name"] == Secret("x") and inputs["password"] == Secret("p") and inputs["roles"] == [Secret("a"), "b"]
    previewed = client.create(ROLE, {"name": "x", "password": Secret("p"), "assumeRole": Secret("y")}, preview=True)
    assert previewed.secret == {"password", "assumeRole"}


def test_a_preview_asks_no_server(client: PluginClient) -> None:
    role = client.create(ROLE, {"name": "x", "roles": [UNKNOWN]}, preview=True)
    assert role.id == "" and role.outputs["name"] == "x" and role.outputs["roles"] == [UNKNOWN]
    database = client.create(DATABASE, {"name": "x"}, preview=True)
    assert database.outputs["owner"] is UNKNOWN, "the server decides the owner"
    made = Resource(DATABASE, "x", database.inputs, {**database.outputs, "owner": "postgres"})
    assert client.update(made, {"name": "x", "connectionLimit": 3}, preview=True).outputs["owner"] == "postgres"


def test_a_preview_with_an_unknown_password_works() -> None:
    with plugin("postgresql") as client:
        client.configure(host=UNKNOWN, password=Secret(UNKNOWN))
        assert client.create(ROLE, {"name": "x"}, preview=True).outputs["name"] == "x"


def test_sets_have_no_order_and_defaults_are_no_change(client: PluginClient) -> None:
    inputs = client.checked(ROLE, {"name": "x", "roles": ["a", "b"]})
    state = {**inputs, "roles": ["b", "a"], "searchPaths": [], "statementTimeout": 0, "assumeRole": ""}
    assert client.diff(Resource(ROLE, "x", inputs, state)).detailed == {}


def test_a_removed_property_is_a_change_unless_the_store_decides_it(client: PluginClient) -> None:
    inputs = client.checked(ROLE, {"name": "x"})
    role = Resource(ROLE, "x", inputs, {**inputs, "statementTimeout": 5000})
    assert client.diff(role).detailed == {"statementTimeout": "DELETE"}
    inputs = client.checked(DATABASE, {"name": "x"})
    database = Resource(DATABASE, "x", inputs, {**inputs, "owner": "o", "encoding": "UTF8"})
    assert client.diff(database).detailed == {}, "the owner and encoding that the server chose are no drift"


def test_only_what_needs_a_new_resource_replaces_it(client: PluginClient) -> None:
    inputs = client.checked(DATABASE, {"name": "x"})
    database = Resource(DATABASE, "x", inputs, {**inputs, "encoding": "UTF8", "owner": "o"})
    difference = client.diff(database, {"name": "x", "encoding": "LATIN1", "owner": "p"})
    assert difference.replaces == ["encoding"]
    assert difference.detailed == {"encoding": "UPDATE_REPLACE", "owner": "UPDATE"}
    assert difference.delete_before_replace, "two databases of one name cannot stand side by side"


def test_an_ignored_change_is_no_change(client: PluginClient) -> None:
    inputs = client.checked(ROLE, {"name": "x", "connectionLimit": 5})
    role = Resource(ROLE, "x", inputs, {**inputs, "connectionLimit": 9, "login": True})
    assert client.diff(role, ignore=("connectionLimit",)).detailed == {"login": "UPDATE"}


def test_an_unknown_value_is_a_change_that_may_replace(client: PluginClient) -> None:
    given = {"role": "r", "database": "d", "objectType": "database", "privileges": ["CONNECT"]}
    inputs = client.checked(GRANT, given)
    difference = client.diff(Resource(GRANT, "x", inputs, inputs), {**given, "role": UNKNOWN})
    assert difference.detailed == {"role": "UPDATE_REPLACE"} and difference.delete_before_replace


def test_provider_settings_arrive_as_json_text_and_are_checked(client: PluginClient) -> None:
    kept, failures = client.check_config(host="x", port="5432", superuser="true", password="p", version="3.18.2")
    assert not failures and kept["port"] == "5432", "the state must hold what the official plugin's would"
    assert kept["password"] == Secret("p"), "a password must be encrypted in the state even if the program forgot to"
    assert client.check_config(hots="x")[1] == ["hots: unknown property 'hots'; did you mean 'host'?"]
    assert client.check_config(port="many")[1] == ["port: expected a whole number, got a string"]
    assert client.check_config(awsRdsIamAuth="true")[1]


def test_an_unreachable_server_is_one_line_without_the_password(client: PluginClient) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        client.create(ROLE, {"name": "x"})
    text = said(caught.value)
    assert "PostgreSQL at 127.0.0.1:1" in text and "check that the server runs" in text and "topsecret" not in text


def test_an_update_that_fails_is_recorded_as_unfinished_with_what_is_known_and_secrets_stay_secret(
    client: PluginClient,
) -> None:
    inputs = client.checked(ROLE, {"name": "x", "password": Secret("topsecret"), "assumeRole": Secret("y")})
    role = Resource(ROLE, "x", inputs, inputs)
    recorded, message = client.try_update(role, {"name": "x", "password": Secret("other"), "login": True})
    assert "PostgreSQL at 127.0.0.1:1" in message
    assert recorded.outputs["name"] == "x" and recorded.secret == {"assumeRole"}
    assert "password" not in recorded.outputs, "the server may have either password, so the next update must set it"


def test_a_fault_of_the_plugin_is_one_line_and_its_traceback_is_in_a_private_log(tmp_path: object) -> None:
    with plugin("postgresql", **{**os.environ, "PULUMI_HOME": str(tmp_path)}) as client:
        with pytest.raises(grpc.RpcError) as caught:
            client.stub.Check(_broken_request())
        text = said(caught.value)
    log = Path(next(word for word in text.split() if word.endswith(".log")))
    assert "internal error in the offline postgresql plugin" in text
    assert "Traceback" in log.read_text(encoding="utf-8")
    assert log.stat().st_mode & 0o777 == 0o600


def _broken_request() -> object:
    from pulumi.runtime.proto import provider_pb2

    return provider_pb2.CheckRequest(urn="not a urn")


def test_a_plugin_listens_within_the_time_that_a_preview_can_spare() -> None:
    times = []
    for _ in range(3):
        start = time.monotonic()
        with plugin("postgresql"):
            times.append(time.monotonic() - start)
    assert min(times) < 1.0, f"four plugins start at each preview; this one took {min(times):.2f} s"


def test_a_plugin_ends_when_its_engine_was_killed() -> None:
    starter = (
        "import subprocess, sys, time; p = subprocess.Popen([sys.executable, '-m', 'tools.offline_plugins.postgresql', 'x'],"
        "stdout=subprocess.PIPE, text=True); p.stdout.readline(); print(p.pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", starter], cwd=PROJECT, stdout=subprocess.PIPE, text=True) as engine:
        assert engine.stdout is not None
        pid = int(engine.stdout.readline())
        engine.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 10
    while _runs(pid):
        assert time.monotonic() < deadline, "plugins of killed engines would pile up, with their connections"
        time.sleep(0.1)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").split()[2] != "Z"
    except FileNotFoundError:
        return False
