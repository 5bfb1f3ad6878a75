"""The offline postgresql plugin over its protocol, against a real server."""

import secrets
from collections.abc import Iterator
from typing import Any

import grpc
import psycopg
import pytest

from components.credentials import scram_verifier
from local.plugins.values import UNKNOWN, Props
from tests.plugins.harness import PluginClient, plugin, said

DATABASE = "postgresql:index/database:Database"
ROLE = "postgresql:index/role:Role"
SCHEMA = "postgresql:index/schema:Schema"
GRANT = "postgresql:index/grant:Grant"
DEFAULTS = "postgresql:index/defaultPrivileges:DefaultPrivileges"
TOKENS = (DATABASE, ROLE, SCHEMA, GRANT, DEFAULTS)


@pytest.fixture(scope="module")
def client(postgres_server: Any) -> Iterator[PluginClient]:
    server = postgres_server
    with plugin("postgresql") as client:
        client.configure(
            host=server.host, port=str(server.port), username=server.user, password=server.password, sslmode="disable",
            database="postgres", superuser="true", maxConnections="8",
        )  # fmt: skip
        yield client


@pytest.fixture
def name() -> str:
    return f"t_{secrets.token_hex(4)}"


@pytest.fixture
def sql(postgres_server: Any) -> Iterator["psycopg.Connection[Any]"]:
    server = postgres_server
    with psycopg.connect(
        host=server.host,
        port=server.port,
        user=server.user,
        password=server.password,
        dbname="postgres",
        autocommit=True,
    ) as connection:
        yield connection


def rows(sql: "psycopg.Connection[Any]", query: str, *values: Any) -> list[Any]:
    return sql.execute(query.encode(), values).fetchall()


def make_table(sql: "psycopg.Connection[Any]", name: str) -> None:
    for statement in (
        "CREATE ROLE {0}",
        "CREATE SCHEMA {0}",
        "CREATE TABLE {0}.a (x integer, y integer)",
        "CREATE TABLE {0}.b (x integer)",
    ):
        sql.execute(statement.format(name).encode())


def grant(name: str, **changes: Any) -> Props:
    return {
        "role": name, "database": "postgres", "schema": name, "objectType": "table", "objects": ["a"], "privileges": ["SELECT"],
        **changes,
    }  # fmt: skip


# Every type


@pytest.mark.parametrize("token", TOKENS)
def test_an_unknown_property_is_refused_and_the_known_ones_are_named(client: PluginClient, token: str) -> None:
    _, failures = client.check(token, {"name": "x", "privilegs": ["SELECT"]})
    assert any("unknown property 'privilegs'; known: " in failure for failure in failures)


def test_an_ill_typed_property_is_refused(client: PluginClient) -> None:
    _, failures = client.check(ROLE, {"name": "x", "login": "yes", "roles": "y", "connectionLimit": True})
    assert sorted(failures) == [
        "connectionLimit must be a whole number, not bool",
        "login must be true or false, not str",
        "roles must be a list, not str",
    ]


def test_a_missing_required_property_is_refused(client: PluginClient) -> None:
    assert "missing required property 'name'" in client.check(ROLE, {})[1]


def test_a_type_that_the_stack_does_not_use_is_refused_in_words(client: PluginClient) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        client.check("postgresql:index/publication:Publication", {})
    assert "has no resource type postgresql:index/publication:Publication" in said(caught.value)


def test_a_preview_changes_nothing_and_asks_no_server(sql: Any, name: str) -> None:
    with plugin("postgresql") as client:
        client.configure(host="127.0.0.1", port="1", password=UNKNOWN)
        id_, outputs, _ = client.create(ROLE, {"name": name, "roles": [UNKNOWN]}, preview=True)
        assert id_ == "" and outputs["name"] == name and outputs["roles"] == [UNKNOWN]
        _, outputs, _ = client.create(DATABASE, {"name": name}, preview=True)
        assert outputs["owner"] is UNKNOWN, "the server decides the owner"
    assert rows(sql, "SELECT 1 FROM pg_roles WHERE rolname = %s", name) == []


def test_an_unreachable_server_is_one_line_that_says_where_and_what_to_do(name: str) -> None:
    with plugin("postgresql") as client:
        client.configure(host="127.0.0.1", port="1", username="u", password="topsecret", sslmode="disable")
        with pytest.raises(grpc.RpcError) as caught:
            client.create(ROLE, {"name": name})
        text = said(caught.value)
    assert "PostgreSQL at 127.0.0.1:1" in text and "see that it runs" in text and "topsecret" not in text


def test_a_wrong_admin_password_is_one_line(postgres_server: Any, name: str) -> None:
    with plugin("postgresql") as client:
        client.configure(host=postgres_server.host, port=str(postgres_server.port), password="wrong", sslmode="disable")
        with pytest.raises(grpc.RpcError) as caught:
            client.create(ROLE, {"name": name})
    assert "password authentication failed" in said(caught.value)


def test_unknown_provider_settings_are_refused(client: PluginClient) -> None:
    assert client.check_config(hots="x") and not client.check_config(host="x", port="5432", superuser="true")


# Roles


def test_a_role_is_created_with_everything_that_was_asked_for(client: PluginClient, sql: Any, name: str) -> None:
    sql.execute(f"CREATE ROLE {name}_group")
    verifier = scram_verifier("clear", b"0123456789abcdef")
    inputs = {
        "name": name, "login": True, "password": verifier, "connectionLimit": 7, "statementTimeout": 60000,
        "idleInTransactionSessionTimeout": 120000, "searchPaths": [name, "pg_catalog"], "roles": [f"{name}_group"],
    }  # fmt: skip
    id_, outputs, secret = client.create(ROLE, inputs)
    assert id_ == name and secret == {"password"}, "the password must stay masked in state and previews"
    assert outputs["roles"] == [f"{name}_group"] and outputs["searchPaths"] == [name, "pg_catalog"]
    assert rows(sql, "SELECT rolcanlogin, rolconnlimit, rolsuper FROM pg_roles WHERE rolname = %s", name) == [
        (True, 7, False)
    ]
    assert rows(sql, "SELECT rolpassword FROM pg_authid WHERE rolname = %s", name) == [(verifier,)]
    assert client.diff(ROLE, id_, outputs, inputs).detailed == {}, "the next preview must be empty"
    assert client.diff(ROLE, id_, client.read(ROLE, id_, outputs)[1], inputs).detailed == {}, "also after refresh"


def test_the_clear_password_logs_in_after_its_verifier_was_set(
    client: PluginClient, postgres_server: Any, name: str
) -> None:
    client.create(ROLE, {"name": name, "login": True, "password": scram_verifier("clear pass", b"0123456789abcdef")})
    psycopg.connect(
        host=postgres_server.host, port=postgres_server.port, user=name, password="clear pass", dbname="postgres"
    ).close()


def test_memberships_and_settings_are_updated_in_place(client: PluginClient, sql: Any, name: str) -> None:
    for group in ("g1", "g2"):
        sql.execute(f"CREATE ROLE {name}_{group}")
    old = {"name": name, "roles": [f"{name}_g1"], "statementTimeout": 1000}
    id_, state, _ = client.create(ROLE, old)
    new = {"name": name, "roles": [f"{name}_g2"], "connectionLimit": 3}
    difference = client.diff(ROLE, id_, state, new)
    assert difference.detailed == {"roles": "UPDATE", "connectionLimit": "UPDATE", "statementTimeout": "DELETE"}
    assert difference.replaces == []
    outputs = client.update(ROLE, id_, state, new)
    assert outputs["roles"] == [f"{name}_g2"] and outputs["statementTimeout"] == 0 and outputs["connectionLimit"] == 3
    assert client.diff(ROLE, id_, outputs, new).detailed == {}


def test_the_order_of_memberships_is_no_change(client: PluginClient, name: str) -> None:
    state = {
        "name": name,
        "roles": ["b", "a"],
        "inherit": True,
        "connectionLimit": -1,
        "validUntil": "infinity",
        "encryptedPassword": True,
    }
    assert client.diff(ROLE, name, state, {"name": name, "roles": ["a", "b"]}).detailed == {}


def test_refresh_finds_what_was_done_to_a_role_by_hand(client: PluginClient, sql: Any, name: str) -> None:
    inputs = {"name": name, "login": True, "password": scram_verifier("x", b"0123456789abcdef")}
    id_, state, _ = client.create(ROLE, inputs)
    sql.execute(f"ALTER ROLE {name} CREATEDB CONNECTION LIMIT 99 PASSWORD 'other'")
    sql.execute(f"GRANT pg_read_all_data TO {name}")
    _, found, _ = client.read(ROLE, id_, state, inputs)
    assert set(client.diff(ROLE, id_, found, inputs).detailed) == {
        "createDatabase",
        "connectionLimit",
        "roles",
        "password",
    }


def test_a_role_that_exists_is_not_taken_over_silently(client: PluginClient, name: str) -> None:
    client.create(ROLE, {"name": name})
    with pytest.raises(grpc.RpcError) as caught:
        client.create(ROLE, {"name": name})
    assert "already exists" in said(caught.value)


def test_a_role_is_imported_by_its_name(client: PluginClient, name: str) -> None:
    client.create(ROLE, {"name": name, "login": True, "connectionLimit": 5})
    id_, outputs, inputs = client.read(ROLE, name)
    assert id_ == name and inputs == {"name": name, "login": True, "connectionLimit": 5}
    assert client.diff(ROLE, id_, outputs, inputs).detailed == {}


def test_deleting_a_role_leaves_nothing_of_it_and_again_is_no_error(client: PluginClient, sql: Any, name: str) -> None:
    id_, state, _ = client.create(ROLE, {"name": name})
    sql.execute(f"CREATE TABLE {name}_t (x integer); ALTER TABLE {name}_t OWNER TO {name}")
    sql.execute(f"ALTER DEFAULT PRIVILEGES FOR ROLE {name} REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC")
    client.delete(ROLE, id_, state)
    client.delete(ROLE, id_, state)
    assert rows(sql, "SELECT 1 FROM pg_roles WHERE rolname = %s", name) == []
    assert rows(sql, "SELECT tableowner FROM pg_tables WHERE tablename = %s", f"{name}_t") == [("postgres",)]
    assert client.read(ROLE, id_, state)[0] == "", "refresh must see that it is gone"


def test_hostile_names_are_only_names(client: PluginClient, sql: Any, name: str) -> None:
    hostile = f'{name}"; DROP TABLE x; --'
    id_, state, _ = client.create(ROLE, {"name": hostile, "searchPaths": ['a"b', "c, d"]})
    assert rows(sql, "SELECT rolname FROM pg_roles WHERE rolname = %s", hostile) == [(hostile,)]
    client.delete(ROLE, id_, state)


# Databases and schemas


def test_a_database_comes_goes_and_is_imported(client: PluginClient, sql: Any, name: str) -> None:
    id_, state, _ = client.create(DATABASE, {"name": name})
    assert id_ == name and state["owner"] == "postgres" and state["encoding"] == "UTF8"
    assert client.diff(DATABASE, id_, state, {"name": name}).detailed == {}
    assert client.read(DATABASE, name)[2]["name"] == name
    client.update(DATABASE, id_, state, {"name": name, "connectionLimit": 9})
    assert rows(sql, "SELECT datconnlimit FROM pg_database WHERE datname = %s", name) == [(9,)]
    client.delete(DATABASE, id_, state)
    client.delete(DATABASE, id_, state)
    assert client.read(DATABASE, id_, state)[0] == ""


def test_another_encoding_needs_another_database(client: PluginClient, name: str) -> None:
    state = {"name": name, "encoding": "UTF8", "connectionLimit": -1, "allowConnections": True}
    assert client.diff(DATABASE, name, state, {"name": name, "encoding": "LATIN1"}).replaces == ["encoding"]


def test_a_schema_belongs_to_its_owner_and_moves_in_place(client: PluginClient, sql: Any, name: str) -> None:
    sql.execute(f"CREATE ROLE {name}_1; CREATE ROLE {name}_2")
    inputs = {"name": name, "database": "postgres", "owner": f"{name}_1"}
    id_, state, _ = client.create(SCHEMA, inputs)
    assert id_ == f"postgres.{name}"
    sql.execute(f"ALTER SCHEMA {name} OWNER TO {name}_2")
    found = client.read(SCHEMA, id_, state, inputs)[1]
    assert client.diff(SCHEMA, id_, found, inputs).detailed == {"owner": "UPDATE"}
    assert client.update(SCHEMA, id_, found, inputs)["owner"] == f"{name}_1"


def test_a_schema_with_tables_is_only_dropped_where_that_is_allowed(client: PluginClient, sql: Any, name: str) -> None:
    id_, state, _ = client.create(SCHEMA, {"name": name, "database": "postgres"})
    sql.execute(f"CREATE TABLE {name}.t (x integer)")
    with pytest.raises(grpc.RpcError) as caught:
        client.delete(SCHEMA, id_, state)
    assert "cannot drop schema" in said(caught.value)
    client.delete(SCHEMA, id_, {**state, "dropCascade": True})
    client.delete(SCHEMA, id_, state)
    assert client.read(SCHEMA, id_, state)[0] == ""


def test_what_lies_in_a_database_that_is_gone_is_gone_too(client: PluginClient) -> None:
    assert client.read(SCHEMA, "no_such_database.x", {"name": "x"})[0] == ""
    client.delete(SCHEMA, "no_such_database.x", {"name": "x"})
    client.delete(GRANT, "x", grant("x", database="no_such_database"))


# Grants


def test_a_grant_gives_exactly_what_it_names(client: PluginClient, sql: Any, name: str) -> None:
    make_table(sql, name)
    inputs = grant(name, objects=["b", "a"], privileges=["SELECT", "INSERT"])
    id_, state, _ = client.create(GRANT, inputs)
    assert id_ in (f"{name}_postgres_{name}_table_a_b", f"{name}_postgres_{name}_table_b_a")
    assert rows(
        sql,
        f"SELECT has_table_privilege('{name}', '{name}.b', 'INSERT'), has_table_privilege('{name}', '{name}.b', 'DELETE')",
    ) == [(True, False)]
    assert client.diff(GRANT, id_, state, inputs).detailed == {}


def test_two_grants_on_different_tables_leave_each_other_alone(client: PluginClient, sql: Any, name: str) -> None:
    make_table(sql, name)
    first, second = grant(name, privileges=["INSERT"]), grant(name, objects=["b"])
    id_, state, _ = client.create(GRANT, first)
    client.create(GRANT, second)
    assert client.diff(GRANT, id_, client.read(GRANT, id_, state, first)[1], first).detailed == {}


def test_a_narrower_grant_takes_the_rest_away_in_place(client: PluginClient, sql: Any, name: str) -> None:
    make_table(sql, name)
    id_, state, _ = client.create(GRANT, grant(name, privileges=["SELECT", "DELETE"]))
    narrower = grant(name)
    difference = client.diff(GRANT, id_, state, narrower)
    assert difference.detailed == {"privileges": "UPDATE"} and difference.replaces == []
    client.update(GRANT, id_, state, narrower)
    assert rows(sql, f"SELECT has_table_privilege('{name}', '{name}.a', 'DELETE')") == [(False,)]


def test_refresh_finds_privileges_added_and_taken_by_hand(client: PluginClient, sql: Any, name: str) -> None:
    make_table(sql, name)
    inputs = grant(name, objects=["a", "b"])
    id_, state, _ = client.create(GRANT, inputs)
    sql.execute(f"GRANT UPDATE ON {name}.a TO {name}")
    assert set(client.read(GRANT, id_, state, inputs)[1]["privileges"]) == {"SELECT", "UPDATE"}
    sql.execute(f"REVOKE ALL ON {name}.a FROM {name}")
    assert client.read(GRANT, id_, state, inputs)[1]["privileges"] == []


def test_another_table_or_role_is_another_grant_deleted_first(client: PluginClient, name: str) -> None:
    state = grant(name, withGrantOption=False)
    difference = client.diff(GRANT, "x", state, grant(name, objects=["b"], role="other"))
    assert sorted(difference.replaces) == ["objects", "role"] and difference.delete_before_replace
    assert difference.detailed["objects"] == "UPDATE_REPLACE"


def test_columns_are_granted_one_privilege_at_a_time(client: PluginClient, sql: Any, name: str) -> None:
    make_table(sql, name)
    select = grant(name, objectType="column", columns=["x"])
    update = grant(name, objectType="column", columns=["x"], privileges=["UPDATE"])
    id_, state, _ = client.create(GRANT, select)
    client.create(GRANT, update)
    assert client.diff(GRANT, id_, client.read(GRANT, id_, state, select)[1], select).detailed == {}
    answer = rows(
        sql,
        f"SELECT has_column_privilege('{name}', '{name}.a', 'x', 'SELECT'), has_column_privilege('{name}', '{name}.a', 'y', 'SELECT')",
    )
    assert answer == [(True, False)]
    assert client.check(GRANT, {**select, "privileges": ["SELECT", "UPDATE"]})[1], (
        "the official plugin takes exactly one"
    )


def test_empty_privileges_take_away_what_public_has_by_default(client: PluginClient, sql: Any, name: str) -> None:
    client.create(DATABASE, {"name": name})
    inputs = {"role": "public", "database": name, "objectType": "database", "privileges": []}
    id_, state, _ = client.create(GRANT, inputs)
    assert id_ == f"public_{name}_database"
    assert rows(sql, "SELECT has_database_privilege('public', %s, 'CONNECT')", name) == [(False,)]
    sql.execute(f"GRANT CONNECT ON DATABASE {name} TO PUBLIC")
    found = client.read(GRANT, id_, state, inputs)[1]
    assert client.diff(GRANT, id_, found, inputs).detailed == {"privileges": "DELETE"} or found["privileges"] == [
        "CONNECT"
    ]


def test_an_unknown_privilege_is_refused_before_anything_runs(client: PluginClient, name: str) -> None:
    assert client.check(GRANT, grant(name, privileges=["SELEKT"]))[1] == [
        "privilege 'SELEKT' does not exist on a table"
    ]


def test_a_grant_to_a_role_that_is_gone_is_gone(client: PluginClient, sql: Any, name: str) -> None:
    make_table(sql, name)
    id_, state, _ = client.create(GRANT, grant(name))
    sql.execute(f"DROP OWNED BY {name}; DROP ROLE {name}")
    assert client.read(GRANT, id_, state)[0] == ""
    client.delete(GRANT, id_, state)


def test_grants_cannot_be_imported_and_say_so(client: PluginClient) -> None:
    for token in (GRANT, DEFAULTS):
        with pytest.raises(grpc.RpcError) as caught:
            client.read(token, "x_y_z")
        assert "cannot be imported" in said(caught.value)


def test_default_privileges_without_a_schema_take_execute_from_public(
    client: PluginClient, sql: Any, name: str
) -> None:
    sql.execute(f"CREATE ROLE {name}; CREATE SCHEMA {name} AUTHORIZATION {name}")
    inputs = {"role": "public", "database": "postgres", "owner": name, "objectType": "function", "privileges": []}
    id_, state, _ = client.create(DEFAULTS, inputs)
    assert id_ == f"public_postgres_noschema_{name}_function"
    sql.execute(f"SET ROLE {name}; CREATE FUNCTION {name}.f() RETURNS integer LANGUAGE sql AS 'SELECT 1'; RESET ROLE")
    assert rows(sql, f"SELECT has_function_privilege('public', '{name}.f()', 'EXECUTE')") == [(False,)]
    assert client.diff(DEFAULTS, id_, client.read(DEFAULTS, id_, state, inputs)[1], inputs).detailed == {}
    sql.execute(f"ALTER DEFAULT PRIVILEGES FOR ROLE {name} GRANT EXECUTE ON FUNCTIONS TO PUBLIC")
    assert client.read(DEFAULTS, id_, state, inputs)[1]["privileges"] == ["EXECUTE"]
    client.delete(DEFAULTS, id_, state)
    client.delete(DEFAULTS, id_, state)
