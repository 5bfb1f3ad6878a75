"""What goes wrong with PostgreSQL's privileges and with the PostgreSQL provider, each with what keeps us from it.

What is about the provider is asserted on what our program sends to it, as the engine's state of a live stack has it.
Larger subjects have files of their own: append-only tables (``test_migrations_append_only``), row-level security
(``test_row_security``), admins without SUPERUSER (``test_admin_without_superuser``).
"""

import json
import threading
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import psycopg
import pulumi
import pytest
from psycopg import errors, sql

from components.mapping import load
from provider.postgres import public_access
from provider.postgres.migrations import silent
from provider.postgres.run_lock import run_lock
from provider.postgres.session import Limits, with_retries
from tests.program.test_stacks import run as run_program
from tests.support.scratch_schema import QUICK, RAW, TABLES, Schema, make_schema
from tests.support.stack import PROJECT, LocalStack
from tools.local.servers.postgres import LocalPostgres
from tools.operations.drift_postgres import check
from tools.operations.stack import Stack

MAPPING = load(PROJECT / "schema-mapping.yaml")
FUNCTION = "CREATE FUNCTION {}.late() RETURNS int LANGUAGE sql AS 'SELECT 1'"

pytestmark = pytest.mark.xdist_group("live_stack")


@pytest.fixture(scope="module")
def resources(live_stack: LocalStack) -> list[dict[str, Any]]:
    """Every resource in the state, with inputs and dependencies."""
    state = json.loads(live_stack.must("pulumi", "stack", "export", "--stack", "local"))
    found: list[dict[str, Any]] = state["deployment"]["resources"]
    return found


@pytest.fixture
def schema(postgres_server: LocalPostgres, tmp_path: Path) -> Schema:
    return make_schema(postgres_server, tmp_path)


@pytest.fixture
def admin(live_stack: LocalStack) -> "Iterator[psycopg.Connection[Any]]":
    with live_stack.admin() as connection:
        yield connection


def of(resources: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [resource for resource in resources if resource["type"].endswith(f":{kind}")]


def before(resources: list[dict[str, Any]], urn: str) -> set[str]:
    """All that is made before the resource."""
    direct = {resource["urn"]: resource.get("dependencies", []) for resource in resources}
    found: set[str] = set()
    pending = [urn]
    while pending:
        for dependency in direct.get(pending.pop(), []):
            if dependency not in found:
                found.add(dependency)
                pending.append(dependency)
    return found


# The provider.


def test_no_two_grants_on_one_schema_run_at_once(resources: list[dict[str, Any]]) -> None:
    for name in MAPPING.postgres.schemas:
        grants = [grant for grant in of(resources, "Grant") if grant["inputs"].get("schema") == name]
        ranked = sorted(grants, key=lambda grant: len(before(resources, grant["urn"])))
        for first, second in pairwise(ranked):
            assert first["urn"] in before(resources, second["urn"]), "they fail with: tuple concurrently updated"


def test_the_provider_has_more_than_one_connection_and_not_the_whole_server(resources: list[dict[str, Any]]) -> None:
    providers = of(resources, "postgresql")
    assert len(providers) == 2
    for provider in providers:
        assert 2 <= int(provider["inputs"]["maxConnections"]) <= 10, "with one it waits for itself; it is per database"


def test_default_privileges_of_two_resources_lock_no_role_in_common(resources: list[dict[str, Any]]) -> None:
    owners = [default["inputs"]["owner"] for default in of(resources, "DefaultPrivileges")]
    assert len(set(owners)) == len(owners) == len(MAPPING.postgres.schemas), "a parallel refresh could deadlock"


@pytest.mark.parametrize(("error", "attempts"), [(errors.DeadlockDetected, 3), (errors.UniqueViolation, 1)])
def test_a_deadlock_is_tried_again_and_nothing_else_is(error: type[psycopg.Error], attempts: int) -> None:
    tried = []

    def action() -> None:
        tried.append(error)
        raise error("no")

    with pytest.raises(error):
        with_retries("test", action, Limits(retries=2, pause=0.01), silent)
    assert len(tried) == attempts


def test_no_grant_is_on_all_tables_of_a_schema(resources: list[dict[str, Any]]) -> None:
    for grant in of(resources, "Grant"):
        if grant["inputs"]["objectType"] not in ("database", "schema"):
            assert grant["inputs"]["objects"], "it would first revoke table and column grants, and reach views"


def test_memberships_are_part_of_the_role_and_never_a_grant_beside_it(resources: list[dict[str, Any]]) -> None:
    assert of(resources, "GrantRole") == [], "any update of the role would revoke it"
    for role in of(resources, "Role"):
        if role["inputs"]["name"] in MAPPING.modules:
            assert "stellaops_connect" in role["inputs"]["roles"]


def test_default_privileges_are_deleted_before_they_are_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    options = {}

    def remember(args: pulumi.ResourceTransformationArgs) -> None:
        if args.type_.endswith(":DefaultPrivileges"):
            options[args.name] = args.opts.delete_before_replace

    original = pulumi.runtime.register_stack_transformation

    def register(transformation: Any) -> None:
        original(transformation)
        original(remember)

    monkeypatch.setattr(pulumi.runtime, "register_stack_transformation", register)
    run_program("local", monkeypatch)
    assert list(options.values()) == [True] * len(MAPPING.postgres.schemas), (
        "the new one would be deleted with the old one"
    )


def test_the_deletion_of_a_login_leaves_nothing_to_the_admin(admin: "psycopg.Connection[Any]") -> None:
    owned = admin.execute(
        "SELECT pg_describe_object(classid, objid, objsubid) FROM pg_shdepend WHERE refclassid = 'pg_authid'::regclass"
        " AND deptype = 'o' AND refobjid IN (SELECT oid FROM pg_roles WHERE rolname = ANY (%s))",
        (list(MAPPING.modules),),
    ).fetchall()
    assert owned == [], "REASSIGN OWNED would make these the admin's"


def test_the_server_sees_verifiers_and_its_log_no_password(
    live_stack: LocalStack, resources: list[dict[str, Any]]
) -> None:
    live_stack.forget()
    passwords = [
        secret["postgres_password"] for name, secret in live_stack.outputs["secrets"].items() if name in MAPPING.modules
    ]
    log = (live_stack.state / "servers" / "postgres" / "log").read_text(errors="replace")
    assert len(passwords) == len(MAPPING.modules)
    assert not [password for password in passwords if password in log]
    with live_stack.admin() as connection:
        stored = connection.execute(
            "SELECT rolname, rolpassword FROM pg_authid WHERE rolname = ANY (%s)", (list(MAPPING.modules),)
        )
        assert {str(row[1])[:14] for row in stored} == {"SCRAM-SHA-256$"}


def test_every_role_and_schema_has_the_name_that_it_was_given(resources: list[dict[str, Any]]) -> None:
    for kind in ("Role", "Schema", "Database"):
        for resource in of(resources, kind):
            name = resource["inputs"]["name"]
            assert resource["urn"].endswith(f"::{name}"), "an autoname has hyphens and changes"
            assert len(name.encode()) <= 63
    assert not [schema for schema in of(resources, "Schema") if schema["inputs"].get("policies")], "deprecated"


def test_a_schema_that_was_there_already_is_not_taken_over_without_a_word(schema: Schema) -> None:
    schema.write(v0001_tables=TABLES)
    schema.run(
        f"ALTER SCHEMA {schema.target.schema} OWNER TO CURRENT_USER",
        f"GRANT ALL ON SCHEMA {schema.target.schema} TO {schema.target.owner}",
    )
    assert f"schema {schema.target.schema} belongs to postgres, not to {schema.target.owner}" in schema.refusal()


def test_the_provider_inside_waits_for_the_database(resources: list[dict[str, Any]]) -> None:
    (database,) = of(resources, "Database")
    (inside,) = [provider for provider in of(resources, "postgresql") if provider["urn"].endswith("postgres-inside")]
    assert database["urn"] in inside["dependencies"]


def test_names_of_roles_and_schemas_are_outputs_so_that_destroy_goes_in_order(resources: list[dict[str, Any]]) -> None:
    roles = {role["inputs"]["name"]: role["urn"] for role in of(resources, "Role")}
    schemas = {schema["inputs"]["name"]: schema["urn"] for schema in of(resources, "Schema")}
    for grant in of(resources, "Grant"):
        inputs, made_before = grant["inputs"], before(resources, grant["urn"])
        assert inputs["role"] == "public" or roles[inputs["role"]] in made_before, grant["urn"]
        assert inputs.get("schema") in (None, "public") or schemas[inputs["schema"]] in made_before, grant["urn"]
    for name, urn in schemas.items():
        assert roles[f"{name}_owner"] in before(resources, urn)


# The server.


def test_tables_are_made_by_their_owner_role_whoever_migrates(admin: "psycopg.Connection[Any]") -> None:
    rows = admin.execute(
        "SELECT DISTINCT nspname, pg_get_userbyid(relowner) FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace"
        " WHERE nspname = ANY (%s)",
        (list(MAPPING.postgres.schemas),),
    ).fetchall()
    assert set(rows) == {(name, f"{name}_owner") for name in MAPPING.postgres.schemas}


def test_a_new_function_is_nobodys_but_its_owners(
    admin: "psycopg.Connection[Any]", resources: list[dict[str, Any]]
) -> None:
    assert not [default for default in of(resources, "DefaultPrivileges") if default["inputs"].get("schema")]
    for name in MAPPING.postgres.schemas:
        with admin.transaction(force_rollback=True):
            admin.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(f"{name}_owner")))
            admin.execute(FUNCTION.format(name).encode())
            row = admin.execute(
                "SELECT has_function_privilege('public', %s, 'EXECUTE')", (f"{name}.late()",)
            ).fetchone()
        assert row == (False,), f"everybody could call what {name} makes"


def test_a_function_that_was_there_before_is_closed_by_the_next_run(schema: Schema) -> None:
    name = schema.target.schema
    schema.write(v0001_tables=TABLES)
    schema.apply()
    schema.run(FUNCTION.format(name), f"ALTER FUNCTION {name}.late() OWNER TO {schema.target.owner}")
    schema.run(f"CREATE DOMAIN {name}.score AS int", f"ALTER DOMAIN {name}.score OWNER TO {schema.target.owner}")
    schema.apply()
    query = "SELECT has_function_privilege('public', %s, 'EXECUTE') OR has_type_privilege('public', %s, 'USAGE')"
    assert schema.rows(query, f"{name}.late()", f"{name}.score") == [(False,)]
    assert f"revoked the privileges of PUBLIC on routine {name}.late()" in schema.lines


def test_an_access_list_that_is_null_stands_for_the_defaults_and_drift_knows(
    live_stack: LocalStack, admin: "psycopg.Connection[Any]"
) -> None:
    text = live_stack.must("pulumi", "config", "--json", "--show-secrets", "--stack", "local")
    stack = Stack("local", {key: str(item.get("value", "")) for key, item in json.loads(text).items()})
    admin.execute(FUNCTION.format("vex").encode())
    try:
        assert admin.execute("SELECT proacl FROM pg_proc WHERE proname = 'late'").fetchone() == (None,)
        assert "PUBLIC may EXECUTE vex.late(): not in the mapping" in [item.sentence for item in check(stack, None)]
    finally:
        admin.execute("DROP FUNCTION vex.late()")


def test_a_revoke_that_only_warns_is_noticed(schema: Schema) -> None:
    name, owner = schema.target.schema, schema.target.owner
    schema.write(v0001_tables=TABLES)
    schema.apply()
    # Granted by the writer, who may pass it on: a REVOKE by the owner does nothing and is no error.
    schema.run(
        f"GRANT USAGE ON SCHEMA {name} TO {name}_writer",
        f"GRANT SELECT ON {name}.sources TO {name}_writer WITH GRANT OPTION",
        f"SET ROLE {name}_writer; GRANT SELECT ON {name}.sources TO PUBLIC",
        f"SET ROLE {owner}; REVOKE ALL ON {name}.sources FROM PUBLIC",
    )
    with schema.connect() as connection:
        assert public_access.drift(connection, schema.target) == [
            f"PUBLIC may SELECT on table {name}.sources: not in the mapping"
        ]
    assert f"PUBLIC may SELECT on table {name}.sources; find the role that granted it" in schema.refusal()


APPEND_ONLY = [
    (name, table)
    for name in MAPPING.postgres.schemas
    for table in MAPPING.access.schemas[name].append_only
    if "{" not in table
]


def insert(connection: "psycopg.Connection[Any]", schema: str, table: str) -> None:
    """A row of samples; nothing it refers to needs to exist."""
    samples = {"uuid": "gen_random_uuid()", "jsonb": "'{}'", "timestamptz": "now()", "text": "'x'", "integer": "1"}
    # These columns allow some values only.
    known = {"format": "'cdx-json'", "source": "'NVD'", "status": "'affected'"}
    columns = MAPPING.postgres.schemas[schema].tables[table].columns
    values = [known.get(column) or samples.get(kind, "'x'") for column, kind in columns.items()]
    connection.execute("SET LOCAL session_replication_role = replica")
    connection.execute(
        sql.SQL("INSERT INTO {} VALUES ({})").format(
            sql.Identifier(schema, table), sql.SQL(", ").join(map(sql.SQL, values))
        )
    )
    connection.execute("SET LOCAL session_replication_role = origin")


@pytest.mark.parametrize(("name", "table"), APPEND_ONLY)
def test_evidence_stays_as_it_is_for_owner_superuser_and_replica(
    admin: "psycopg.Connection[Any]", name: str, table: str
) -> None:
    relation = sql.Identifier(name, table)
    column = sql.Identifier(next(iter(MAPPING.postgres.schemas[name].tables[table].columns)))
    become = (
        "SET LOCAL lock_timeout = 1000",
        f"SET LOCAL ROLE {name}_owner",
        "SET LOCAL session_replication_role = replica",
    )
    for who in become:
        for change in ("UPDATE {0} SET {1} = {1}", "DELETE FROM {0}", "TRUNCATE {0} CASCADE"):
            with admin.transaction(force_rollback=True):
                insert(admin, name, table)
                admin.execute(who.encode())
                with pytest.raises(psycopg.Error, match="append-only") as caught, admin.transaction():
                    admin.execute(sql.SQL(change).format(relation, column))
                assert caught.value.sqlstate == "55000"
                assert admin.execute(sql.SQL("SELECT count(*) FROM {}").format(relation)).fetchone() == (1,)


def test_no_foreign_key_deletes_or_empties_evidence(admin: "psycopg.Connection[Any]") -> None:
    rows = admin.execute(
        "SELECT conrelid::regclass::text, confdeltype, confupdtype FROM pg_constraint JOIN pg_class c ON c.oid = conrelid"
        " JOIN pg_namespace n ON n.oid = relnamespace WHERE contype = 'f' AND nspname = ANY (%s)"
        " AND (confdeltype <> 'a' OR confupdtype <> 'a')",
        (list(MAPPING.postgres.schemas),),
    ).fetchall()
    assert rows == []


@pytest.mark.parametrize("action", ["CASCADE", "SET NULL", "SET DEFAULT"])
@pytest.mark.parametrize("who", ["scanner_owner", "postgres"])
def test_a_foreign_key_with_an_action_made_by_hand_does_not_reach_evidence(
    admin: "psycopg.Connection[Any]", who: str, action: str
) -> None:
    with admin.transaction(force_rollback=True):
        admin.execute("ALTER TABLE scanner.artifacts DROP CONSTRAINT artifacts_scan_id_fkey")
        admin.execute(
            f"ALTER TABLE scanner.artifacts ADD FOREIGN KEY (scan_id) REFERENCES scanner.scans ON DELETE {action}".encode()
        )
        admin.execute("INSERT INTO scanner.scans (scan_id, tenant_id) SELECT gen_random_uuid(), gen_random_uuid()")
        admin.execute(
            "INSERT INTO scanner.artifacts (artifact_id, scan_id) SELECT 'sha256:x', scan_id FROM scanner.scans LIMIT 1"
        )
        admin.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(who)))
        with pytest.raises(psycopg.Error, match="append-only"), admin.transaction():
            admin.execute("DELETE FROM scanner.scans")


def test_a_partition_of_evidence_is_not_truncated_either(schema: Schema) -> None:
    schema.write(
        v0001_tables=TABLES + RAW,
        v0002_events="CREATE TABLE {{ schema }}.events (id int) PARTITION BY RANGE (id);\n"
        "CREATE TABLE {{ schema }}.events_1 PARTITION OF {{ schema }}.events FOR VALUES FROM (0) TO (10);\n",
    )
    schema.apply(("events",))
    schema.run(f"INSERT INTO {schema.target.schema}.events VALUES (1)")
    with pytest.raises(psycopg.Error, match="append-only: TRUNCATE"):
        schema.run(f"TRUNCATE {schema.target.schema}.events_1")


def test_no_module_is_a_member_of_a_role_that_reaches_everything(admin: "psycopg.Connection[Any]") -> None:
    rows = admin.execute(
        "SELECT m.rolname, g.rolname FROM pg_roles m, pg_roles g WHERE m.rolname = ANY (%s)"
        " AND (g.rolname LIKE 'pg\\_%%' OR g.rolsuper) AND pg_has_role(m.oid, g.oid, 'MEMBER')",
        (list(MAPPING.modules),),
    ).fetchall()
    assert rows == [], "through any number of roles in between"


def test_an_index_is_built_concurrently_while_another_run_waits(schema: Schema) -> None:
    schema.write(v0001_tables=TABLES)
    schema.apply()
    name = schema.target.schema
    waiting, failures = threading.Event(), []

    def second_run() -> None:
        try:
            with (
                schema.connect() as connection,
                run_lock(connection, schema.target, Limits(run_lock=20), lambda _: waiting.set()),
            ):
                pass
        except Exception as error:
            failures.append(error)

    with schema.connect() as connection, run_lock(connection, schema.target, QUICK, silent):
        thread = threading.Thread(target=second_run)
        thread.start()
        assert waiting.wait(10)
        connection.execute("SET statement_timeout = '10s'")
        connection.execute(f"CREATE INDEX CONCURRENTLY by_id ON {name}.sources (id)".encode())
    thread.join(20)
    assert failures == [] and not thread.is_alive(), "a blocking lock would deadlock with the index"
