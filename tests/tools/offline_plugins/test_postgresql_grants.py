"""The offline postgresql plugin's grants and default privileges, against a real server."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import psycopg
import pytest

from tests.provider.base.harness import PluginClient, Props, Resource, plugin, said, said_by

ROLE = "postgresql:index/role:Role"
SCHEMA = "postgresql:index/schema:Schema"
DATABASE = "postgresql:index/database:Database"
GRANT = "postgresql:index/grant:Grant"
DEFAULTS = "postgresql:index/defaultPrivileges:DefaultPrivileges"


def configured(client: PluginClient, server: Any, **settings: Any) -> None:
    client.configure(**{
        "host": server.host, "port": str(server.port), "username": server.user, "password": server.password,
        "sslmode": "disable", "database": "postgres", "superuser": "true", "maxConnections": "8", **settings,
    })  # fmt: skip


@pytest.fixture(scope="module")
def client(postgres_server: Any) -> Iterator[PluginClient]:
    with plugin("postgresql") as client:
        configured(client, postgres_server)
        yield client


@pytest.fixture
def tables(sql: Any, name: str) -> str:
    """A role and a schema of that name with tables a and b."""
    sql.execute(f"CREATE ROLE {name}; CREATE SCHEMA {name}")
    sql.execute(f"CREATE TABLE {name}.a (x integer, y integer); CREATE TABLE {name}.b (x integer)")
    return name


def value(sql: "psycopg.Connection[Any]", query: str, *values: Any) -> Any:
    row = sql.execute(query.encode(), values).fetchone()
    assert row is not None
    return row[0]


def can(sql: Any, role: str, table: str, privilege: str) -> bool:
    return bool(value(sql, "SELECT has_table_privilege(%s, %s, %s)", role, table, privilege))


def grant(name: str, **changes: Any) -> Props:
    given = {
        "role": name, "database": "postgres", "schema": name, "objectType": "table", "objects": ["a"], "privileges": ["SELECT"],
        **changes,
    }  # fmt: skip
    return {key: item for key, item in given.items() if item is not None}


def refreshed(client: PluginClient, resource: Resource) -> Resource:
    found = client.refresh(resource)
    assert found is not None, "it is there"
    return found


def test_a_grant_gives_exactly_what_it_names(client: PluginClient, sql: Any, tables: str) -> None:
    made = client.create(GRANT, grant(tables, objects=["b", "a"], privileges=["SELECT", "INSERT"]))
    # By the checksums of "a" and "b", as the official plugin orders sets in an id.
    assert made.id == f"{tables}_postgres_{tables}_table_b_a"
    assert can(sql, tables, f"{tables}.b", "INSERT") and not can(sql, tables, f"{tables}.b", "DELETE")
    assert client.diff(made).detailed == {} and client.diff(refreshed(client, made)).detailed == {}


def test_two_grants_on_different_tables_leave_each_other_alone(client: PluginClient, tables: str) -> None:
    first = client.create(GRANT, grant(tables, privileges=["INSERT"]))
    client.create(GRANT, grant(tables, objects=["b"]))
    assert client.diff(refreshed(client, first)).detailed == {}


def test_a_narrower_grant_takes_the_rest_away_in_place(client: PluginClient, sql: Any, tables: str) -> None:
    wide = client.create(GRANT, grant(tables, privileges=["SELECT", "DELETE"]))
    difference = client.diff(wide, grant(tables))
    assert difference.detailed == {"privileges": "UPDATE"} and difference.replaces == []
    client.update(wide, grant(tables))
    assert can(sql, tables, f"{tables}.a", "SELECT") and not can(sql, tables, f"{tables}.a", "DELETE")


def test_refresh_finds_privileges_added_and_taken_by_hand(client: PluginClient, sql: Any, tables: str) -> None:
    inputs = grant(tables, objects=["a", "b"])
    made = client.create(GRANT, inputs)
    sql.execute(f"GRANT UPDATE ON {tables}.b TO {tables}")
    found = refreshed(client, made)
    assert found.outputs["privileges"] == ["SELECT", "UPDATE"] and client.diff(found, inputs).detailed
    client.update(found, inputs)
    assert not can(sql, tables, f"{tables}.b", "UPDATE"), "an update takes away what was added by hand"
    sql.execute(f"REVOKE ALL ON {tables}.a FROM {tables}")
    found = refreshed(client, made)
    assert found.outputs["privileges"] == [] and client.diff(found, inputs).detailed == {"privileges": "ADD"}
    assert client.diff(refreshed(client, client.update(found, inputs)), inputs).detailed == {}


def test_a_dropped_table_shows_as_drift_and_does_not_hinder_deletion(
    client: PluginClient, sql: Any, tables: str
) -> None:
    inputs = grant(tables, objects=["a", "b"])
    made = client.create(GRANT, inputs)
    sql.execute(f"DROP TABLE {tables}.b")
    assert client.diff(refreshed(client, made), inputs).detailed == {"privileges": "ADD"}
    client.delete(made)
    assert not can(sql, tables, f"{tables}.a", "SELECT"), "what is left must still be revoked"


def test_another_table_or_role_is_another_grant_deleted_first(client: PluginClient, name: str) -> None:
    inputs = client.checked(GRANT, grant(name))
    difference = client.diff(Resource(GRANT, "x", inputs, inputs), grant(name, objects=["b"], role="other"))
    assert sorted(difference.replaces) == ["objects", "role"] and difference.delete_before_replace


def test_columns_are_granted_one_privilege_at_a_time(client: PluginClient, sql: Any, tables: str) -> None:
    select = grant(tables, objectType="column", columns=["x"])
    made = client.create(GRANT, select)
    client.create(GRANT, {**select, "privileges": ["UPDATE"]})
    assert made.id == f"{tables}_postgres_{tables}_column_a_x"
    assert client.diff(refreshed(client, made)).detailed == {}
    query = "SELECT has_column_privilege(%s, %s, %s, 'SELECT')"
    assert value(sql, query, tables, f"{tables}.a", "x") and not value(sql, query, tables, f"{tables}.a", "y")
    assert client.check(GRANT, {**select, "privileges": ["SELECT", "UPDATE"]})[1], (
        "the official plugin takes exactly one"
    )
    sql.execute(f"REVOKE SELECT (x) ON {tables}.a FROM {tables}")
    assert client.diff(refreshed(client, made), select).replaces == ["columns"]
    client.delete(made)
    assert value(sql, "SELECT has_column_privilege(%s, %s, 'x', 'UPDATE')", tables, f"{tables}.a"), (
        "that is another grant's"
    )


def test_a_table_grant_leaves_column_grants_of_the_same_role_alone(client: PluginClient, sql: Any, tables: str) -> None:
    column = client.create(GRANT, grant(tables, objectType="column", columns=["y"], privileges=["UPDATE"]))
    table = client.create(GRANT, grant(tables))
    client.update(table, grant(tables, privileges=["INSERT"]))
    assert client.diff(refreshed(client, column)).detailed == {}


def test_empty_privileges_take_away_what_public_has_by_default(client: PluginClient, sql: Any, name: str) -> None:
    database = client.create(DATABASE, {"name": name})
    inputs = {"role": "public", "database": name, "objectType": "database", "privileges": []}
    made = client.create(GRANT, inputs)
    assert made.id == f"public_{name}_database"
    query = "SELECT has_database_privilege('public', %s, 'CONNECT')"
    assert value(sql, query, name) is False
    sql.execute(f"GRANT CONNECT ON DATABASE {name} TO PUBLIC")
    found = refreshed(client, made)
    assert found.outputs["privileges"] == ["CONNECT"] and client.diff(found, inputs).detailed
    client.update(found, inputs)
    assert value(sql, query, name) is False
    client.delete(made)
    client.delete(database)
    assert client.refresh(made) is None


def test_an_acl_that_nobody_touched_is_seen_with_its_defaults(client: PluginClient, sql: Any, name: str) -> None:
    database = client.create(DATABASE, {"name": name})
    inputs = client.checked(GRANT, {"role": "public", "database": name, "objectType": "database", "privileges": []})
    found = refreshed(client, Resource(GRANT, "x", inputs, inputs))
    assert found.outputs["privileges"] == ["CONNECT", "TEMPORARY"], "a database made anew is open to everybody"
    client.delete(database)


def test_the_schema_public_is_closed_by_whoever_owns_the_database(
    client: PluginClient, postgres_server: Any, name: str
) -> None:
    database = client.create(DATABASE, {"name": name})
    inputs = {"role": "public", "database": name, "schema": "public", "objectType": "schema", "privileges": []}
    made = client.create(GRANT, inputs)
    with postgres_server.connect(name) as inside:
        assert value(inside, "SELECT has_schema_privilege('public', 'public', 'USAGE')") is False
    assert client.diff(refreshed(client, made), inputs).detailed == {}
    client.delete(database)


def test_a_function_is_granted_by_name_or_signature(client: PluginClient, sql: Any, tables: str) -> None:
    sql.execute(f"CREATE FUNCTION {tables}.f(text, integer) RETURNS integer LANGUAGE sql AS 'SELECT 1'")
    sql.execute(f"REVOKE ALL ON FUNCTION {tables}.f FROM PUBLIC")
    for spelling in ("f", "f(text, integer)"):
        made = client.create(GRANT, grant(tables, objectType="function", objects=[spelling], privileges=["EXECUTE"]))
        assert value(sql, "SELECT has_function_privilege(%s, %s, 'EXECUTE')", tables, f"{tables}.f(text, integer)")
        assert client.diff(refreshed(client, made)).detailed == {}
        client.delete(made)
        assert client.diff(refreshed(client, made), said_by(made.inputs)).detailed == {"privileges": "ADD"}
    with pytest.raises(grpc.RpcError) as caught:
        client.create(GRANT, grant(tables, objectType="function", objects=["g"], privileges=["EXECUTE"]))
    assert "there is no function g" in said(caught.value)


def test_all_tables_are_granted_where_none_is_named(client: PluginClient, sql: Any, tables: str) -> None:
    made = client.create(GRANT, grant(tables, objects=None, privileges=["ALL"]))
    assert made.id == f"{tables}_postgres_{tables}_table"
    assert can(sql, tables, f"{tables}.b", "TRUNCATE") and client.diff(refreshed(client, made)).detailed == {}
    sql.execute(f"CREATE TABLE {tables}.c (x integer)")
    assert client.diff(refreshed(client, made), said_by(made.inputs)).detailed, "a new table without the grant is drift"
    client.delete(made)
    assert not can(sql, tables, f"{tables}.a", "SELECT")


def test_a_privilege_granted_by_somebody_else_is_reported_not_ignored(
    client: PluginClient, sql: Any, tables: str
) -> None:
    sql.execute(f"CREATE ROLE {tables}_other; GRANT USAGE ON SCHEMA {tables} TO {tables}_other")
    sql.execute(f"GRANT INSERT ON {tables}.a TO {tables}_other WITH GRANT OPTION")
    sql.execute(f"SET ROLE {tables}_other; GRANT INSERT ON {tables}.a TO {tables}; RESET ROLE")
    with pytest.raises(grpc.RpcError) as caught:
        client.create(GRANT, grant(tables))
    assert "still has INSERT, granted by another role" in said(caught.value)
    assert not can(sql, tables, f"{tables}.a", "SELECT"), "a failed grant must leave everything as it was"


def test_an_unknown_privilege_or_object_type_is_refused_before_anything_runs(client: PluginClient, name: str) -> None:
    assert "'SELEKT' is not a privilege on a table" in client.check(GRANT, grant(name, privileges=["SELEKT"]))[1][0]
    assert "did you mean 'table'" in client.check(GRANT, grant(name, objectType="tabel"))[1][0]
    with pytest.raises(grpc.RpcError) as caught:
        client.create(GRANT, grant(name, schema=None, objects=None))
    assert "parameter 'schema' is mandatory" in said(caught.value)


def test_a_grant_to_a_role_that_is_gone_is_gone(client: PluginClient, sql: Any, tables: str) -> None:
    made = client.create(GRANT, grant(tables))
    sql.execute(f"DROP OWNED BY {tables}; DROP ROLE {tables}")
    assert client.refresh(made) is None
    client.delete(made)
    with pytest.raises(grpc.RpcError) as caught:
        client.create(GRANT, grant(tables))
    assert f"role '{tables}' does not exist" in said(caught.value)


def test_grants_cannot_be_imported_and_say_so(client: PluginClient) -> None:
    for token in (GRANT, DEFAULTS):
        with pytest.raises(grpc.RpcError) as caught:
            client.imported(token, "x_y_z")
        assert "cannot be imported" in said(caught.value)


def test_many_grants_at_once_on_one_schema_all_succeed(client: PluginClient, sql: Any, tables: str) -> None:
    roles = [f"{tables}_{number}" for number in range(12)]
    with ThreadPoolExecutor(24) as pool:
        for future in [pool.submit(client.create, ROLE, {"name": role, "roles": [tables]}) for role in roles]:
            future.result()
        wanted = [grant(role, schema=tables, objectType="schema", objects=None, privileges=["USAGE"]) for role in roles]
        wanted += [grant(role, schema=tables, objects=["a", "b"], privileges=["SELECT"]) for role in roles]
        made = list(pool.map(lambda inputs: client.create(GRANT, inputs), wanted))
        for found in pool.map(client.refresh, made):
            assert found is not None and client.diff(found).detailed == {}


def test_default_privileges_without_a_schema_take_execute_from_public(
    client: PluginClient, sql: Any, name: str
) -> None:
    sql.execute(f"CREATE ROLE {name}; CREATE SCHEMA {name} AUTHORIZATION {name}")
    inputs = {"role": "public", "database": "postgres", "owner": name, "objectType": "function", "privileges": []}
    made = client.create(DEFAULTS, inputs)
    assert made.id == f"public_postgres_noschema_{name}_function"
    sql.execute(f"SET ROLE {name}; CREATE FUNCTION {name}.f() RETURNS integer LANGUAGE sql AS 'SELECT 1'; RESET ROLE")
    assert value(sql, f"SELECT has_function_privilege('public', '{name}.f()', 'EXECUTE')") is False
    assert client.diff(refreshed(client, made)).detailed == {}
    sql.execute(f"ALTER DEFAULT PRIVILEGES FOR ROLE {name} GRANT EXECUTE ON FUNCTIONS TO PUBLIC")
    found = refreshed(client, made)
    assert found.outputs["privileges"] == ["EXECUTE"] and client.diff(found, inputs).detailed == {
        "privileges": "UPDATE"
    }
    assert client.diff(refreshed(client, client.update(found, inputs)), inputs).detailed == {}
    client.delete(made)
    client.delete(made)


def test_default_privileges_in_a_schema_come_change_and_go(client: PluginClient, sql: Any, name: str) -> None:
    sql.execute(f"CREATE ROLE {name}; CREATE ROLE {name}_r; CREATE SCHEMA {name} AUTHORIZATION {name}")
    inputs = {
        "role": f"{name}_r", "database": "postgres", "schema": name, "owner": name, "objectType": "table",
        "privileges": ["SELECT", "INSERT"],
    }  # fmt: skip
    made = client.create(DEFAULTS, inputs)
    assert made.id == f"{name}_r_postgres_{name}_{name}_table"
    narrower = {**inputs, "privileges": ["SELECT"]}
    assert client.diff(made, narrower).replaces == [] and client.diff(made, {**inputs, "owner": "x"}).replaces == [
        "owner"
    ]
    client.update(made, narrower)
    sql.execute(f"SET ROLE {name}; CREATE TABLE {name}.t (x integer); RESET ROLE")
    assert can(sql, f"{name}_r", f"{name}.t", "SELECT") and not can(sql, f"{name}_r", f"{name}.t", "INSERT")
    client.delete(made)
    assert client.refresh(made) is None
    assert value(sql, f"SELECT count(*) FROM pg_default_acl WHERE defaclrole = '{name}'::regrole") == 0


# An admin as managed services give one: CREATEROLE and CREATEDB, but no SUPERUSER.


@pytest.fixture
def admin(postgres_server: Any, sql: Any, name: str) -> Iterator[PluginClient]:
    sql.execute(f"CREATE ROLE {name}_admin LOGIN CREATEROLE CREATEDB PASSWORD 'x'")
    with plugin("postgresql") as client:
        configured(
            client, postgres_server, username=f"{name}_admin", password="x", superuser="false", database="postgres"
        )
        yield client


def test_an_admin_without_superuser_can_do_everything_that_a_stack_needs(
    admin: PluginClient, postgres_server: Any, sql: Any, name: str
) -> None:
    database = admin.create(DATABASE, {"name": name})
    owner, reader = (admin.create(ROLE, {"name": f"{name}_{group}"}) for group in ("owner", "reader"))
    login = admin.create(
        ROLE, {"name": f"{name}_l", "login": True, "password": "pw", "roles": [reader.id], "searchPaths": [name]}
    )
    schema = admin.create(SCHEMA, {"name": name, "database": name, "owner": owner.id, "dropCascade": True})
    closed = admin.create(GRANT, {"role": "public", "database": name, "objectType": "database", "privileges": []})
    public = admin.create(
        GRANT, {"role": "public", "database": name, "schema": "public", "objectType": "schema", "privileges": []}
    )
    inputs = {"role": "public", "database": name, "owner": owner.id, "objectType": "function", "privileges": []}
    defaults = admin.create(DEFAULTS, inputs)
    with postgres_server.connect(name) as inside:
        inside.execute(f"SET ROLE {owner.id}; CREATE TABLE {name}.t (x integer); RESET ROLE")
    usage = admin.create(
        GRANT, grant(reader.id, database=name, schema=name, objectType="schema", objects=None, privileges=["USAGE"])
    )
    select = admin.create(GRANT, grant(reader.id, database=name, schema=name, objects=["t"]))
    made = [database, owner, reader, login, schema, closed, public, defaults, usage, select]
    for resource in made:
        assert admin.diff(refreshed(admin, resource)).detailed == {}, resource.token
    members = "SELECT count(*) FROM pg_auth_members WHERE member = %s::regrole AND (set_option OR inherit_option)"
    assert value(sql, members, f"{name}_admin") == 0, "the admin must not stay a member of what it worked on"
    sql.execute(f"GRANT CONNECT ON DATABASE {name} TO {login.id}")
    with postgres_server.connect(name, user=login.id, password="pw") as session:
        assert session.execute("SELECT count(*) FROM t").fetchone() == (0,)
    for resource in (select, usage, defaults, public, closed, schema):
        admin.delete(resource)
    with plugin("postgresql") as inside_:
        configured(inside_, postgres_server, username=f"{name}_admin", password="x", superuser="false", database=name)
        for resource in (login, reader, owner):
            inside_.delete(resource)
    admin.delete(database)
    assert value(sql, "SELECT count(*) FROM pg_roles WHERE rolname LIKE %s", f"{name}%") == 1, "only the admin is left"
    assert value(sql, "SELECT count(*) FROM pg_database WHERE datname = %s", name) == 0


def test_an_admin_takes_up_only_roles_that_it_made_itself(admin: PluginClient, sql: Any, name: str) -> None:
    inputs = {"name": f"{name}_l", "login": True, "password": "pw"}
    admin.create(ROLE, inputs)
    admin.create(ROLE, inputs)
    sql.execute(f"CREATE ROLE {name}_foreign LOGIN")
    with pytest.raises(grpc.RpcError) as caught:
        admin.create(ROLE, {**inputs, "name": f"{name}_foreign"})
    assert "another creator" in said(caught.value)
