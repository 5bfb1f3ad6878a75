"""``drift`` of PostgreSQL: a clean stack has none, everything in the stack's state is compared, and what the command prints.

``test_postgres_tamperings`` makes manual changes.
"""

import json
import uuid
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import psycopg
import pytest
from psycopg import sql

from provider.errors import ProviderError
from tests.support.drift import InProcess, execute, texts
from tests.support.postgres_tamperings import TAMPERINGS
from tests.support.stack import LocalStack
from tools.operations.drift_finding import DriftFinding
from tools.operations.drift_postgres import check
from tools.operations.stack import Stack

pytestmark = pytest.mark.xdist_group("live_stack")
EXTRA = "not in the mapping"
CONTROL_CHARACTERS = "a stranger whose name has control characters"


@pytest.fixture(scope="module")
def drift(live_stack: LocalStack) -> InProcess:
    return InProcess.of(live_stack)


@pytest.fixture(scope="module")
def stack(drift: InProcess) -> Stack:
    return drift.stack


@pytest.fixture(scope="module")
def admin(live_stack: LocalStack) -> "Iterator[psycopg.Connection[Any]]":
    with live_stack.admin() as connection:
        yield connection


def sentences_of(findings: list[DriftFinding]) -> list[str]:
    return [finding.sentence for finding in findings]


def test_a_clean_stack_has_no_drift(drift: InProcess) -> None:
    assert drift.found() == []


class Change(NamedTuple):
    """A manual change of what one resource provisions, and the beginning of the sentence about it."""

    do: str
    undo: str
    sentence: str


def _role(inputs: dict[str, Any]) -> Iterator[Change]:
    change = f"ALTER ROLE {inputs['name']} CONNECTION LIMIT"
    sentence = f"role {inputs['name']} may have 3 connections (CONNECTION LIMIT)"
    yield Change(f"{change} 3", f"{change} {inputs['connectionLimit']}", sentence)


def _schema(inputs: dict[str, Any]) -> Iterator[Change]:
    change = f"ALTER SCHEMA {inputs['name']} OWNER TO"
    yield Change(f"{change} postgres", f"{change} {inputs['owner']}", f"schema {inputs['name']} is owned by postgres")


def _database(inputs: dict[str, Any]) -> Iterator[Change]:
    change = f"ALTER DATABASE {inputs['name']} CONNECTION LIMIT"
    yield Change(
        f"{change} 7", f"{change} {inputs['connectionLimit']}", f"database {inputs['name']} accepts 7 connections"
    )


def _grant(inputs: dict[str, Any]) -> Iterator[Change]:
    kind, role, schema = inputs["objectType"], inputs["role"], inputs.get("schema")
    names = [f"{schema}.{name}" for name in inputs.get("objects", ())] or [inputs[kind]]
    for name in names:
        place = f"{ {'column': 'TABLE', 'function': 'ROUTINE'}.get(kind, kind.upper()) } {name}"
        where = f"on {kind} {name}" if kind in ("database", "schema") else name
        if not inputs["privileges"]:
            word = {"database": "TEMPORARY", "schema": "USAGE"}[kind]
            sentence = f"PUBLIC may {word} {where}"
            yield Change(f"GRANT {word} ON {place} TO PUBLIC", f"REVOKE {word} ON {place} FROM PUBLIC", sentence)
        for word in inputs["privileges"]:
            for column in inputs.get("columns", [""]):
                privilege, sentence = (f"{word} ({column})", f"{where}({column})") if column else (word, where)
                yield Change(
                    f"REVOKE {privilege} ON {place} FROM {role}",
                    f"GRANT {privilege} ON {place} TO {role}",
                    f"role {role} may not {word} {sentence}",
                )


def _default_privileges(inputs: dict[str, Any]) -> Iterator[Change]:
    owner = inputs["owner"]
    change = f"ALTER DEFAULT PRIVILEGES FOR ROLE {owner} {{}} EXECUTE ON FUNCTIONS {{}} PUBLIC"
    sentence = f"default privileges of role {owner} grant EXECUTE on new functions to PUBLIC"
    yield Change(change.format("GRANT", "TO"), change.format("REVOKE", "FROM"), sentence)


def _migrations(inputs: dict[str, Any]) -> Iterator[Change]:
    schema, history = inputs["schema"], f"{inputs['schema']}.schema_migrations"
    for table in inputs["tables"]:
        if "{" not in table:
            change = f"ALTER TABLE {schema}.{table}"
            yield Change(f"{change} ADD extra int", f"{change} DROP extra", f"column {schema}.{table}.extra: {EXTRA}")
    for table in inputs.get("appendOnly", ()):
        if "{" not in table:
            for trigger in ("append_only_row", "append_only_truncate"):
                change = f"ALTER TABLE {schema}.{table} {{}} TRIGGER {trigger}"
                sentence = f"trigger {trigger} on {schema}.{table} is not enabled always"
                yield Change(change.format("DISABLE"), change.format("ENABLE ALWAYS"), sentence)
    for label in inputs["migrations"]:
        name, version = label.partition(" ")[0], int(label[:4])
        change = f"UPDATE {history} SET version = version {{}} 1000 WHERE version {{}}"
        sentence = f"migration {name} is applied, but table {history} has no row"
        yield Change(change.format("+", f"= {version}"), change.format("-", f"= {version + 1000}"), sentence)


def _privileges(inputs: dict[str, Any]) -> Iterator[Change]:
    for role, tables in inputs["access"].items():
        for table in tables:
            if "{" not in table:
                name = f"{inputs['schema']}.{table}"
                sentence = f"role {role} may TRIGGER {name}: {EXTRA}"
                yield Change(f"GRANT TRIGGER ON {name} TO {role}", f"REVOKE TRIGGER ON {name} FROM {role}", sentence)


def _inventory(inputs: dict[str, Any]) -> Iterator[Change]:
    for login in inputs["logins"]:
        yield Change(
            f"ALTER ROLE {login} NOLOGIN", f"ALTER ROLE {login} LOGIN", f"role {login} may not log in (NOLOGIN)"
        )
    for schema in inputs["schemas"]:
        change = f"{{}} CREATE ON SCHEMA {schema} {{}} PUBLIC"
        sentence = f"PUBLIC may CREATE on schema {schema}: {EXTRA}"
        yield Change(change.format("GRANT", "TO"), change.format("REVOKE", "FROM"), sentence)


def _closed_databases(inputs: dict[str, Any]) -> Iterator[Change]:
    for name in inputs["databases"]:
        change = f"{{}} CONNECT ON DATABASE {name} {{}} PUBLIC"
        sentence = f"every login may connect to database {name}"
        yield Change(change.format("GRANT", "TO"), change.format("REVOKE", "FROM"), sentence)


def _nothing(inputs: dict[str, Any]) -> Iterator[Change]:
    """Only in the state."""
    assert inputs.keys() == {"access"}
    yield from ()


# Kind of a resource -> how to change everything that a resource of it provisions.
CHANGES: dict[str, Callable[[dict[str, Any]], Iterator[Change]]] = {
    "postgresql:index/database:Database": _database,
    "postgresql:index/defaultPrivileges:DefaultPrivileges": _default_privileges,
    "postgresql:index/grant:Grant": _grant,
    "postgresql:index/role:Role": _role,
    "postgresql:index/schema:Schema": _schema,
    "stellaops:postgres:AccessRevisions": _nothing,
    "stellaops:postgres:ClosedDatabases": _closed_databases,
    "stellaops:postgres:Inventory": _inventory,
    "stellaops:postgres:Privileges": _privileges,
    "stellaops:postgres:SchemaMigrations": _migrations,
}


def resources_of(state: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Kind -> the inputs of every PostgreSQL resource of the stack."""
    found: dict[str, list[dict[str, Any]]] = {}
    for resource in state["deployment"]["resources"]:
        if resource.get("custom") and resource["type"].startswith(("postgresql:", "stellaops:postgres:")):
            found.setdefault(resource["type"], []).append(resource["inputs"])
    return found


def test_every_kind_of_resource_in_the_state_has_changes(drift: InProcess) -> None:
    assert resources_of(drift.state).keys() == CHANGES.keys(), "drift would not be known to compare the new kind"


@pytest.mark.parametrize("kind", CHANGES)
def test_drift_walks_every_resource_in_the_state(drift: InProcess, admin: "psycopg.Connection[Any]", kind: str) -> None:
    changes = [change for inputs in resources_of(drift.state)[kind] for change in CHANGES[kind](inputs)]
    done: list[Change] = []
    try:
        for change in changes:
            execute(admin, (change.do,))
            done.append(change)
        found = texts(drift.found())
    finally:
        execute(admin, (change.undo for change in done))
    unnamed = [change.do for change in changes if not any(text.startswith(change.sentence) for text in found)]
    assert unnamed == [], f"of {len(changes)} changes"
    assert drift.found() == []


@pytest.fixture
def history(live_stack: LocalStack) -> Iterator[str]:
    """The history table of a policy, as Policy makes it at run time."""
    policy_id = str(uuid.uuid4())
    with live_stack.login("policy") as connection:
        connection.execute("INSERT INTO policy.policies (policy_id, tenant_id) VALUES (%s, %s)", (policy_id, policy_id))
        connection.execute("SELECT policy.create_finding_tables(%s)", (policy_id,))
    name = f"effective_finding_{policy_id}"
    yield f"{name}_history"
    with live_stack.admin() as connection:
        for table in (name, f"{name}_history"):
            connection.execute(sql.SQL("DROP TABLE policy.{}").format(sql.Identifier(table)))
        connection.execute("DELETE FROM policy.policies WHERE policy_id = %s", (policy_id,))


def test_tables_made_at_run_time_are_no_drift_but_tampering_with_them_is(
    drift: InProcess, admin: "psycopg.Connection[Any]", history: str
) -> None:
    assert drift.found() == [], "each policy would be reported for ever"
    admin.execute(f'GRANT UPDATE ON policy."{history}" TO policy_writer'.encode())
    admin.execute(f'ALTER TABLE policy."{history}" DISABLE TRIGGER append_only_row'.encode())
    admin.execute(f'ALTER TABLE policy."{history}" DROP COLUMN evidence'.encode())
    assert set(texts(drift.found())) == {
        f"role policy_writer may UPDATE policy.{history}: {EXTRA}",
        f"trigger append_only_row on policy.{history} is not enabled always",
        (
            f"column policy.{history}.evidence does not exist: it is in the mapping; its values are only in backups"
            f' (docs/backups.md); run: ALTER TABLE policy."{history}" ADD evidence jsonb'
        ),
    }


def test_roles_that_the_stack_config_trusts_are_no_drift(drift: InProcess, admin: "psycopg.Connection[Any]") -> None:
    tampering = TAMPERINGS["a stranger is a superuser"]
    trusting = Stack("local", {**drift.stack.config, "postgres:trustedRoles": "somebody,consultant"})
    execute(admin, tampering.do)
    try:
        assert check(trusting, None) == []
        assert texts(item.difference for item in check(drift.stack, None)) == list(tampering.found)
    finally:
        execute(admin, tampering.after)


def test_what_logins_have_in_another_database_is_released_there(
    drift: InProcess, admin: "psycopg.Connection[Any]", live_stack: LocalStack
) -> None:
    execute(admin, ("CREATE DATABASE parking", "REVOKE CONNECT ON DATABASE parking FROM PUBLIC"))
    try:
        with live_stack.admin("parking") as other:
            execute(other, ("CREATE TABLE lot ()", "GRANT SELECT ON lot TO scanner", "CREATE TABLE car ()"))
            execute(other, ("ALTER TABLE car OWNER TO policy",))
        found = drift.found()
        release, back = r"run: \connect parking \\", r"\connect stellaops"
        assert texts(found) == [
            f"role policy owns an object in database parking: {EXTRA}; {release} REASSIGN OWNED BY policy TO postgres; {back}",
            f"role scanner holds privileges on an object in database parking: {EXTRA}; {release} DROP OWNED BY scanner; {back}",
        ]
        assert drift.remedy(found) == []
    finally:
        execute(admin, ("DROP DATABASE parking",))


def test_it_changes_nothing_not_even_a_transaction_number(stack: Stack, admin: "psycopg.Connection[Any]") -> None:
    query = "SELECT pg_snapshot_xmax(pg_current_snapshot())::text"
    before = admin.execute(query).fetchone()
    check(stack, None)
    assert admin.execute(query).fetchone() == before, "a transaction that writes gets a number"


def test_the_command_exits_0_and_2_and_prints_sentences_or_json(
    live_stack: LocalStack, admin: "psycopg.Connection[Any]"
) -> None:
    clean = live_stack.run("drift", "--store", "postgres")
    assert (clean.returncode, clean.stdout) == (0, "no drift in postgres: same as the mapping\n"), clean.stderr
    tampering, stranger = TAMPERINGS["a reader may change evidence"], TAMPERINGS[CONTROL_CHARACTERS]
    execute(admin, (*tampering.do, *stranger.do))
    try:
        lines = live_stack.run("drift", "--store", "postgres")
        document = live_stack.run("drift", "--store", "postgres", "--json")
    finally:
        execute(admin, (*tampering.undo, *stranger.after))
    statement = r'REVOKE scanner_writer FROM U&"bad\000a\001b[31mname" GRANTED BY postgres CASCADE'
    assert lines.returncode == document.returncode == 2
    assert lines.stdout.splitlines() == [
        rf"postgres: role bad\n\x1b[31mname is a member of scanner_writer: not in the mapping; run: {statement}",
        f"postgres: {tampering.found[0]}; run: make up ARGS=--refresh",
    ]
    differences = json.loads(document.stdout)["differences"]
    assert [item["remedy"] for item in differences] == [statement, "make up ARGS=--refresh"]
    assert [item["sentence"] for item in differences][1:] == [tampering.found[0]]


def test_a_server_that_cannot_be_asked_is_one_line_without_the_password(stack: Stack) -> None:
    for change, said in (
        ({"stellaops-storage:postgresPort": "1"}, "Connection refused"),
        ({"stellaops-storage:postgresAdminPassword": "wrong-secret"}, "password authentication failed"),
        ({"postgres:tenantIsolation": "rls"}, "must be one of off, row-level-security"),
    ):
        with pytest.raises(ProviderError, match=said) as caught:
            check(Stack("local", {**stack.config, **change}), None)
        assert "wrong-secret" not in str(caught.value) and "\n" not in str(caught.value)


def test_a_database_that_is_gone_is_drift(stack: Stack) -> None:
    config = {**stack.config, "stellaops-storage:postgresDatabase": "gone"}
    assert sentences_of(check(Stack("local", config), None)) == ["database gone does not exist"]
