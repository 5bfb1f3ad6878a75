"""``policy.create_finding_tables``: the two tables of a policy, made by Policy at run time, safely."""

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from components.mapping import load
from components.mapping.access import APPEND, CHANGE, READ
from tests.stack.test_catalog import columns, short

MAPPING = load(Path(__file__).parents[2] / "schema-mapping.yaml")
CALLERS = 8
POSTGRES_NAME_BYTES = 63
READER = "risk_engine"  # reads the schema

pytestmark = pytest.mark.xdist_group("live_stack")


class Findings:
    """A policy of a test's own. Its tables are named as the reference names them."""

    def __init__(self, live_stack: Any, policy_id: str) -> None:
        self.live_stack = live_stack
        self.policy_id = policy_id
        self.current = f"effective_finding_{policy_id}"
        self.history = f"{self.current}_history"
        with live_stack.login("policy") as connection:
            connection.execute(
                "INSERT INTO policy.policies (policy_id, tenant_id) VALUES (%s, %s)", (policy_id, policy_id)
            )

    def make(self) -> tuple[str, str]:
        with self.live_stack.login("policy") as connection:
            query = "SELECT current_table, history_table FROM policy.create_finding_tables(%s)"
            row = connection.execute(query, (self.policy_id,)).fetchone()
            assert row is not None
            return row[0], row[1]

    def rows(self, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
        with self.live_stack.admin() as connection:
            return list(connection.execute(query.encode(), parameters).fetchall())

    def relations(self) -> list[str]:
        """Every table and index of the policy."""
        query = (
            "SELECT relname FROM pg_class WHERE relnamespace = 'policy'::regnamespace AND relname LIKE %s ORDER BY 1"
        )
        return [row[0] for row in self.rows(query, f"%{self.policy_id}%")]

    def insert(self, table: str, policy_id: str | None = None) -> sql.Composed:
        values = {name: str(uuid.uuid4()) for name in ("finding_id", "tenant_id")}
        values |= {
            "policy_id": policy_id or self.policy_id,
            "component_purl": "pkg:deb/openssl",
            "vulnerability_id": "CVE-1",
        }
        values |= {"verdict": "block", "computed_at": "2026-01-01T00:00:00Z"}
        if table == self.history:
            values["history_id"] = str(uuid.uuid4())
        return sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(
            sql.Identifier("policy", table),
            sql.SQL(", ").join(map(sql.Identifier, values)),
            sql.SQL(", ").join(map(sql.Literal, values.values())),
        )

    def remove(self) -> None:
        with self.live_stack.admin() as connection:
            for table in (self.current, self.history):
                connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(sql.Identifier("policy", table)))
            connection.execute("DELETE FROM policy.policies WHERE policy_id = %s", (self.policy_id,))


@pytest.fixture
def findings(live_stack: Any) -> Iterator[Findings]:
    made = Findings(live_stack, str(uuid.uuid4()))
    yield made
    made.remove()


def test_both_tables_have_the_names_of_the_reference_and_the_columns_of_the_mapping(findings: Findings) -> None:
    assert findings.make() == (f'policy."{findings.current}"', f'policy."{findings.history}"')
    patterns = MAPPING.postgres.schemas["policy"].runtime_tables
    with findings.live_stack.admin() as connection:
        for pattern, name in zip(patterns, (findings.current, findings.history), strict=True):
            assert name == pattern.replace("{policyId}", findings.policy_id)
            live = {column: short(kind) for column, kind, _ in columns(connection, "policy", name)}
            assert list(live.items()) == list(patterns[pattern].columns.items()), f"the docs describe another {name}"


def test_calling_it_again_changes_nothing(findings: Findings) -> None:
    first = findings.make()
    query = "SELECT oid, relname, xmin::text FROM pg_class WHERE relname LIKE %s ORDER BY 1"
    before = findings.rows(query, f"%{findings.policy_id}%")
    assert findings.make() == first
    assert findings.rows(query, f"%{findings.policy_id}%") == before


def test_eight_callers_at_once_get_the_same_two_tables(findings: Findings) -> None:
    with ThreadPoolExecutor(CALLERS) as pool:
        answers = list(pool.map(lambda _: findings.make(), range(CALLERS)))
    assert set(answers) == {(f'policy."{findings.current}"', f'policy."{findings.history}"')}
    assert {findings.current, findings.history} <= set(findings.relations())


def test_a_caller_waits_for_one_that_has_not_committed(findings: Findings) -> None:
    with findings.live_stack.login("policy") as first, ThreadPoolExecutor(1) as pool:
        with first.transaction():
            first.execute("SELECT policy.create_finding_tables(%s)", (findings.policy_id,))
            second = pool.submit(findings.make)
            with pytest.raises(TimeoutError):
                second.result(timeout=0.5)
        assert second.result(timeout=10) == (f'policy."{findings.current}"', f'policy."{findings.history}"')


def test_a_login_that_may_not_change_policies_delays_no_caller(findings: Findings) -> None:
    with findings.live_stack.login(READER) as other, other.transaction():
        for key in ("policy", "policy.create_finding_tables"):
            other.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (f"{key} {findings.policy_id}",))
        other.execute("SELECT FROM policy.policies")
        for statement in ("SELECT FROM policy.policies FOR KEY SHARE", "LOCK policy.policies IN SHARE MODE"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege), other.transaction():
                other.execute(statement.encode())
        with findings.live_stack.login("policy") as caller:
            caller.execute("SET lock_timeout = '5s'")
            caller.execute("SELECT policy.create_finding_tables(%s)", (findings.policy_id,))
    assert findings.current in findings.relations()


def test_what_is_rolled_back_can_be_made_again(findings: Findings) -> None:
    with findings.live_stack.login("policy") as connection, connection.transaction(force_rollback=True):
        connection.execute("SELECT policy.create_finding_tables(%s)", (findings.policy_id,))
    assert findings.relations() == []
    findings.make()


def test_policies_whose_ids_begin_alike_have_names_of_their_own(live_stack: Any) -> None:
    start = f"0199{uuid.uuid4().hex[:4]}-0000-7000-8000-"
    pair = [Findings(live_stack, f"{start}{number:012}") for number in (1, 2)]
    try:
        for one in pair:
            one.make()
        for one in pair:
            names = one.relations()
            made = one.rows(
                "SELECT count(*) FROM pg_class c WHERE oid IN (to_regclass(%s), to_regclass(%s)) OR EXISTS"
                " (SELECT FROM pg_index WHERE indexrelid = c.oid AND indrelid IN (to_regclass(%s), to_regclass(%s)))",
                *(f'policy."{name}"' for name in (one.current, one.history) * 2),
            )
            assert made == [(len(names),)], "a name that was cut short would be that of another policy's index"
            assert max(len(name) for name in names) <= POSTGRES_NAME_BYTES
    finally:
        for one in pair:
            one.remove()


@pytest.mark.parametrize(
    ("argument", "sqlstate"),
    [
        (str(uuid.uuid4()), "23503"),
        (None, "22004"),
        ('x"; DROP TABLE policy.policies; --', "22P02"),
        ("", "22P02"),
    ],
    ids=["unknown policy", "NULL", "SQL", "empty"],
)
def test_anything_but_the_id_of_a_policy_is_refused(live_stack: Any, argument: str | None, sqlstate: str) -> None:
    with live_stack.login("policy") as connection, pytest.raises(psycopg.Error) as caught:
        connection.execute("SELECT policy.create_finding_tables(%s)", (argument,))
    assert caught.value.sqlstate == sqlstate


def test_the_owner_has_them_and_each_group_role_may_do_its_part(findings: Findings) -> None:
    findings.make()
    rows = findings.rows(
        "SELECT relname, relowner::regrole::text, grantee::regrole::text, privilege_type"
        " FROM pg_class, aclexplode(relacl)"
        " WHERE oid IN (to_regclass(%s), to_regclass(%s))",
        f'policy."{findings.current}"',
        f'policy."{findings.history}"',
    )
    assert {row[1] for row in rows} == {"policy_owner"}, "a login that owned them could switch the triggers off"
    for table, writer in ((findings.current, CHANGE), (findings.history, APPEND)):
        grants: dict[str, set[str]] = {}
        for name, _, grantee, privilege in rows:
            if name == table and grantee != "policy_owner":
                grants.setdefault(grantee, set()).add(privilege)
        assert grants == {"policy_writer": set(writer), "policy_reader": set(READ)}, table


BECOME = {
    "owner": "SET LOCAL ROLE policy_owner",
    "admin": "SET LOCAL client_min_messages = warning",
    "replica": "SET LOCAL session_replication_role = replica",
}
CHANGES = {
    "UPDATE": "UPDATE {} SET verdict = 'pass'",
    "DELETE": "DELETE FROM {}",
    "TRUNCATE": "TRUNCATE {}",
}


@pytest.mark.parametrize("who", BECOME)
@pytest.mark.parametrize("change", CHANGES)
def test_history_never_changes_whoever_tries(findings: Findings, change: str, who: str) -> None:
    findings.make()
    table = sql.Identifier("policy", findings.history)
    message = rf"append-only: {change} on policy\.{findings.history} is refused"
    with findings.live_stack.admin() as connection, connection.transaction(force_rollback=True):
        connection.execute(BECOME[who])
        connection.execute(findings.insert(findings.history))
        with pytest.raises(psycopg.Error, match=message) as caught, connection.transaction():
            connection.execute(sql.SQL(CHANGES[change]).format(table))
        assert caught.value.sqlstate == "55000"
        rows = connection.execute(sql.SQL("SELECT verdict FROM {}").format(table)).fetchall()
        assert rows == [("block",)], "the audit trail would have been rewritten"


def test_policy_writes_findings_and_their_history(findings: Findings) -> None:
    findings.make()
    with findings.live_stack.login("policy") as connection:
        for table in (findings.current, findings.history):
            connection.execute(findings.insert(table))
        connection.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier("policy", findings.current)))


def test_a_finding_of_another_policy_is_refused(findings: Findings) -> None:
    findings.make()
    with findings.live_stack.login("policy") as connection:
        for table in (findings.current, findings.history):
            with pytest.raises(psycopg.errors.CheckViolation):
                connection.execute(findings.insert(table, policy_id=str(uuid.uuid4())))


def test_a_dropped_snapshot_is_made_again_and_its_history_stays(findings: Findings) -> None:
    findings.make()
    with findings.live_stack.admin() as connection:
        connection.execute(findings.insert(findings.history))
        connection.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier("policy", findings.current)))
    findings.make()
    assert findings.current in findings.relations()
    with findings.live_stack.admin() as connection:
        count = connection.execute(
            sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier("policy", findings.history))
        )
        assert count.fetchone() == (1,), "the audit trail of the policy would be lost"


def test_the_function_cannot_be_led_to_objects_of_its_caller(live_stack: Any) -> None:
    with live_stack.admin() as connection:
        row = connection.execute(
            "SELECT prosecdef, proconfig, proowner::regrole::text FROM pg_proc"
            " WHERE oid = 'policy.create_finding_tables(uuid)'::regprocedure"
        ).fetchone()
    assert row == (True, ["search_path=pg_catalog, pg_temp"], "policy_owner")
