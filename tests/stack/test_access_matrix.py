"""Log in as every module and try every verb on every table: each cell equals what the mapping says.

Statements run for real inside a transaction that is rolled back. A refusal is SQLSTATE 42501; anything else that the
server says (a NOT NULL violated by an empty row, an append-only table, a row without a tenant) comes after the privilege
was found. ``test_tenant_isolation`` fills the same matrix with tenants kept apart.
"""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from components.mapping import load
from components.mapping.access import VERSION_TABLE, TableAccess

ROOT = Path(__file__).parents[2]
MAPPING = load(ROOT / "schema-mapping.yaml")
REFUSED = "42501"  # insufficient_privilege
STATEMENTS = {
    "SELECT": "SELECT * FROM {table} LIMIT 0",
    "INSERT": "INSERT INTO {table} DEFAULT VALUES",
    "UPDATE": "UPDATE {table} SET {column} = NULL WHERE false",
    "DELETE": "DELETE FROM {table} WHERE false",
    "TRUNCATE": "TRUNCATE {table}",
    "TRIGGER": "CREATE TRIGGER mine BEFORE INSERT ON {table} EXECUTE FUNCTION suppress_redundant_updates_trigger()",
}

pytestmark = pytest.mark.xdist_group("live_stack")


@pytest.fixture(scope="module")
def finding_tables(live_stack: Any) -> Iterator[tuple[str, str]]:
    """The two tables that Policy makes at run time for one policy."""
    with made_finding_tables(live_stack) as names:
        yield names


@contextmanager
def made_finding_tables(live_stack: Any) -> Iterator[tuple[str, str]]:
    policy_id, tenant_id = uuid.uuid4(), str(uuid.uuid4())
    with live_stack.login("policy") as connection:
        connection.execute("SELECT set_config('app.tenant_id', %s, false)", (tenant_id,))
        connection.execute(
            "INSERT INTO policy.policies (policy_id, tenant_id, name) VALUES (%s, %s, 'matrix')", (policy_id, tenant_id)
        )
        connection.execute("SELECT policy.create_finding_tables(%s)", (policy_id,))
    with live_stack.admin() as connection:
        rows = connection.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'policy'::regnamespace AND relkind = 'r'"
            " AND relname LIKE %s ORDER BY length(relname)",
            (f"effective_finding_{policy_id}%",),
        ).fetchall()
    assert len(rows) == 2, "create_finding_tables makes the current table and its history"
    yield rows[0][0], rows[1][0]
    with live_stack.admin() as connection:
        for name in rows:
            connection.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier("policy", name[0])))
        connection.execute("DELETE FROM policy.policies WHERE policy_id = %s", (policy_id,))


def tables(finding_tables: tuple[str, str]) -> Iterator[tuple[str, str, str, list[str]]]:
    """Schema, name in the mapping, name on the server, columns: of every table, run-time and version tables included."""
    for schema, definition in MAPPING.postgres.schemas.items():
        for name, table in definition.tables.items():
            yield schema, name, name, list(table.columns)
        yield schema, VERSION_TABLE, VERSION_TABLE, ["version", "description"]
        for name, live in zip(definition.runtime_tables, finding_tables, strict=False):
            yield schema, name, live, list(definition.runtime_tables[name].columns)


def refused(connection: psycopg.Connection[Any], statement: sql.Composed) -> bool:
    """Whether the server refuses the statement for want of a privilege; its effects are undone."""
    try:
        with connection.transaction(force_rollback=True):
            connection.execute(statement)
    except psycopg.Error as error:
        # A row of no tenant has the same SQLSTATE, and comes after the privilege was found.
        return error.sqlstate == REFUSED and "row-level security" not in str(error)
    return False


def mismatches(live_stack: Any, finding_tables: tuple[str, str], module: str) -> list[str]:
    """Every cell of the module's matrix of tables and verbs that is not as the mapping says."""
    expected = MAPPING.access.logins[module].tables
    wrong = []
    with live_stack.login(module) as connection:
        for schema, name, live, columns in tables(finding_tables):
            allowed = expected.get((schema, name), TableAccess()).privileges
            for verb, text in STATEMENTS.items():
                table, column = sql.Identifier(schema, live), sql.Identifier(columns[-1])
                got = not refused(connection, sql.SQL(text).format(table=table, column=column))
                if got != (verb in allowed):
                    wrong.append(f"{module} {'may' if got else 'may not'} {verb} {schema}.{live}")
    return wrong


@pytest.mark.parametrize("module", MAPPING.modules)
def test_a_module_may_do_on_each_table_what_the_mapping_says_and_nothing_else(
    live_stack: Any, finding_tables: tuple[str, str], module: str
) -> None:
    wrong = mismatches(live_stack, finding_tables, module)
    assert not wrong, "the server and the mapping disagree: " + "; ".join(wrong)


def key_length(connection: psycopg.Connection[Any], table: sql.Identifier) -> int:
    """How many columns the primary key has."""
    row = connection.execute(
        "SELECT cardinality(conkey) FROM pg_constraint WHERE contype = 'p' AND conrelid = %s::regclass",
        (table.as_string(connection),),
    ).fetchone()
    assert row is not None
    return int(row[0])


@pytest.mark.parametrize("module", MAPPING.modules)
def test_no_module_may_refer_to_a_table(live_stack: Any, finding_tables: tuple[str, str], module: str) -> None:
    """A foreign key of somebody else's would block deleting, and tells which keys exist."""
    may, role = [], sql.Identifier(module)
    with live_stack.admin() as connection:
        for schema, _, live, _ in tables(finding_tables):
            table = sql.Identifier(schema, live)
            # Nobody may make tables, so that is given for a moment: what is left to refuse is the reference.
            with connection.transaction(force_rollback=True):
                connection.execute(
                    sql.SQL("GRANT USAGE, CREATE ON SCHEMA {} TO {}").format(sql.Identifier(schema), role)
                )
                connection.execute(sql.SQL("SET LOCAL ROLE {}").format(role))
                key = key_length(connection, table)
                columns = [sql.Identifier(f"mine_{number}") for number in range(key)]
                refers = sql.SQL("CREATE TABLE {} ({}, FOREIGN KEY ({}) REFERENCES {})").format(
                    sql.Identifier(schema, "mine"),
                    sql.SQL(", ").join(sql.SQL("{} integer").format(column) for column in columns),
                    sql.SQL(", ").join(columns),
                    table,
                )
                if not refused(connection, refers):
                    may.append(f"{schema}.{live}")
    assert not may, f"{module} may refer to {may}"


def test_a_reference_would_be_allowed_with_the_privilege(live_stack: Any) -> None:
    with live_stack.admin() as connection, connection.transaction(force_rollback=True):
        connection.execute("GRANT USAGE, CREATE ON SCHEMA vex TO gateway; GRANT REFERENCES ON vex.vex_raw TO gateway")
        connection.execute("SET LOCAL ROLE gateway")
        connection.execute("CREATE TABLE vex.mine (mine uuid REFERENCES vex.vex_raw (raw_id))")


def functions(live_stack: Any) -> list[tuple[str, str, list[str]]]:
    """Schema, name and types of arguments of every function in a schema of the mapping."""
    with live_stack.admin() as connection:
        rows: list[tuple[str, str, list[str]]] = connection.execute(
            "SELECT nspname, proname, ARRAY(SELECT t::regtype::text FROM unnest(proargtypes) WITH ORDINALITY AS a (t, place)"
            " ORDER BY place) FROM pg_proc JOIN pg_namespace n ON n.oid = pronamespace WHERE nspname = ANY (%s)",
            (list(MAPPING.postgres.schemas),),
        ).fetchall()
    assert {name for _, name, _ in rows} == {"create_finding_tables", "refuse_change"}
    return rows


@pytest.mark.parametrize("module", MAPPING.modules)
def test_a_module_may_call_the_functions_that_the_mapping_gives_it_and_no_other(live_stack: Any, module: str) -> None:
    wrong = []
    found = functions(live_stack)
    with live_stack.login(module) as connection:
        for schema, name, types in found:
            arguments = [sql.SQL("CAST (NULL AS {})").format(sql.SQL(kind)) for kind in types]
            call = sql.SQL("SELECT {}({})").format(sql.Identifier(schema, name), sql.SQL(", ").join(arguments))
            got = not refused(connection, call)
            if got != (module in MAPPING.access.schemas[schema].functions.get(f"{name}({', '.join(types)})", ())):
                wrong.append(f"{module} {'may' if got else 'may not'} call {schema}.{name}")
    assert not wrong, "; ".join(wrong)


@pytest.mark.parametrize("module", MAPPING.modules)
def test_a_module_that_is_given_columns_sees_those_and_no_other(live_stack: Any, module: str) -> None:
    wrong = []
    with live_stack.login(module) as connection:
        for (schema, name), access in MAPPING.access.logins[module].tables.items():
            if not access.columns:
                continue
            for column in MAPPING.postgres.schemas[schema].tables[name].columns:
                query = sql.SQL("SELECT {} FROM {} LIMIT 0").format(
                    sql.Identifier(column), sql.Identifier(schema, name)
                )
                got = not refused(connection, query)
                if got != ("SELECT" in access.columns.get(column, set())):
                    wrong.append(f"{module} {'may' if got else 'may not'} read {schema}.{name}.{column}")
    assert not wrong, "; ".join(wrong)


@pytest.mark.parametrize("module", MAPPING.modules)
def test_no_module_may_create_anything_anywhere(live_stack: Any, module: str) -> None:
    may = []
    with live_stack.login(module) as connection:
        for schema in (*MAPPING.postgres.schemas, "public"):
            table = sql.Identifier(schema, "mine")
            for text in ("CREATE TABLE {} (id integer)", "CREATE VIEW {} AS SELECT 1 AS one"):
                if not refused(connection, sql.SQL(text).format(table)):
                    may.append(f"{text.split()[1]} in {schema}")
        for text in (
            "CREATE SCHEMA mine",
            "CREATE TEMPORARY TABLE mine (id integer)",
            "CREATE ROLE mine",
            "CREATE DATABASE mine",
        ):
            try:
                with connection.transaction(force_rollback=True):
                    connection.execute(text)
                may.append(text)
            except psycopg.Error as error:
                # CREATE DATABASE refuses a transaction only after it has checked the privilege to create one.
                if error.sqlstate != REFUSED and not text.startswith("CREATE DATABASE"):
                    may.append(text)
    assert not may, f"{module} could leave objects that no migration knows: {may}"


@pytest.mark.parametrize("module", MAPPING.modules)
def test_a_login_is_limited_as_the_mapping_says(live_stack: Any, module: str) -> None:
    with live_stack.login(module) as connection:
        row = connection.execute(
            "SELECT rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls, rolconnlimit"
            " FROM pg_roles WHERE rolname = current_user"
        ).fetchone()
        assert row == (
            False,
            MAPPING.modules[module].postgres.connection_limit or MAPPING.postgres.defaults.connection_limit,
        )
        path = connection.execute("SHOW search_path").fetchone()
        assert path is not None
        assert path[0].replace('"', "") == (", ".join(MAPPING.access.logins[module].schemas) or "pg_catalog")
        assert connection.execute("SHOW statement_timeout").fetchone() == ("1min",)
        assert connection.execute("SHOW idle_in_transaction_session_timeout").fetchone() == ("2min",)


def test_a_wrong_password_is_refused(live_stack: Any) -> None:
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        live_stack.login("scanner", password="wrong")


def test_public_has_nothing_in_the_database(live_stack: Any) -> None:
    with live_stack.admin() as connection:
        rows = connection.execute(
            """
            SELECT 'database', acl.privilege_type FROM pg_database, aclexplode(coalesce(datacl, acldefault('d', datdba))) acl
             WHERE datname = current_database() AND acl.grantee = 0
            UNION ALL
            SELECT nspname, acl.privilege_type FROM pg_namespace, aclexplode(coalesce(nspacl, acldefault('n', nspowner))) acl
             WHERE nspname !~ '^(pg_|information_schema)' AND acl.grantee = 0
            UNION ALL
            SELECT proname, acl.privilege_type FROM pg_proc, aclexplode(coalesce(proacl, acldefault('f', proowner))) acl
             WHERE pronamespace::regnamespace::text !~ '^(pg_catalog|information_schema)' AND acl.grantee = 0
            UNION ALL
            SELECT relname, acl.privilege_type FROM pg_class, aclexplode(coalesce(relacl, acldefault('r', relowner))) acl
             WHERE relnamespace::regnamespace::text !~ '^(pg_|information_schema)' AND relkind = 'r' AND acl.grantee = 0
            """
        ).fetchall()
    assert rows == [], f"everybody who can log in would have this: {rows}"


def test_no_login_owns_anything_and_none_is_member_of_an_owner_role(live_stack: Any) -> None:
    logins = list(MAPPING.modules)
    with live_stack.admin() as connection:
        owned = connection.execute(
            "SELECT relname FROM pg_class JOIN pg_roles ON pg_roles.oid = relowner WHERE rolname = ANY(%s)", (logins,)
        ).fetchall()
        members = connection.execute(
            "SELECT member::regrole::text, roleid::regrole::text FROM pg_auth_members"
            " WHERE member::regrole::text = ANY(%s) AND (roleid::regrole::text LIKE '%%\\_owner' OR roleid::regrole::text LIKE 'pg\\_%%')",
            (logins,),
        ).fetchall()
    assert owned == [] and members == [], f"a login that owns a table may switch its triggers off: {owned} {members}"
