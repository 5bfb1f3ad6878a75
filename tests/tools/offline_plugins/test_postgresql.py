"""The offline postgresql plugin's databases, roles and schemas, against a real server."""

import secrets
from collections.abc import Iterator
from typing import Any

import grpc
import psycopg
import pytest

from provider.base.values import Secret
from provider.postgres.scram import scram_verifier
from tests.provider.base.harness import PluginClient, Resource, plugin, said, said_by

DATABASE = "postgresql:index/database:Database"
ROLE = "postgresql:index/role:Role"
SCHEMA = "postgresql:index/schema:Schema"
SALT = b"0123456789abcdef"


@pytest.fixture(scope="module")
def client(postgres_server: Any) -> Iterator[PluginClient]:
    server = postgres_server
    with plugin("postgresql") as client:
        client.configure(
            host=server.host, port=str(server.port), username=server.user, password=server.password, sslmode="disable",
            database="postgres", superuser="true", maxConnections="2",
        )  # fmt: skip
        yield client


def rows(sql: "psycopg.Connection[Any]", query: str, *values: Any) -> list[Any]:
    return sql.execute(query.encode(), values).fetchall()


def refreshed(client: PluginClient, resource: Resource) -> Resource:
    found = client.refresh(resource)
    assert found is not None, "it is there"
    return found


def test_a_wrong_admin_password_is_one_line(postgres_server: Any, name: str) -> None:
    with plugin("postgresql") as client:
        client.configure(host=postgres_server.host, port=str(postgres_server.port), password="wrong", sslmode="disable")
        with pytest.raises(grpc.RpcError) as caught:
            client.create(ROLE, {"name": name})
    assert "password authentication failed" in said(caught.value) and "wrong" not in said(caught.value)


# Roles


def test_a_role_is_created_with_everything_that_was_asked_for(client: PluginClient, sql: Any, name: str) -> None:
    sql.execute(f"CREATE ROLE {name}_group")
    verifier = scram_verifier("clear", SALT)
    role = client.create(ROLE, {
        "name": name, "login": True, "password": Secret(verifier), "connectionLimit": 7, "statementTimeout": 60000,
        "idleInTransactionSessionTimeout": 120000, "searchPaths": [name, "pg_catalog"], "roles": [f"{name}_group"],
        "validUntil": "2031-01-01T00:00:00Z",
    })  # fmt: skip
    assert role.id == name and role.secret == {"password"}, "the password must stay masked in state and previews"
    assert role.outputs["roles"] == [f"{name}_group"] and role.outputs["searchPaths"] == [name, "pg_catalog"]
    attributes = "SELECT rolcanlogin, rolconnlimit, rolsuper, rolinherit FROM pg_roles WHERE rolname = %s"
    assert rows(sql, attributes, name) == [(True, 7, False, True)]
    assert rows(sql, "SELECT rolpassword FROM pg_authid WHERE rolname = %s", name) == [(verifier,)]
    assert client.diff(role).detailed == {}, "the next preview must be empty"
    assert client.diff(refreshed(client, role)).detailed == {}, "also after refresh"


def test_a_verifier_is_stored_as_it_is_and_its_password_logs_in(
    client: PluginClient, postgres_server: Any, name: str
) -> None:
    client.create(ROLE, {"name": name, "login": True, "password": scram_verifier("clear pass", SALT)})
    postgres_server.connect(user=name, password="clear pass").close()


def test_a_clear_password_logs_in_and_never_reaches_the_servers_log(
    client: PluginClient, postgres_server: Any, sql: Any, name: str
) -> None:
    sql.execute("ALTER SYSTEM SET log_statement = 'all'; ")
    sql.execute("SELECT pg_reload_conf()")
    clear = secrets.token_hex(8)
    role = client.create(ROLE, {"name": name, "login": True, "password": clear})
    postgres_server.connect(user=name, password=clear).close()
    assert client.diff(refreshed(client, role)).detailed == {}, "the stored verifier is that of the password"
    sql.execute(f"ALTER ROLE {name} PASSWORD 'other'")
    assert client.diff(refreshed(client, role), {**said_by(role.inputs), "password": clear}).detailed == {
        "password": "UPDATE"
    }
    sql.execute("ALTER SYSTEM RESET log_statement")
    sql.execute("SELECT pg_reload_conf()")
    assert clear not in postgres_server.log.read_text(errors="replace")


def test_memberships_and_settings_are_updated_in_place(client: PluginClient, sql: Any, name: str) -> None:
    sql.execute(f"CREATE ROLE {name}_g1; CREATE ROLE {name}_g2")
    role = client.create(ROLE, {"name": name, "roles": [f"{name}_g1"], "statementTimeout": 1000, "searchPaths": ["x"]})
    new = {"name": name, "roles": [f"{name}_g2"], "connectionLimit": 3, "inherit": False, "assumeRole": f"{name}_g2"}
    difference = client.diff(role, new)
    assert difference.detailed == {
        "roles": "UPDATE", "connectionLimit": "UPDATE", "statementTimeout": "DELETE", "searchPaths": "DELETE",
        "inherit": "UPDATE", "assumeRole": "ADD",
    }  # fmt: skip
    assert difference.replaces == []
    role = client.update(role, new)
    assert role.outputs["roles"] == [f"{name}_g2"] and role.outputs["statementTimeout"] == 0
    assert rows(sql, "SELECT rolconfig FROM pg_roles WHERE rolname = %s", name) == [([f"role={name}_g2"],)]
    assert client.diff(role).detailed == {}


def test_a_role_is_renamed_in_place_with_its_password(
    client: PluginClient, postgres_server: Any, sql: Any, name: str
) -> None:
    old = client.create(ROLE, {"name": name, "login": True, "password": scram_verifier("pw", SALT)})
    new = client.update(old, {"name": f"{name}_new", "login": True, "password": scram_verifier("pw", SALT)})
    assert rows(sql, "SELECT rolname FROM pg_roles WHERE rolname LIKE %s", f"{name}%") == [(f"{name}_new",)]
    postgres_server.connect(user=f"{name}_new", password="pw").close()
    assert refreshed(client, new).id == f"{name}_new", "the engine still has the old id"
    client.delete(new)
    assert client.refresh(new) is None


def test_a_changed_password_is_set_and_nothing_else_touched(
    client: PluginClient, postgres_server: Any, sql: Any, name: str
) -> None:
    sql.execute(f"CREATE ROLE {name}_g")
    given = {"name": name, "login": True, "roles": [f"{name}_g"]}
    role = client.create(ROLE, {**given, "password": scram_verifier("one", SALT)})
    changed = {**given, "password": scram_verifier("two", SALT)}
    assert client.diff(role, changed).detailed == {"password": "UPDATE"}
    granted_by = f"SELECT oid FROM pg_auth_members WHERE member = '{name}'::regrole"
    before = rows(sql, granted_by)
    client.update(role, changed)
    postgres_server.connect(user=name, password="two").close()
    assert rows(sql, granted_by) == before, "revoking and granting again would cut running sessions off"


def test_refresh_finds_what_was_done_to_a_role_by_hand(client: PluginClient, sql: Any, name: str) -> None:
    role = client.create(ROLE, {"name": name, "login": True, "password": scram_verifier("x", SALT)})
    sql.execute(f"ALTER ROLE {name} CREATEDB CONNECTION LIMIT 99 PASSWORD 'other'")
    sql.execute(f"ALTER ROLE {name} SET statement_timeout = '5min'")
    sql.execute(f"GRANT pg_read_all_data TO {name}")
    found = refreshed(client, role)
    assert found.outputs["statementTimeout"] == 300_000
    drift = client.diff(found, said_by(role.inputs))
    assert set(drift.detailed) == {"createDatabase", "connectionLimit", "roles", "password", "statementTimeout"}
    assert client.diff(refreshed(client, client.update(found, said_by(role.inputs)))).detailed == {}


def test_a_role_that_exists_is_not_taken_over_silently(client: PluginClient, sql: Any, name: str) -> None:
    sql.execute(f"CREATE ROLE {name} LOGIN CREATEDB")
    with pytest.raises(grpc.RpcError) as caught:
        client.create(ROLE, {"name": name, "login": True, "password": scram_verifier("x", SALT)})
    text = said(caught.value)
    assert "exists already" in text and "another createDatabase" in text and "another password" in text
    assert "pulumi import postgresql:index/role:Role" in text, "the line must say what to do"


def test_a_role_that_owns_something_is_never_adopted(client: PluginClient, sql: Any, name: str) -> None:
    sql.execute(f"CREATE ROLE {name}; CREATE SCHEMA {name} AUTHORIZATION {name}")
    with pytest.raises(grpc.RpcError) as caught:
        client.create(ROLE, {"name": name})
    assert "objects or privileges of its own" in said(caught.value)


def test_a_role_left_by_a_killed_run_is_taken_up(client: PluginClient, sql: Any, name: str) -> None:
    sql.execute(f"CREATE ROLE {name}_g")
    inputs = {
        "name": name,
        "login": True,
        "password": scram_verifier("x", SALT),
        "roles": [f"{name}_g"],
        "connectionLimit": 4,
    }
    client.create(ROLE, inputs)
    again = client.create(ROLE, inputs)
    assert again.id == name and client.diff(again).detailed == {}


def test_a_role_is_imported_by_its_name(client: PluginClient, name: str) -> None:
    client.create(ROLE, {"name": name, "login": True, "connectionLimit": 5})
    role = client.imported(ROLE, name)
    assert role is not None and said_by(role.inputs) == {"name": name, "login": True, "connectionLimit": 5}
    assert client.diff(role, said_by(role.inputs)).detailed == {}
    assert client.imported(ROLE, f"{name}_none") is None


def test_deleting_a_role_leaves_nothing_of_it_and_again_is_no_error(client: PluginClient, sql: Any, name: str) -> None:
    role = client.create(ROLE, {"name": name})
    sql.execute(f"CREATE TABLE {name}_t (x integer); ALTER TABLE {name}_t OWNER TO {name}")
    sql.execute(f"ALTER DEFAULT PRIVILEGES FOR ROLE {name} REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC")
    client.delete(role)
    client.delete(role)
    assert rows(sql, "SELECT 1 FROM pg_roles WHERE rolname = %s", name) == []
    assert rows(sql, "SELECT tableowner FROM pg_tables WHERE tablename = %s", f"{name}_t") == [("postgres",)]
    assert client.refresh(role) is None, "refresh must see that it is gone"
    sql.execute(f"DROP TABLE {name}_t")


def test_hostile_names_are_only_names(client: PluginClient, sql: Any, name: str) -> None:
    hostile = f'{name}"; DROP TABLE x; -- \\'
    role = client.create(ROLE, {"name": hostile, "searchPaths": ['a"b', "c,d"]})
    assert rows(sql, "SELECT rolname FROM pg_roles WHERE rolname = %s", hostile) == [(hostile,)]
    assert client.diff(refreshed(client, role)).detailed == {}
    client.delete(role)


# Databases


def test_a_database_comes_goes_and_is_imported(client: PluginClient, sql: Any, name: str) -> None:
    database = client.create(DATABASE, {"name": name})
    assert database.id == name and database.outputs["owner"] == "postgres" and database.outputs["encoding"] == "UTF8"
    assert client.diff(database).detailed == {} and client.diff(refreshed(client, database)).detailed == {}
    imported = client.imported(DATABASE, name)
    assert imported is not None and client.diff(imported, said_by(imported.inputs)).detailed == {}
    client.update(database, {"name": name, "connectionLimit": 9, "allowConnections": False})
    query = "SELECT datconnlimit, datallowconn FROM pg_database WHERE datname = %s"
    assert rows(sql, query, name) == [(9, False)]
    client.delete(database)
    client.delete(database)
    assert client.refresh(database) is None


def test_a_database_is_dropped_although_somebody_is_connected(
    client: PluginClient, postgres_server: Any, name: str
) -> None:
    database = client.create(DATABASE, {"name": name})
    session = postgres_server.connect(name)
    client.delete(database)
    with pytest.raises(psycopg.OperationalError):
        session.execute("SELECT 1")
    session.close()


def test_a_database_moves_to_another_owner_and_name_in_place(client: PluginClient, sql: Any, name: str) -> None:
    sql.execute(f"CREATE ROLE {name}_o")
    database = client.create(DATABASE, {"name": name})
    new = {"name": f"{name}_new", "owner": f"{name}_o"}
    assert client.diff(database, new).replaces == []
    moved = client.update(database, new)
    assert moved.outputs["owner"] == f"{name}_o" and refreshed(client, moved).id == f"{name}_new"
    client.delete(moved)


def test_only_an_empty_database_left_by_a_killed_run_is_taken_up(
    client: PluginClient, postgres_server: Any, sql: Any, name: str
) -> None:
    first = client.create(DATABASE, {"name": name})
    assert client.create(DATABASE, {"name": name}).outputs == first.outputs
    with pytest.raises(grpc.RpcError) as caught:
        client.create(DATABASE, {"name": name, "connectionLimit": 3})
    assert "another connectionLimit" in said(caught.value)
    with postgres_server.connect(name) as inside:
        inside.execute("CREATE TABLE precious (x integer)")
    with pytest.raises(grpc.RpcError) as caught:
        client.create(DATABASE, {"name": name})
    assert "objects in it" in said(caught.value), "a later destroy would drop somebody's data"
    client.delete(first)


# Schemas


def test_a_schema_belongs_to_its_owner_and_moves_in_place(client: PluginClient, sql: Any, name: str) -> None:
    sql.execute(f"CREATE ROLE {name}_1; CREATE ROLE {name}_2")
    schema = client.create(SCHEMA, {"name": name, "owner": f"{name}_1"})
    assert schema.id == f"postgres.{name}" and schema.outputs["database"] == "postgres"
    assert client.diff(schema).detailed == {}
    sql.execute(f"ALTER SCHEMA {name} OWNER TO {name}_2")
    found = refreshed(client, schema)
    given = {"name": name, "owner": f"{name}_1"}
    assert client.diff(found, given).detailed == {"owner": "UPDATE"}
    assert client.update(found, given).outputs["owner"] == f"{name}_1"
    renamed = client.update(found, {**given, "name": f"{name}_new"})
    assert refreshed(client, renamed).id == f"postgres.{name}_new"
    imported = client.imported(SCHEMA, f"postgres.{name}_new")
    assert imported is not None and imported.inputs["owner"] == f"{name}_1"
    client.delete(renamed)


def test_a_schema_with_tables_is_only_dropped_where_that_is_allowed(client: PluginClient, sql: Any, name: str) -> None:
    schema = client.create(SCHEMA, {"name": name})
    sql.execute(f"CREATE TABLE {name}.t (x integer)")
    with pytest.raises(grpc.RpcError) as caught:
        client.delete(schema)
    assert "cannot drop schema" in said(caught.value)
    allowed = client.update(schema, {"name": name, "dropCascade": True})
    client.delete(allowed)
    client.delete(allowed)
    assert client.refresh(schema) is None


def test_an_existing_schema_is_used_unless_the_program_says_no(client: PluginClient, sql: Any, name: str) -> None:
    sql.execute(f"CREATE SCHEMA {name}; CREATE ROLE {name}_o")
    assert client.create(SCHEMA, {"name": name, "owner": f"{name}_o"}).outputs["owner"] == f"{name}_o"
    with pytest.raises(grpc.RpcError) as caught:
        client.create(SCHEMA, {"name": name, "ifNotExists": False})
    assert "exists already" in said(caught.value)


def test_what_lies_in_a_database_that_is_gone_is_gone_too(
    client: PluginClient, postgres_server: Any, sql: Any, name: str
) -> None:
    database = client.create(DATABASE, {"name": name})
    schema = client.create(SCHEMA, {"name": name, "database": name})
    with plugin("postgresql") as inside:
        server = postgres_server
        inside.configure(host=server.host, port=server.port, password=server.password, sslmode="disable", database=name)
        role = inside.create(ROLE, {"name": name})
        client.delete(database)
        assert client.refresh(schema) is None
        client.delete(schema)
        assert refreshed(inside, role).id == name, "a role outlives the database that the provider connects to"
        inside.delete(role)
    assert rows(sql, "SELECT 1 FROM pg_roles WHERE rolname = %s", name) == []
