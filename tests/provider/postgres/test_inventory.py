"""Logins that leave: disabled, and their sessions ended, by an admin with and without SUPERUSER."""

import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from components.config.model import Settings
from components.mapping.roles import ConnectRole
from components.postgres.fates import DROPPED, KEPT
from provider.errors import ProviderError
from provider.postgres import inventory
from tests.components.config.test_config_values import REQUIRED
from tests.provider.base.harness import PluginClient, Props, Resource, failure, stellaops
from tests.provider.postgres.test_migrations_resource import settings
from tools.local.servers.postgres import LocalPostgres

TOKEN = "stellaops:postgres:Inventory"


@contextmanager
def provider(server: LocalPostgres, **changes: str) -> Iterator[PluginClient]:
    with stellaops(**settings(server, **{"postgresDatabase": "postgres", **changes})) as client:
        yield client


@pytest.fixture(scope="module")
def offline() -> Iterator[PluginClient]:
    """Without configuration: whatever contacts a server fails."""
    with stellaops() as client:
        yield client


def inputs(*logins: str, drop: tuple[str, ...] = (), **schemas: str) -> Props:
    return {"logins": {name: name.title() for name in logins}, "schemas": schemas, "dropSchemas": list(drop)}


def kept(props: Props) -> Resource:
    """The resource after an ``up`` with these inputs."""
    return Resource(TOKEN, "id", props, props)


@pytest.fixture
def admin(postgres_server: LocalPostgres) -> dict[str, str]:
    """An admin as a cloud gives it: CREATEROLE, no SUPERUSER."""
    name = f"admin_{uuid.uuid4().hex[:8]}"
    with postgres_server.connect() as connection:
        connection.execute(f"CREATE ROLE {name} LOGIN CREATEROLE PASSWORD 'secret'".encode())
    return {"user": name, "password": "secret"}


def login(server: LocalPostgres, **admin: str) -> str:
    name = f"module_{uuid.uuid4().hex[:8]}"
    with server.connect(**admin) as connection:
        statement = sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'secret'").format(sql.Identifier(name))
        connection.execute(statement)
    return name


def opened(server: LocalPostgres, name: str) -> "psycopg.Connection[Any]":
    return server.connect(user=name, password="secret")


def is_alive(connection: "psycopg.Connection[Any]") -> bool:
    try:
        connection.execute("SELECT 1")
    except psycopg.OperationalError:
        return False
    return True


@pytest.mark.parametrize("superuser", [True, False], ids=["superuser", "no superuser"])
def test_a_login_that_leaves_is_put_out_and_stays_out(
    postgres_server: LocalPostgres, admin: dict[str, str], superuser: bool
) -> None:
    maker = {} if superuser else admin
    account = {} if superuser else {"postgresAdminUser": admin["user"], "postgresAdminPassword": "secret"}
    goes, stays = login(postgres_server, **maker), login(postgres_server, **maker)
    with (
        opened(postgres_server, goes) as first,
        opened(postgres_server, goes) as second,
        opened(postgres_server, stays) as other,
    ):
        with provider(postgres_server, **account) as client:
            client.update(kept(inputs(goes, stays)), inputs(stays))
        assert (is_alive(first), is_alive(second)) == (False, False), "it would go on as a role that is being dropped"
        assert is_alive(other), "a module that stays was put out"
    with pytest.raises(psycopg.OperationalError, match="not permitted to log in"):
        opened(postgres_server, goes)
    opened(postgres_server, stays).close()


def test_a_destroy_puts_everybody_out_and_tolerates_who_is_gone(postgres_server: LocalPostgres) -> None:
    one, two = login(postgres_server), login(postgres_server)
    with opened(postgres_server, one) as first, opened(postgres_server, two) as second:
        with provider(postgres_server) as client:
            client.delete(kept(inputs(one, two, "nobody_there")))
        assert not is_alive(first) and not is_alive(second)


def test_a_database_that_is_gone_is_no_reason_to_stop(postgres_server: LocalPostgres) -> None:
    with provider(postgres_server, postgresDatabase="gone") as client:
        client.delete(kept(inputs("nobody_there")))


def test_creating_it_and_adding_a_login_keep_what_was_asked_for(postgres_server: LocalPostgres) -> None:
    with provider(postgres_server) as client:
        created = client.create(TOKEN, inputs("a"))
        assert created.id == "postgres.inventory" and created.outputs == {"id": created.id, **inputs("a")}
        assert client.update(created, inputs("a", "b")).outputs["logins"] == inputs("a", "b")["logins"]
    with provider(postgres_server, postgresPort="1") as away:
        assert away.refresh(created) == created, "a refresh asks no server"


@pytest.mark.parametrize("again", ["create", "update"])
def test_a_login_that_a_failed_run_disabled_can_log_in_again(
    postgres_server: LocalPostgres, admin: dict[str, str], again: str
) -> None:
    name = login(postgres_server, **admin)
    with provider(postgres_server, postgresAdminUser=admin["user"], postgresAdminPassword="secret") as client:
        client.update(kept(inputs(name)), inputs())
        with pytest.raises(psycopg.OperationalError, match="not permitted to log in"):
            opened(postgres_server, name)
        if again == "create":
            client.create(TOKEN, inputs(name))
        else:
            client.update(kept(inputs()), inputs(name))
    opened(postgres_server, name).close()


def test_a_login_whose_sessions_do_not_end_is_not_left_disabled(
    postgres_server: LocalPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    goes, stuck = login(postgres_server), login(postgres_server)
    monkeypatch.setattr(inventory, "SESSIONS_END_SECONDS", 0)
    monkeypatch.setattr(inventory, "_sessions", lambda _, name: [1] if name == stuck else [])
    with (
        postgres_server.connect() as connection,
        pytest.raises(ProviderError, match="did not end"),
        inventory.retired(connection, [goes, stuck]),
    ):
        raise AssertionError("a role with a session would be dropped")
    for name in (goes, stuck):
        opened(postgres_server, name).close()


def test_only_a_change_is_a_change_and_it_names_who_leaves(offline: PluginClient) -> None:
    old = kept(inputs("a", vex=KEPT))
    assert offline.diff(old, inputs("a", vex=KEPT)).detailed == {}
    expected = {
        "logins.a": (inputs(vex=KEPT), "DELETE"),
        "schemas.vex": (inputs("a"), "DELETE"),
        "dropSchemas": (inputs("a", drop=("vex",), vex=KEPT), "ADD"),
    }
    for path, (news, kind) in expected.items():
        assert offline.diff(old, news).detailed == {path: kind}
    difference = offline.diff(old, inputs("a", vex=DROPPED))
    assert difference.detailed == {"schemas.vex": "UPDATE"} and difference.replaces == []


@pytest.mark.parametrize(
    ("olds", "news", "refused"),
    [
        (inputs(vex=KEPT), inputs(drop=("vex",)), True),
        (inputs(vex=KEPT), inputs(drop=("*",)), True),
        (inputs(vex=KEPT), inputs(), False),
        (inputs(vex=DROPPED), inputs(drop=("vex",)), False),
        (inputs(vex=KEPT), inputs(drop=("vex",), vex=DROPPED), False),
        ({}, inputs(drop=("vex",)), False),
    ],
    ids=["named too late", "all named too late", "kept", "named before", "named and still there", "new stack"],
)
def test_a_schema_is_not_dropped_by_naming_it_when_it_has_left(
    offline: PluginClient, olds: dict[str, Any], news: dict[str, Any], refused: bool
) -> None:
    failures = offline.check(TOKEN, news, olds)[1]
    assert [
        text.startswith("schema vex leaves the mapping") and "put it back into the mapping" in text for text in failures
    ] == [True] * refused


REMEDY = re.compile(r"run: pulumi config set postgres:rolePrefix (\w+)$")


@pytest.fixture
def other_environment(postgres_server: LocalPostgres) -> Iterator[tuple[str, str]]:
    """A database with a schema that a login of another environment owns: the database and the login."""
    database, name = f"first_{uuid.uuid4().hex[:8]}", login(postgres_server)
    with postgres_server.connect() as connection:
        connection.execute(f"CREATE DATABASE {database}".encode())
    with postgres_server.connect(database) as connection:
        connection.execute(f"CREATE SCHEMA things AUTHORIZATION {name}".encode())
    yield database, name
    with postgres_server.connect() as connection:
        connection.execute(f"DROP DATABASE {database} WITH (FORCE)".encode())


def prefixed(prefix: str, *logins: str) -> Props:
    return {**inputs(*(prefix + name for name in logins)), "rolePrefix": prefix}


@pytest.mark.parametrize("database", ["second", "p", "pg", "d" * 45, "d" * 55], ids=["short", "p", "pg", "45", "55"])
def test_the_prefix_in_the_remedy_is_one_with_which_the_preview_passes(
    postgres_server: LocalPostgres, other_environment: tuple[str, str], database: str
) -> None:
    first, name = other_environment
    with provider(postgres_server, postgresDatabase=database) as client:
        (refused,) = client.check(TOKEN, inputs(name))[1]
        assert f"database {first} on this server uses the roles {name} already" in refused and "DROP" not in refused
        remedy = REMEDY.search(refused)
        if len(database) == 55:
            assert remedy is None and f"the role {database}_connect of 63 characters" in refused, "no prefix fits"
            return
        assert remedy, refused
        prefix = Settings.of({**REQUIRED, "postgres:rolePrefix": remedy[1]}).postgres.role_prefix
        assert len(f"{prefix}{database}_connect") <= 63
        assert client.check(TOKEN, prefixed(prefix, name))[1] == []


def test_a_third_environment_gets_a_prefix_that_the_second_has_not(
    postgres_server: LocalPostgres, other_environment: tuple[str, str]
) -> None:
    first, name = other_environment
    with postgres_server.connect() as connection:
        connection.execute(f"CREATE ROLE third_{name}".encode())
    with postgres_server.connect(first) as connection:
        connection.execute(f"CREATE SCHEMA more AUTHORIZATION third_{name}".encode())
    with provider(postgres_server, postgresDatabase="third") as client:
        for refused in (client.check(TOKEN, inputs(name))[1], client.check(TOKEN, prefixed("third_", name))[1]):
            remedy = REMEDY.search(refused[0])
            assert remedy and remedy[1] == "third2_", refused
        assert client.check(TOKEN, prefixed("third2_", name))[1] == []


def test_a_module_that_is_added_later_may_not_be_that_of_another_environment(
    postgres_server: LocalPostgres, other_environment: tuple[str, str]
) -> None:
    first, name = other_environment
    with provider(postgres_server, postgresDatabase="second") as client:
        (refused,) = client.check(TOKEN, inputs("mine", name), inputs("mine"))[1]
        assert f"database {first} on this server uses the roles {name} already" in refused
        assert refused.endswith("give the module or schema another name in the mapping"), "its roles have their names"
        assert client.check(TOKEN, inputs("mine", name), inputs("mine", name))[1] == []


def test_an_extension_that_the_server_does_not_have_is_refused_with_its_place(
    postgres_server: LocalPostgres, offline: PluginClient, tmp_path: Path
) -> None:
    mapping = tmp_path / "schema-mapping.yaml"
    mapping.write_text("postgres:\n  extensions: [citext, citxt, no_such_thing]\n")
    given = {**inputs("a"), "extensions": ["citext", "citxt", "no_such_thing"], "mappingFile": str(mapping)}
    before = {**inputs("a"), "extensions": ["citext"]}
    with provider(postgres_server, postgresDatabase="not_created_yet") as client:
        near, unknown = client.check(TOKEN, given, before)[1]
        told = "the PostgreSQL server has no extension"
        assert near == f'{mapping}:2:24 postgres.extensions[1]: {told} "citxt"; did you mean "citext"?'
        assert unknown.startswith(f'{mapping}:2:31 postgres.extensions[2]: {told} "no_such_thing"; install its')
        assert client.check(TOKEN, before, inputs("a"))[1] == []
    assert offline.check(TOKEN, before, before)[1] == [], "a preview without a new extension contacts no server"


def test_an_import_finds_the_logins_and_schemas_of_the_database(postgres_server: LocalPostgres) -> None:
    name, database = login(postgres_server), f"db_{uuid.uuid4().hex[:8]}"
    connect = ConnectRole(database).name
    with postgres_server.connect() as connection:
        for statement in (f"CREATE DATABASE {database}", f"CREATE ROLE {connect}", f"GRANT {connect} TO {name}",
                          f"CREATE ROLE {database}_owner"):  # fmt: skip
            connection.execute(statement.encode())
    with postgres_server.connect(database) as connection:
        connection.execute(f"CREATE SCHEMA {database} AUTHORIZATION {database}_owner".encode())
    with provider(postgres_server, postgresDatabase=database) as client:
        found = client.imported(TOKEN, f"{database}.inventory")
        assert found is not None
        assert found.inputs == {"logins": {name: name}, "schemas": {database: KEPT}}
        assert client.diff(found, {**inputs(name), "schemas": {database: KEPT}}).detailed == {
            f"logins.{name}": "UPDATE"
        }
        assert f"it is {database}.inventory" in failure(lambda: client.imported(TOKEN, "other.inventory"))
    with provider(postgres_server, postgresDatabase="gone") as client:
        assert client.imported(TOKEN, "gone.inventory") is None
