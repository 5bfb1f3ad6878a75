"""``make drift`` on PostgreSQL: every tampering by hand is found and named, and a clean stack shows nothing."""

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from psycopg import sql

from components.mapping.access import CHANGE
from provider.errors import ProviderError
from tests.support.stack import LocalStack
from tools.operations.drift_finding import DriftFinding
from tools.operations.drift_postgres import check
from tools.operations.stack import Stack

pytestmark = pytest.mark.xdist_group("live_stack")
EXTRA = "not in the mapping"
UNMIGRATED = "no migration made it"


@dataclass(frozen=True)
class Tampering:
    """What somebody does by hand, what takes it back, and every sentence that it must lead to."""

    do: str
    undo: str
    said: tuple[str, ...]


OPENED = (
    "role scanner may connect to database postgres, because it is a member of analysts; as a superuser, run:"
    " REVOKE analysts FROM scanner GRANTED BY postgres CASCADE; or accept it: add postgres to postgres:openDatabases"
)
FUNCTION = "policy.create_finding_tables(uuid)"
TAMPERINGS = {
    "a privilege on evidence": Tampering(
        "GRANT UPDATE ON vex.vex_raw TO policy",
        "REVOKE UPDATE ON vex.vex_raw FROM policy",
        (f"role policy may UPDATE vex.vex_raw: {EXTRA}",),
    ),
    "a privilege taken away": Tampering(
        "REVOKE SELECT ON scanner.scans FROM attestor",
        "GRANT SELECT ON scanner.scans TO attestor",
        ("role attestor may not SELECT scanner.scans: the mapping allows it",),
    ),
    "a privilege for everybody": Tampering(
        "GRANT SELECT ON vuln.linksets TO PUBLIC",
        "REVOKE SELECT ON vuln.linksets FROM PUBLIC",
        (f"PUBLIC may SELECT vuln.linksets: {EXTRA}",),
    ),
    "a group role that may delete evidence": Tampering(
        "GRANT DELETE, TRUNCATE ON vuln.advisory_raw TO vuln_writer",
        "REVOKE DELETE, TRUNCATE ON vuln.advisory_raw FROM vuln_writer",
        (
            f"role vuln_writer may DELETE vuln.advisory_raw: {EXTRA}",
            f"role vuln_writer may TRUNCATE vuln.advisory_raw: {EXTRA}",
        ),
    ),
    "a writer that may no longer write": Tampering(
        "REVOKE INSERT ON vex.vex_raw FROM vex_writer",
        "GRANT INSERT ON vex.vex_raw TO vex_writer",
        ("role vex_writer may not INSERT vex.vex_raw: the mapping allows it",),
    ),
    "a privilege that may be passed on": Tampering(
        "GRANT SELECT ON scanner.scans TO attestor WITH GRANT OPTION",
        "REVOKE GRANT OPTION FOR SELECT ON scanner.scans FROM attestor",
        (f"role attestor may grant SELECT scanner.scans to others: {EXTRA}",),
    ),
    "a stranger's privilege": Tampering(
        "CREATE ROLE stranger LOGIN; GRANT SELECT ON vex.vex_raw TO stranger; GRANT CONNECT ON DATABASE stellaops TO stranger",
        "DROP OWNED BY stranger; DROP ROLE stranger",
        (
            f"role stranger may CONNECT on database stellaops: {EXTRA}",
            f"role stranger may SELECT vex.vex_raw: {EXTRA}",
        ),
    ),
    "a column more": Tampering(
        "GRANT SELECT (redirect_uris) ON authority.clients TO signer",
        "REVOKE SELECT (redirect_uris) ON authority.clients FROM signer",
        (f"role signer may SELECT authority.clients(redirect_uris): {EXTRA}",),
    ),
    "a column less": Tampering(
        "REVOKE SELECT (scopes) ON authority.clients FROM signer",
        "GRANT SELECT (scopes) ON authority.clients TO signer",
        ("role signer may not SELECT authority.clients(scopes): the mapping allows it",),
    ),
    "a column that may be changed in evidence": Tampering(
        "GRANT UPDATE (status) ON vex.vex_raw TO vexhub",
        "REVOKE UPDATE (status) ON vex.vex_raw FROM vexhub",
        (f"role vexhub may UPDATE vex.vex_raw(status): {EXTRA}",),
    ),
    "a membership": Tampering(
        "GRANT vex_writer TO policy",
        "REVOKE vex_writer FROM policy",
        (f"role policy is a member of vex_writer: {EXTRA}",),
    ),
    "a membership of an owner role": Tampering(
        "GRANT policy_owner TO policy",
        "REVOKE policy_owner FROM policy",
        (f"role policy is a member of policy_owner: {EXTRA}",),
    ),
    "a membership of a predefined role": Tampering(
        "GRANT pg_read_all_data TO risk_engine",
        "REVOKE pg_read_all_data FROM risk_engine",
        (f"role risk_engine is a member of pg_read_all_data: {EXTRA}",),
    ),
    "a membership that opens another database": Tampering(
        "CREATE ROLE analysts; GRANT CONNECT ON DATABASE postgres TO analysts; GRANT analysts TO scanner",
        "REVOKE ALL ON DATABASE postgres FROM analysts; DROP ROLE analysts",
        (
            f"role scanner is a member of analysts: {EXTRA}",
            OPENED,
        ),
    ),
    "a stranger in a group": Tampering(
        "CREATE ROLE stranger; GRANT scanner_writer TO stranger",
        "DROP ROLE stranger",
        (f"role stranger is a member of scanner_writer: {EXTRA}",),
    ),
    "a membership taken away": Tampering(
        "REVOKE vex_reader FROM vexlens",
        "GRANT vex_reader TO vexlens",
        ("role vexlens is not a member of vex_reader: it is in the mapping",),
    ),
    "a membership with ADMIN": Tampering(
        "GRANT scanner_reader TO sbom_service WITH ADMIN TRUE",
        "GRANT scanner_reader TO sbom_service WITH ADMIN FALSE",
        (f"role sbom_service may add members to scanner_reader (ADMIN OPTION): {EXTRA}",),
    ),
    "a membership without INHERIT": Tampering(
        "GRANT scanner_reader TO sbom_service WITH INHERIT FALSE",
        "GRANT scanner_reader TO sbom_service WITH INHERIT TRUE",
        ("role sbom_service does not inherit the privileges of scanner_reader: the mapping needs INHERIT",),
    ),
    "a membership without SET": Tampering(
        "GRANT scanner_reader TO sbom_service WITH SET FALSE",
        "GRANT scanner_reader TO sbom_service WITH SET TRUE",
        ("role sbom_service may not SET ROLE scanner_reader: the mapping allows it",),
    ),
    "a superuser": Tampering(
        "ALTER ROLE gateway SUPERUSER", "ALTER ROLE gateway NOSUPERUSER", (f"role gateway is a superuser: {EXTRA}",)
    ),
    "attributes that reach far": Tampering(
        "ALTER ROLE policy BYPASSRLS CREATEROLE CREATEDB REPLICATION NOINHERIT",
        "ALTER ROLE policy NOBYPASSRLS NOCREATEROLE NOCREATEDB NOREPLICATION INHERIT",
        (
            f"role policy bypasses row-level security: {EXTRA}",
            f"role policy may create roles: {EXTRA}",
            f"role policy may create databases: {EXTRA}",
            f"role policy may replicate: {EXTRA}",
            "role policy does not inherit privileges (NOINHERIT): the mapping needs INHERIT",
        ),
    ),
    "a group role that logs in": Tampering(
        "ALTER ROLE vex_owner LOGIN PASSWORD 'x'",
        "ALTER ROLE vex_owner NOLOGIN PASSWORD NULL",
        (f"role vex_owner may log in: {EXTRA}",),
    ),
    "a login that does not log in": Tampering(
        "ALTER ROLE scanner NOLOGIN",
        "ALTER ROLE scanner LOGIN",
        ("role scanner may not log in: the mapping allows it",),
    ),
    "a login that ends": Tampering(
        "ALTER ROLE scanner VALID UNTIL '2020-01-01 00:00:00+00'",
        "ALTER ROLE scanner VALID UNTIL 'infinity'",
        (f"role scanner may not log in after 2020-01-01 00:00:00+00 (VALID UNTIL): {EXTRA}",),
    ),
    "connections without limit": Tampering(
        "ALTER ROLE scanner CONNECTION LIMIT -1",
        "ALTER ROLE scanner CONNECTION LIMIT 40",
        ("role scanner may have any number of connections: the mapping allows 40 connections",),
    ),
    "a time-out switched off": Tampering(
        "ALTER ROLE scanner SET statement_timeout = 0",
        "ALTER ROLE scanner SET statement_timeout = 60000",
        ("role scanner has statement_timeout=0: the mapping has 60000",),
    ),
    "a setting that is gone": Tampering(
        "ALTER ROLE scanner RESET search_path",
        "ALTER ROLE scanner SET search_path = scanner",
        ("role scanner has no search_path: the mapping has scanner",),
    ),
    "a setting that switches triggers off": Tampering(
        "ALTER ROLE policy SET session_replication_role = replica",
        "ALTER ROLE policy RESET session_replication_role",
        (f"role policy has session_replication_role=replica: {EXTRA}",),
    ),
    "a setting in one database": Tampering(
        "ALTER ROLE policy IN DATABASE stellaops SET work_mem = '1GB'",
        "ALTER ROLE policy IN DATABASE stellaops RESET work_mem",
        (f"role policy has work_mem=1GB in database stellaops: {EXTRA}",),
    ),
    "a setting of the database": Tampering(
        "ALTER DATABASE stellaops SET session_replication_role = replica",
        "ALTER DATABASE stellaops RESET session_replication_role",
        (f"database stellaops has session_replication_role=replica: {EXTRA}",),
    ),
    "a parameter that a module may set": Tampering(
        "GRANT SET ON PARAMETER session_replication_role TO policy",
        "REVOKE SET ON PARAMETER session_replication_role FROM policy",
        (f"role policy holds privileges on parameter session_replication_role: {EXTRA}",),
    ),
    "a table owned by a login": Tampering(
        "ALTER TABLE vex.vex_raw OWNER TO excititor",
        "ALTER TABLE vex.vex_raw OWNER TO vex_owner",
        (
            'table vex.vex_raw is owned by excititor, not by vex_owner; as excititor or a superuser, run: ALTER TABLE vex.vex_raw OWNER TO "vex_owner"',
        ),
    ),
    "a schema owned by a login": Tampering(
        "ALTER SCHEMA vex OWNER TO excititor",
        "ALTER SCHEMA vex OWNER TO vex_owner",
        (
            'schema vex is owned by excititor, not by vex_owner; as excititor or a superuser, run: ALTER SCHEMA vex OWNER TO "vex_owner"',
        ),
    ),
    "the database owned by a module": Tampering(
        "ALTER DATABASE stellaops OWNER TO vex_owner",
        "ALTER DATABASE stellaops OWNER TO postgres",
        (f"role vex_owner owns database stellaops: {EXTRA}; run: ALTER DATABASE stellaops OWNER TO postgres",),
    ),
    "a schema of a login's own": Tampering(
        "CREATE SCHEMA backdoor AUTHORIZATION policy",
        "DROP SCHEMA backdoor",
        (f"schema backdoor: {EXTRA}", f"role policy owns schema backdoor: {EXTRA}"),
    ),
    "a table that no migration made": Tampering(
        "SET ROLE vex_owner; CREATE TABLE vex.copy AS SELECT * FROM vex.vex_raw; RESET ROLE",
        "DROP TABLE vex.copy",
        (f"table vex.copy: {EXTRA}",),
    ),
    "a view that leaks": Tampering(
        "SET ROLE vex_owner; CREATE VIEW vex.leak AS SELECT * FROM vex.vex_raw; GRANT SELECT ON vex.leak TO policy; RESET ROLE",
        "DROP VIEW vex.leak",
        (f"view vex.leak: {UNMIGRATED}", f"role policy may SELECT vex.leak: {EXTRA}"),
    ),
    "a sequence": Tampering(
        "SET ROLE vex_owner; CREATE SEQUENCE vex.numbers; GRANT USAGE ON SEQUENCE vex.numbers TO policy; RESET ROLE",
        "DROP SEQUENCE vex.numbers",
        (
            f"sequence vex.numbers: {UNMIGRATED}",
            f"role policy may USAGE on sequence vex.numbers: {EXTRA}",
            "role vex_reader may not SELECT on sequence vex.numbers: the mapping allows it",
            "role vex_writer may not SELECT on sequence vex.numbers: the mapping allows it",
            "role vex_writer may not USAGE on sequence vex.numbers: the mapping allows it",
        ),
    ),
    "a table in schema public": Tampering(
        "CREATE TABLE public.parking (id int); ALTER TABLE public.parking OWNER TO policy",
        "DROP TABLE public.parking",
        (f"table public.parking: {EXTRA}", f"role policy owns table public.parking: {EXTRA}"),
    ),
    "a table under another name": Tampering(
        "ALTER TABLE vex.consensus RENAME TO consensus_old",
        "ALTER TABLE vex.consensus_old RENAME TO consensus",
        (
            "table vex.consensus does not exist: it is in the mapping",
            f"table vex.consensus_old: {EXTRA}",
            f"role vex_reader may SELECT vex.consensus_old: {EXTRA}",
            *(f"role vex_writer may {verb} vex.consensus_old: {EXTRA}" for verb in sorted(CHANGE)),
        ),
    ),
    "a table that is not logged": Tampering(
        "ALTER TABLE notify.templates SET UNLOGGED",
        "ALTER TABLE notify.templates SET LOGGED",
        (f"table notify.templates is UNLOGGED (a crash empties it): {EXTRA}",),
    ),
    "a column that no migration made": Tampering(
        "ALTER TABLE scanner.images ADD note text",
        "ALTER TABLE scanner.images DROP note",
        (f"column scanner.images.note: {EXTRA}",),
    ),
    "a column under another name": Tampering(
        "ALTER TABLE scanner.images RENAME os TO system",
        "ALTER TABLE scanner.images RENAME system TO os",
        ("column scanner.images.os does not exist: it is in the mapping", f"column scanner.images.system: {EXTRA}"),
    ),
    "a column of another type": Tampering(
        "ALTER TABLE notify.templates ALTER locale TYPE varchar(20)",
        "ALTER TABLE notify.templates ALTER locale TYPE varchar(10)",
        ("column notify.templates.locale is character varying(20): the mapping has character varying(10)",),
    ),
    "a function": Tampering(
        "CREATE FUNCTION vex.wipe() RETURNS void LANGUAGE sql SECURITY DEFINER AS 'DELETE FROM vex.consensus'",
        "DROP FUNCTION vex.wipe()",
        (
            f"function vex.wipe(): {UNMIGRATED}",
            f"PUBLIC may EXECUTE vex.wipe(): {EXTRA}",
            'function vex.wipe() is owned by postgres, not by vex_owner; as postgres or a superuser, run: ALTER FUNCTION vex.wipe() OWNER TO "vex_owner"',
        ),
    ),
    "a function that everybody may call": Tampering(
        f"GRANT EXECUTE ON FUNCTION {FUNCTION} TO PUBLIC",
        f"REVOKE EXECUTE ON FUNCTION {FUNCTION} FROM PUBLIC",
        (f"PUBLIC may EXECUTE {FUNCTION}: {EXTRA}",),
    ),
    "a function that its module may not call": Tampering(
        f"REVOKE EXECUTE ON FUNCTION {FUNCTION} FROM policy",
        f"GRANT EXECUTE ON FUNCTION {FUNCTION} TO policy",
        (f"role policy may not EXECUTE {FUNCTION}: the mapping allows it",),
    ),
    "a function that is gone": Tampering(
        f"ALTER FUNCTION {FUNCTION} RENAME TO other",
        "ALTER FUNCTION policy.other(uuid) RENAME TO create_finding_tables",
        (
            f"function {FUNCTION} does not exist: it is in the mapping",
            f"function {FUNCTION} does not exist: a migration made it",
            f"function policy.other(uuid): {UNMIGRATED}",
            f"role policy may EXECUTE policy.other(uuid): {EXTRA}",
        ),
    ),
    "a type": Tampering(
        "SET ROLE vex_owner; CREATE DOMAIN vex.score AS int; RESET ROLE",
        "DROP DOMAIN vex.score",
        (f"type vex.score: {UNMIGRATED}",),
    ),
    "a trigger disabled on evidence": Tampering(
        "ALTER TABLE vex.vex_raw DISABLE TRIGGER append_only_row",
        "ALTER TABLE vex.vex_raw ENABLE ALWAYS TRIGGER append_only_row",
        ("trigger append_only_row on vex.vex_raw is not enabled always",),
    ),
    "a trigger that replicas skip": Tampering(
        "ALTER TABLE authority.audit_trail ENABLE TRIGGER append_only_truncate",
        "ALTER TABLE authority.audit_trail ENABLE ALWAYS TRIGGER append_only_truncate",
        ("trigger append_only_truncate on authority.audit_trail is not enabled always",),
    ),
    "a trigger dropped from evidence": Tampering(
        "DROP TRIGGER append_only_truncate ON vuln.advisory_raw",
        "CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON vuln.advisory_raw EXECUTE FUNCTION vuln.refuse_change();"
        "ALTER TABLE vuln.advisory_raw ENABLE ALWAYS TRIGGER append_only_truncate",
        ("trigger append_only_truncate on vuln.advisory_raw is missing",),
    ),
    "a trigger by hand": Tampering(
        "CREATE TRIGGER quiet BEFORE UPDATE ON vex.consensus FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
        "DROP TRIGGER quiet ON vex.consensus",
        (f"trigger quiet on vex.consensus: {UNMIGRATED}",),
    ),
    "foreign keys switched off": Tampering(
        "ALTER TABLE policy.policy_runs DISABLE TRIGGER ALL",
        "ALTER TABLE policy.policy_runs ENABLE TRIGGER ALL",
        ("foreign key policy_runs_policy_id_fkey is not enforced on policy.policy_runs: its trigger is disabled",),
    ),
    "a rule": Tampering(
        "CREATE RULE swallow AS ON INSERT TO vex.vex_raw DO INSTEAD NOTHING",
        "DROP RULE swallow ON vex.vex_raw",
        (f"rule swallow on vex.vex_raw: {UNMIGRATED}",),
    ),
    "an event trigger": Tampering(
        "CREATE FUNCTION public.e() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';"
        "CREATE EVENT TRIGGER watch ON ddl_command_end EXECUTE FUNCTION public.e()",
        "DROP EVENT TRIGGER watch; DROP FUNCTION public.e()",
        (f"event trigger watch: {EXTRA}", f"function public.e(): {EXTRA}"),
    ),
    "rows hidden by a policy": Tampering(
        "ALTER TABLE vex.consensus ENABLE ROW LEVEL SECURITY; CREATE POLICY hide ON vex.consensus USING (false)",
        "DROP POLICY hide ON vex.consensus; ALTER TABLE vex.consensus DISABLE ROW LEVEL SECURITY",
        (f"row-level security of vex.consensus is on: {EXTRA}", f"policy hide on vex.consensus: {EXTRA}"),
    ),
    "default privileges for everybody": Tampering(
        "ALTER DEFAULT PRIVILEGES FOR ROLE vex_owner GRANT EXECUTE ON FUNCTIONS TO PUBLIC",
        "ALTER DEFAULT PRIVILEGES FOR ROLE vex_owner REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC",
        (f"default privileges of role vex_owner grant EXECUTE on new functions to PUBLIC: {EXTRA}",),
    ),
    "default privileges for a module": Tampering(
        "ALTER DEFAULT PRIVILEGES FOR ROLE vex_owner IN SCHEMA vex GRANT SELECT ON TABLES TO policy",
        "ALTER DEFAULT PRIVILEGES FOR ROLE vex_owner IN SCHEMA vex REVOKE SELECT ON TABLES FROM policy",
        (f"default privileges of role vex_owner in schema vex grant SELECT on new tables to role policy: {EXTRA}",),
    ),
    "default privileges of the admin": Tampering(
        "ALTER DEFAULT PRIVILEGES IN SCHEMA vex GRANT INSERT ON TABLES TO vex_reader",
        "ALTER DEFAULT PRIVILEGES IN SCHEMA vex REVOKE INSERT ON TABLES FROM vex_reader",
        (f"default privileges of role postgres in schema vex grant INSERT on new tables to role vex_reader: {EXTRA}",),
    ),
    "a login that may make tables": Tampering(
        "GRANT CREATE ON SCHEMA vex TO excititor",
        "REVOKE CREATE ON SCHEMA vex FROM excititor",
        (f"role excititor may CREATE on schema vex: {EXTRA}",),
    ),
    "a schema without its reader": Tampering(
        "REVOKE USAGE ON SCHEMA vex FROM vex_reader",
        "GRANT USAGE ON SCHEMA vex TO vex_reader",
        ("role vex_reader may not USAGE on schema vex: the mapping allows it",),
    ),
    "schema public open again": Tampering(
        "GRANT USAGE, CREATE ON SCHEMA public TO PUBLIC",
        "REVOKE ALL ON SCHEMA public FROM PUBLIC",
        (f"PUBLIC may CREATE on schema public: {EXTRA}", f"PUBLIC may USAGE on schema public: {EXTRA}"),
    ),
    "a database open to everybody": Tampering(
        "GRANT CONNECT, TEMPORARY ON DATABASE stellaops TO PUBLIC",
        "REVOKE ALL ON DATABASE stellaops FROM PUBLIC",
        (
            f"PUBLIC may CONNECT on database stellaops: {EXTRA}",
            f"PUBLIC may TEMPORARY on database stellaops: {EXTRA}",
        ),
    ),
    "a privilege on another database": Tampering(
        "GRANT CREATE ON DATABASE postgres TO policy",
        "REVOKE CREATE ON DATABASE postgres FROM policy",
        (f"role policy holds privileges on database postgres: {EXTRA}",),
    ),
    "an index that is gone": Tampering(
        "DROP INDEX vex.vex_raw_issuer_id_idx",
        "SET ROLE vex_owner; CREATE INDEX vex_raw_issuer_id_idx ON vex.vex_raw (issuer_id); RESET ROLE",
        (
            (
                "index vex.vex_raw_issuer_id_idx does not exist: a migration made it; to make it again: SET ROLE vex_owner; "
                "CREATE INDEX vex_raw_issuer_id_idx ON vex.vex_raw USING btree (issuer_id);"
            ),
        ),
    ),
    "a check that is looser": Tampering(
        "ALTER TABLE vex.issuer_trust DROP CONSTRAINT issuer_trust_trust_score_check;"
        "ALTER TABLE vex.issuer_trust ADD CONSTRAINT issuer_trust_trust_score_check CHECK (trust_score > 0)",
        "ALTER TABLE vex.issuer_trust DROP CONSTRAINT issuer_trust_trust_score_check;"
        "ALTER TABLE vex.issuer_trust ADD CONSTRAINT issuer_trust_trust_score_check"
        " CHECK (trust_score BETWEEN 0.00 AND 1.00)",
        (
            (
                "constraint issuer_trust_trust_score_check on vex.issuer_trust is not as the migrations made it: it is "
                "`ALTER TABLE vex.issuer_trust ADD CONSTRAINT issuer_trust_trust_score_check CHECK ((trust_score > "
                "(0)::numeric))`, they made `ALTER TABLE vex.issuer_trust ADD CONSTRAINT issuer_trust_trust_score_check "
                "CHECK (((trust_score >= 0.00) AND (trust_score <= 1.00)))`"
            ),
        ),
    ),
    "an index by hand": Tampering(
        "CREATE INDEX quick ON vex.consensus (vulnerability_id)",
        "DROP INDEX vex.quick",
        (f"index vex.quick: {UNMIGRATED}",),
    ),
    "a large object": Tampering(
        "SELECT lo_create(4711); ALTER LARGE OBJECT 4711 OWNER TO policy",
        "SELECT lo_unlink(4711)",
        (f"role policy owns large object 4711: {EXTRA}",),
    ),
    "files of the server for everybody": Tampering(
        "GRANT EXECUTE ON FUNCTION pg_catalog.pg_read_file(text) TO PUBLIC",
        "REVOKE EXECUTE ON FUNCTION pg_catalog.pg_read_file(text) FROM PUBLIC",
        ("PUBLIC may EXECUTE function pg_read_file(text): PostgreSQL does not grant it by default",),
    ),
    "files of the server for a module": Tampering(
        "GRANT EXECUTE ON FUNCTION pg_catalog.pg_read_file(text) TO policy",
        "REVOKE EXECUTE ON FUNCTION pg_catalog.pg_read_file(text) FROM policy",
        (f"role policy holds privileges on function pg_read_file(text): {EXTRA}",),
    ),
}


@pytest.fixture(scope="module")
def stack(live_stack: LocalStack) -> Stack:
    """The live stack as the day-two commands see it; its state is read once."""
    text = live_stack.must("pulumi", "config", "--json", "--show-secrets", "--stack", "local")
    state: dict[str, Any] = json.loads(live_stack.must("pulumi", "stack", "export", "--stack", "local"))

    class LiveStack(Stack):
        def export(self) -> dict[str, Any]:
            return state

    return LiveStack("local", {key: str(item.get("value", "")) for key, item in json.loads(text).items()})


@pytest.fixture(scope="module")
def admin(live_stack: LocalStack) -> "Iterator[psycopg.Connection[Any]]":
    live_stack.forget()
    with live_stack.admin() as connection:
        yield connection


def found(stack: Stack) -> list[str]:
    return sentences_of(check(stack, stack.export()))


def sentences_of(findings: list[DriftFinding]) -> list[str]:
    return [finding.sentence for finding in findings]


def run(admin: "psycopg.Connection[Any]", statements: str) -> None:
    for statement in statements.split(";"):
        if statement.strip():
            admin.execute(statement.encode())


def test_a_clean_stack_has_no_drift(stack: Stack) -> None:
    assert found(stack) == []


@pytest.mark.parametrize("name", TAMPERINGS)
def test_a_tampering_is_found_and_named_and_gone_when_it_is_undone(
    stack: Stack, admin: "psycopg.Connection[Any]", name: str
) -> None:
    tampering = TAMPERINGS[name]
    run(admin, tampering.do)
    try:
        sentences = found(stack)
    finally:
        run(admin, tampering.undo)
    assert sorted(sentences) == sorted(tampering.said), "each difference is named once, and nothing else is"
    assert found(stack) == []


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
    stack: Stack, admin: "psycopg.Connection[Any]", history: str
) -> None:
    assert found(stack) == [], "each policy would be reported for ever"
    admin.execute(f'GRANT UPDATE ON policy."{history}" TO policy_writer'.encode())
    admin.execute(f'ALTER TABLE policy."{history}" DISABLE TRIGGER append_only_row'.encode())
    admin.execute(f'ALTER TABLE policy."{history}" DROP COLUMN evidence'.encode())
    assert set(found(stack)) == {
        f"role policy_writer may UPDATE policy.{history}: {EXTRA}",
        f"trigger append_only_row on policy.{history} is not enabled always",
        f"column policy.{history}.evidence does not exist: it is in the mapping",
    }


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
    sentence = TAMPERINGS["a privilege on evidence"].said[0]
    run(admin, TAMPERINGS["a privilege on evidence"].do)
    try:
        lines = live_stack.run("drift", "--store", "postgres")
        document = live_stack.run("drift", "--store", "postgres", "--json")
    finally:
        run(admin, TAMPERINGS["a privilege on evidence"].undo)
    assert (lines.returncode, lines.stdout) == (2, f"postgres: {sentence}; run: make up ARGS=--refresh\n")
    assert document.returncode == 2
    assert json.loads(document.stdout) == {
        "stack": "local",
        "differences": [{"store": "postgres", "sentence": sentence, "remedy": "make up ARGS=--refresh"}],
        "errors": [],
    }


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
    assert sentences_of(check(Stack("local", config), None)) == ["database gone does not exist; run pulumi up"]
