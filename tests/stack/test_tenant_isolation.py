"""Tenants kept apart on a whole stack: switched on by config, tried as the modules, and switched off again."""

import json
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from psycopg import sql

from components.mapping.access import TENANT_COLUMN
from tests.stack.test_access_matrix import MAPPING, made_finding_tables, mismatches
from tests.support.stack import LocalStack
from tools.operations.drift_postgres import check
from tools.operations.stack import Stack

pytestmark = pytest.mark.xdist_group("live_stack")

KEY = "postgres:tenantIsolation"
ONE, TWO = str(uuid.uuid4()), str(uuid.uuid4())
ISOLATED = {
    (schema, table)
    for schema in MAPPING.postgres.schemas
    for table in MAPPING.access.schemas[schema].tenant_rules
    if "{" not in table
}


@pytest.fixture(scope="module")
def on(live_stack: LocalStack) -> Iterator[str]:
    """Isolation switched on with ``up``, and the tables of a policy that were made before; gives the preview's text."""
    live_stack.forget()
    with made_finding_tables(live_stack) as before:
        live_stack.must("pulumi", "config", "set", KEY, "row-level-security")
        try:
            preview = live_stack.must("preview", "--diff")
            live_stack.must("up")
            assert before, "these must become isolated as well"
            yield preview
        finally:
            live_stack.must("pulumi", "config", "rm", KEY)
            live_stack.must("up")
            live_stack.forget()


@pytest.fixture
def session(live_stack: LocalStack, on: str) -> "Iterator[Callable[..., psycopg.Connection[Any]]]":
    """Sessions of modules, each with a tenant or none."""
    opened = []

    def open_(module: str, tenant: str | None = None) -> "psycopg.Connection[Any]":
        connection = live_stack.login(module)
        opened.append(connection)
        if tenant:
            connection.execute("SELECT set_config('app.tenant_id', %s, false)", (tenant,))
        return connection

    yield open_
    for connection in opened:
        connection.close()


def stack_of(live_stack: LocalStack) -> Stack:
    text = live_stack.must("pulumi", "config", "--json", "--show-secrets", "--stack", "local")
    return Stack("local", {key: str(item.get("value", "")) for key, item in json.loads(text).items()})


def secured(live_stack: LocalStack) -> set[tuple[str, str]]:
    """Tables with row-level security, forced."""
    query = (
        "SELECT relnamespace::regnamespace::text, relname FROM pg_class WHERE relrowsecurity AND relforcerowsecurity"
    )
    with live_stack.admin() as connection:
        return set(connection.execute(query).fetchall())


def test_the_preview_shows_each_schema_and_table_that_will_be_isolated(on: str) -> None:
    schemas = {schema for schema, _ in ISOLATED}
    # The others that change are the contracts of services, which say that tenants are kept apart.
    assert on.count("postgres:SchemaMigrations: (update)") == len(schemas)
    assert "to create" not in on and "to delete" not in on and "to replace" not in on
    for _, table in ISOLATED:
        assert f"+ {table} " in on or f"+ {table}:" in on, f"a reviewer would not see that {table} changes"


def test_every_table_of_a_tenant_is_isolated_and_no_shared_one(live_stack: LocalStack, on: str) -> None:
    found = secured(live_stack)
    run_time = {place for place in found if place[1].startswith("effective_finding_")}
    assert found - run_time == ISOLATED
    assert len(run_time) == 2, "tables that Policy made before isolation was switched on"
    with live_stack.admin() as connection:
        rows = connection.execute(
            "SELECT relnamespace::regnamespace::text, relname FROM pg_class c JOIN pg_attribute ON attrelid = c.oid"
            " WHERE attname = %s AND relkind IN ('r', 'p') AND NOT relrowsecurity",
            (TENANT_COLUMN,),
        ).fetchall()
    assert rows == [], "a table with tenant_id shows the rows of all"


def test_the_access_matrix_is_the_same_with_tenants_kept_apart(live_stack: LocalStack, on: str) -> None:
    with made_finding_tables(live_stack) as names:
        wrong = [line for module in MAPPING.modules for line in mismatches(live_stack, names, module)]
    assert not wrong, "isolation must neither give nor take a privilege: " + "; ".join(wrong)


def test_scanner_sees_its_tenant_and_timeline_indexer_all(session: Any) -> None:
    scans = {tenant: str(uuid.uuid4()) for tenant in (ONE, TWO)}
    for tenant, scan in scans.items():
        session("scanner", tenant).execute(
            "INSERT INTO scanner.scans (scan_id, tenant_id) VALUES (%s, %s)", (scan, tenant)
        )
    query = "SELECT scan_id::text FROM scanner.scans"
    try:
        for tenant, scan in scans.items():
            for module in ("scanner", "sbom_service", "attestor"):
                assert session(module, tenant).execute(query).fetchall() == [(scan,)], module
        assert session("scanner").execute(query).fetchall() == []
        seen = {row[0] for row in session("timeline_indexer").execute(query)}
        assert seen == set(scans.values()), "the indexer of all tenants would miss what happened"
    finally:
        for tenant, scan in scans.items():
            session("scanner", tenant).execute("DELETE FROM scanner.scans WHERE scan_id = %s", (scan,))


def test_signer_sees_the_keys_of_its_tenant_through_the_client(session: Any) -> None:
    client, key = str(uuid.uuid4()), str(uuid.uuid4())
    authority = session("authority", ONE)
    with authority.transaction():
        authority.execute("INSERT INTO authority.clients (client_id, tenant_id) VALUES (%s, %s)", (client, ONE))
        authority.execute("INSERT INTO authority.keys (key_id, client_id) VALUES (%s, %s)", (key, client))
    try:
        query = "SELECT key_id::text FROM authority.keys"
        assert session("signer", ONE).execute(query).fetchall() == [(key,)]
        assert session("signer", TWO).execute(query).fetchall() == []
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"):
            session("authority", TWO).execute(
                "INSERT INTO authority.keys (key_id, client_id) VALUES (%s, %s)", (str(uuid.uuid4()), client)
            )
    finally:
        authority.execute("DELETE FROM authority.keys WHERE key_id = %s", (key,))
        authority.execute("DELETE FROM authority.clients WHERE client_id = %s", (client,))


def test_timeline_indexer_reads_deliveries_without_reading_the_rules_behind_them(session: Any) -> None:
    indexer = session("timeline_indexer")
    assert indexer.execute("SELECT count(*) FROM notify.delivery_log").fetchone() == (0,)
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="permission denied for table rules"):
        indexer.execute("SELECT count(*) FROM notify.rules")


def test_shared_tables_need_no_tenant(session: Any) -> None:
    for module, table in (("vexlens", "vex.vex_raw"), ("concelier", "vuln.linksets"), ("symbols", "symbols.symbols")):
        assert session(module).execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)


FINDING = """INSERT INTO {} (finding_id, policy_id, tenant_id, component_purl, vulnerability_id, verdict)
    VALUES (gen_random_uuid(), {}, {}, 'pkg:deb/openssl', 'CVE-1', 'block')"""


def finding(table: sql.Identifier, policy_id: str, tenant: str) -> sql.Composed:
    return sql.SQL(FINDING).format(table, sql.Literal(policy_id), sql.Literal(tenant))


def test_finding_tables_are_isolated_from_their_first_moment(session: Any) -> None:
    policy_id = str(uuid.uuid4())
    table = sql.Identifier("policy", f"effective_finding_{policy_id}")
    policy = session("policy", ONE)
    with policy.transaction(force_rollback=True):
        policy.execute("INSERT INTO policy.policies (policy_id, tenant_id) VALUES (%s, %s)", (policy_id, ONE))
        policy.execute("SELECT policy.create_finding_tables(%s)", (policy_id,))
        made = policy.execute(
            "SELECT count(DISTINCT relname) FROM pg_class JOIN pg_policy ON polrelid = pg_class.oid"
            " WHERE relname LIKE %s AND relrowsecurity AND relforcerowsecurity",
            (f"effective_finding_{policy_id}%",),
        )
        assert made.fetchone() == (2,), "both tables, in the transaction that makes them"
        policy.execute(finding(table, policy_id, ONE))
        refusal = pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security")
        with refusal, policy.transaction():
            policy.execute(finding(table, policy_id, TWO))
        policy.execute("SELECT set_config('app.tenant_id', %s, true)", (TWO,))
        assert policy.execute(sql.SQL("SELECT * FROM {}").format(table)).fetchall() == []


def test_a_policy_of_another_tenant_gets_no_finding_tables(session: Any) -> None:
    policy_id = str(uuid.uuid4())
    policy = session("policy", ONE)
    with policy.transaction(force_rollback=True):
        policy.execute("INSERT INTO policy.policies (policy_id, tenant_id) VALUES (%s, %s)", (policy_id, ONE))
        policy.execute("SELECT set_config('app.tenant_id', %s, true)", (TWO,))
        with pytest.raises(psycopg.errors.ForeignKeyViolation, match="no policy"):
            policy.execute("SELECT policy.create_finding_tables(%s)", (policy_id,))


@pytest.mark.parametrize(
    ("tampering", "undo", "sentence"),
    [
        (
            "ALTER TABLE scanner.scans DISABLE ROW LEVEL SECURITY",
            "ALTER TABLE scanner.scans ENABLE ROW LEVEL SECURITY",
            "row-level security of scanner.scans is off: tenants are not isolated",
        ),
        (
            "ALTER TABLE policy.policies NO FORCE ROW LEVEL SECURITY",
            "ALTER TABLE policy.policies FORCE ROW LEVEL SECURITY",
            "row-level security of policy.policies is not forced: its owner sees every tenant",
        ),
        (
            "CREATE POLICY open ON notify.rules USING (true)",
            "DROP POLICY open ON notify.rules",
            "policy open on notify.rules: not in the mapping",
        ),
        (
            "ALTER POLICY tenant_bypass ON scanner.scans TO timeline_indexer, stellaops_backup, scanner",
            "ALTER POLICY tenant_bypass ON scanner.scans TO timeline_indexer, stellaops_backup",
            "policy tenant_bypass on scanner.scans was changed",
        ),
    ],
)
def test_drift_names_tampering_with_isolation(
    live_stack: LocalStack, on: str, tampering: str, undo: str, sentence: str
) -> None:
    stack = stack_of(live_stack)
    with live_stack.admin() as connection:
        connection.execute(tampering.encode())
        try:
            assert [item.sentence for item in check(stack, None)] == [sentence]
        finally:
            connection.execute(undo.encode())
    assert check(stack, None) == []


def test_refresh_sees_tampering_and_up_mends_it(live_stack: LocalStack, on: str) -> None:
    with live_stack.admin() as connection:
        connection.execute("ALTER TABLE scanner.scans DISABLE ROW LEVEL SECURITY")
    live_stack.must("refresh")
    assert "1 to update" in live_stack.must("preview"), "of the schema that was touched, and of no other"
    live_stack.must("up")
    assert ("scanner", "scans") in secured(live_stack)
    assert check(stack_of(live_stack), None) == []


def test_switched_off_by_a_plain_up_nothing_is_left(live_stack: LocalStack, on: str) -> None:
    live_stack.must("pulumi", "config", "set", KEY, "off")
    try:
        live_stack.must("up")
        assert secured(live_stack) == set()
        with live_stack.admin() as connection:
            assert connection.execute("SELECT count(*) FROM pg_policy").fetchone() == (0,)
        live_stack.must("preview", "--expect-no-changes")
        assert check(stack_of(live_stack), None) == []
    finally:
        live_stack.must("pulumi", "config", "set", KEY, "row-level-security")
