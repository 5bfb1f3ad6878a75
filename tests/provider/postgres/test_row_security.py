"""Tenants kept apart by row-level security: who sees what, and how the policies come, go and are put right."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from components.mapping.access import TenantRule
from provider.postgres.migrations import apply
from provider.postgres.row_security import OFF, Isolation, drift
from tests.support.scratch_schema import QUICK, Schema, make_schema
from tools.local.servers.postgres import LocalPostgres

ONE, TWO = str(uuid.UUID(int=1)), str(uuid.UUID(int=2))
RULES = {
    "scans": TenantRule("tenant_id"),
    "artifacts": TenantRule("scan_id", "scans"),
    "finding_{policyId}": TenantRule("tenant_id"),
}
TABLES = """
CREATE TABLE {{ schema }}.scans (scan_id int PRIMARY KEY, tenant_id uuid NOT NULL, note text);
CREATE TABLE {{ schema }}.artifacts (id int PRIMARY KEY, scan_id int REFERENCES {{ schema }}.scans, tenant_id text);
CREATE TABLE {{ schema }}.layers (id int PRIMARY KEY);
CREATE TABLE {{ schema }}.finding_1 (id int, tenant_id uuid);
GRANT USAGE ON SCHEMA {{ schema }} TO {{ writer }}, {{ reader }};
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {{ schema }} TO {{ writer }};
GRANT SELECT ON ALL TABLES IN SCHEMA {{ schema }} TO {{ reader }};
"""


def isolate(schema: Schema, isolation: Isolation | None = None) -> None:
    """As ``up`` does it; the schema's reader is the role that sees all tenants."""
    wanted = isolation or Isolation(RULES, (f"{schema.target.schema}_reader",))
    with schema.connect(**schema.admin) as connection:
        apply(connection, schema.target, schema.directory, (), QUICK, schema.lines.append, wanted)


def found(schema: Schema, isolation: Isolation | None = None) -> list[str]:
    with schema.connect() as connection:
        wanted = isolation or Isolation(RULES, (f"{schema.target.schema}_reader",))
        return drift(connection, schema.target.schema, wanted)


@pytest.fixture
def schema(postgres_server: LocalPostgres, tmp_path: Path) -> Schema:
    """Isolated, with a scan and an artifact of each of two tenants."""
    made = make_schema(postgres_server, tmp_path)
    made.write(v0001_tables=TABLES)
    isolate(made)
    name = made.target.schema
    made.run(
        f"INSERT INTO {name}.scans VALUES (1, '{ONE}'), (2, '{TWO}')",
        f"INSERT INTO {name}.artifacts VALUES (1, 1), (2, 2), (3, NULL)",
        f"INSERT INTO {name}.finding_1 VALUES (1, '{ONE}'), (2, '{TWO}')",
    )
    return made


@contextmanager
def session(schema: Schema, tenant: str | None = None, role: str = "writer") -> "Iterator[psycopg.Connection[Any]]":
    """A transaction of that role and tenant that is undone."""
    with schema.connect() as connection, connection.transaction(force_rollback=True):
        connection.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(f"{schema.target.schema}_{role}")))
        connection.execute(sql.SQL("SET LOCAL search_path = {}").format(sql.Identifier(schema.target.schema)))
        if tenant is not None:
            connection.execute("SELECT set_config('app.tenant_id', %s, true)", (tenant,))
        yield connection


def ids(connection: "psycopg.Connection[Any]", table: str) -> list[int]:
    column = "scan_id" if table == "scans" else "id"
    return [row[0] for row in connection.execute(f"SELECT {column} FROM {table} ORDER BY 1".encode())]


@pytest.mark.parametrize("table", ["scans", "artifacts", "finding_1"])
@pytest.mark.parametrize("role", ["writer", "owner"])
def test_a_session_sees_the_rows_of_its_tenant_and_no_other(schema: Schema, role: str, table: str) -> None:
    for tenant, rows in ((ONE, [1]), (TWO, [2]), (str(uuid.uuid4()), [])):
        with session(schema, tenant, role) as connection:
            assert ids(connection, table) == rows, f"the {role} of {table} sees rows of another tenant"


@pytest.mark.parametrize("tenant", [None, ""], ids=["not set", "empty, as after a SET LOCAL"])
def test_a_session_that_names_no_tenant_sees_and_adds_nothing(schema: Schema, tenant: str | None) -> None:
    with session(schema, tenant) as connection:
        assert [ids(connection, table) for table in ("scans", "artifacts")] == [[], []]
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"):
            connection.execute("INSERT INTO scans VALUES (9, %s)", (ONE,))


def test_after_a_transaction_the_session_has_no_tenant(schema: Schema) -> None:
    with schema.connect() as connection:
        name = schema.target.schema
        with connection.transaction():
            connection.execute(f"SET LOCAL app.tenant_id = '{ONE}'".encode())
        connection.execute(f"SET ROLE {name}_writer".encode())
        rows = connection.execute(f"SELECT * FROM {name}.scans".encode()).fetchall()
    assert rows == [], "a pooled connection would carry one tenant into the work of another"


@pytest.mark.parametrize(
    "statement",
    [
        f"INSERT INTO scans VALUES (3, '{TWO}')",
        f"UPDATE scans SET tenant_id = '{TWO}' WHERE scan_id = 1",
        "INSERT INTO artifacts VALUES (4, 2)",
        "INSERT INTO artifacts VALUES (4, NULL)",
        "UPDATE artifacts SET scan_id = 2 WHERE id = 1",
        f"INSERT INTO finding_1 VALUES (3, '{TWO}')",
    ],
)
def test_no_row_is_written_for_another_tenant(schema: Schema, statement: str) -> None:
    refusal = pytest.raises(psycopg.errors.InsufficientPrivilege, match="violates row-level security")
    with session(schema, ONE) as connection, refusal:
        connection.execute(statement.encode())


def test_rows_of_another_tenant_are_neither_changed_nor_deleted(schema: Schema) -> None:
    with session(schema, ONE) as connection:
        for statement in ("UPDATE scans SET note = 'x'", "DELETE FROM artifacts", "DELETE FROM finding_1"):
            assert connection.execute(statement.encode()).rowcount == 1, statement


def test_a_role_that_bypasses_sees_all_tenants_and_needs_no_attribute(schema: Schema) -> None:
    with session(schema, role="reader") as connection:
        assert [ids(connection, table) for table in ("scans", "artifacts", "finding_1")] == [[1, 2], [1, 2, 3], [1, 2]]
        attributes = "SELECT rolbypassrls OR rolsuper FROM pg_roles WHERE rolname = current_user"
        assert connection.execute(attributes).fetchone() == (False,)


def test_a_role_that_bypasses_needs_no_privilege_on_the_parent(schema: Schema) -> None:
    schema.run(f"REVOKE SELECT ON {schema.target.schema}.scans FROM {schema.target.schema}_reader")
    with session(schema, role="reader") as connection:
        assert ids(connection, "artifacts") == [1, 2, 3]


def test_a_shared_table_is_seen_by_all(schema: Schema) -> None:
    schema.run(f"INSERT INTO {schema.target.schema}.layers VALUES (1)")
    with session(schema) as connection:
        assert ids(connection, "layers") == [1]


def test_foreign_keys_hold_across_tenants(schema: Schema) -> None:
    with session(schema, ONE) as connection, pytest.raises(psycopg.errors.ForeignKeyViolation):
        connection.execute("DELETE FROM scans WHERE scan_id = 1")
    with session(schema, ONE) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("INSERT INTO artifacts VALUES (4, 77)")


def test_referential_actions_reach_rows_that_the_session_does_not_see(schema: Schema) -> None:
    schema.write(
        v0002_notes="CREATE TABLE {{ schema }}.notes (id int, scan_id int REFERENCES {{ schema }}.scans ON DELETE CASCADE,"
        " tenant_id uuid);\n"
    )
    isolate(schema, Isolation({**RULES, "notes": TenantRule("tenant_id")}))
    name = schema.target.schema
    schema.run(f"INSERT INTO {name}.scans VALUES (5, '{ONE}')", f"INSERT INTO {name}.notes VALUES (1, 5, '{TWO}')")
    with session(schema, ONE) as connection:
        connection.execute("DELETE FROM scans WHERE scan_id = 5")
        connection.execute("RESET ROLE")
        assert ids(connection, "notes") == [], "a row without its parent would be left"


def test_partitions_tell_their_rows_by_tenant_too(schema: Schema) -> None:
    schema.write(
        v0002_events="CREATE TABLE {{ schema }}.events (id int, tenant_id uuid) PARTITION BY RANGE (id);\n"
        "CREATE TABLE {{ schema }}.events_1 PARTITION OF {{ schema }}.events FOR VALUES FROM (0) TO (10);\n"
        "GRANT SELECT ON {{ schema }}.events_1 TO {{ writer }};\n"
    )
    wanted = Isolation({**RULES, "events": TenantRule("tenant_id")})
    isolate(schema, wanted)
    schema.run(f"INSERT INTO {schema.target.schema}.events VALUES (1, '{ONE}'), (2, '{TWO}')")
    with session(schema, ONE) as connection:
        assert ids(connection, "events_1") == [1], "the partition is a way round the table"
    assert found(schema, wanted) == []


def test_a_table_is_isolated_from_the_transaction_that_makes_it(schema: Schema) -> None:
    schema.write(
        v0002_late="CREATE TABLE {{ schema }}.late (id int, tenant_id uuid);\n",
        v0003_reads="SELECT * FROM {{ schema }}.late;\n",
    )
    with pytest.raises(Exception, match=r"0003_reads.sql.j2:1: query would be affected by row-level security policy"):
        isolate(schema, Isolation({**RULES, "late": TenantRule("tenant_id")}))


def test_a_migration_that_would_see_a_part_of_the_rows_fails_and_says_so(schema: Schema) -> None:
    schema.write(v0002_change="UPDATE {{ schema }}.scans SET note = 'changed';\n")
    with pytest.raises(Exception, match="query would be affected by row-level security policy"):
        isolate(schema)


def test_a_migration_that_lifts_force_changes_all_rows_and_force_is_back_with_it(schema: Schema) -> None:
    schema.write(
        v0002_change="ALTER TABLE {{ schema }}.scans NO FORCE ROW LEVEL SECURITY;\n"
        "UPDATE {{ schema }}.scans SET note = 'changed';\n"
    )
    isolate(schema)
    assert schema.rows(f"SELECT DISTINCT note FROM {schema.target.schema}.scans") == [("changed",)]
    assert found(schema) == []


def test_a_second_run_changes_nothing_and_locks_nothing(schema: Schema) -> None:
    schema.lines.clear()
    with schema.connect(autocommit=False) as reader:
        reader.execute(f"SELECT * FROM {schema.target.schema}.scans".encode())
        isolate(schema)
    assert schema.lines == [], "a deployment would wait for every reader"


def test_switched_off_it_leaves_nothing_and_on_again_all_is_back(schema: Schema) -> None:
    isolate(schema, OFF)
    assert found(schema, OFF) == []
    with session(schema) as connection:
        assert ids(connection, "scans") == [1, 2]
        assert connection.execute("SELECT count(*) FROM pg_policy WHERE polrelid = 'scans'::regclass").fetchone() == (
            0,
        )
    isolate(schema)
    assert found(schema) == []
    with session(schema, ONE) as connection:
        assert ids(connection, "scans") == [1]


TAMPERINGS = {
    "ALTER TABLE {0}.scans DISABLE ROW LEVEL SECURITY": "row-level security of {0}.scans is off: tenants are not isolated",
    "ALTER TABLE {0}.scans NO FORCE ROW LEVEL SECURITY": "row-level security of {0}.scans is not forced: its owner sees every tenant",
    "DROP POLICY tenant_isolation ON {0}.artifacts": "policy tenant_isolation on {0}.artifacts is missing",
    "ALTER POLICY tenant_isolation ON {0}.scans USING (true)": "policy tenant_isolation on {0}.scans was changed",
    "ALTER POLICY tenant_isolation ON {0}.scans WITH CHECK (true)": "policy tenant_isolation on {0}.scans was changed",
    "ALTER POLICY tenant_isolation ON {0}.scans TO {0}_writer": "policy tenant_isolation on {0}.scans was changed",
    "ALTER POLICY tenant_bypass ON {0}.scans TO {0}_reader, {0}_writer": "policy tenant_bypass on {0}.scans was changed",
    "CREATE POLICY open ON {0}.finding_1 USING (true)": "policy open on {0}.finding_1: not in the mapping",
    "ALTER TABLE {0}.layers ENABLE ROW LEVEL SECURITY": "row-level security of {0}.layers is on: not in the mapping",
}


@pytest.mark.parametrize("tampering", TAMPERINGS)
def test_tampering_is_found_in_words_and_put_right(schema: Schema, tampering: str) -> None:
    assert found(schema) == [], "an untouched schema has no drift"
    schema.run(tampering.format(schema.target.schema))
    assert found(schema) == [TAMPERINGS[tampering].format(schema.target.schema)]
    isolate(schema)
    assert found(schema) == []


def test_a_policy_made_by_hand_is_found_and_dropped_where_isolation_is_off(schema: Schema) -> None:
    isolate(schema, OFF)
    name = schema.target.schema
    schema.run(
        f"CREATE POLICY nothing ON {name}.layers USING (false)", f"ALTER TABLE {name}.layers ENABLE ROW LEVEL SECURITY"
    )
    assert found(schema, OFF) == [
        f"policy nothing on {name}.layers: not in the mapping",
        f"row-level security of {name}.layers is on: not in the mapping",
    ]
    isolate(schema, OFF)
    assert found(schema, OFF) == []
