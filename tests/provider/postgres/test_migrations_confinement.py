"""A migration cannot leave the owner role and cannot change evidence, whatever it tries."""

from pathlib import Path

import pytest

from tests.support.scratch_schema import RAW, TABLES, Schema, make_schema
from tools.local.servers.postgres import LocalPostgres

ENTRIES = ("raw",)
ROLE = 'cannot set parameter "role" within security-definer function'
FINE = "CREATE TABLE {{ schema }}.fine (id int);\n"
NOTE = "ALTER TABLE {{ schema }}.raw ADD note text;\n"
DELETE = "DELETE FROM {{ schema }}.raw;\n"
# The table's name is known only when it runs, so that nothing refuses it before.
HIDDEN_DELETE = (
    "EXECUTE 'DELETE FROM {{ schema }}.' || (SELECT relname FROM pg_class WHERE oid = '{{ schema }}.raw'::regclass);\n"
)


@pytest.fixture
def schema(postgres_server: LocalPostgres, tmp_path: Path) -> Schema:
    """``sources`` and the append-only ``raw``, with a row in each."""
    made = make_schema(postgres_server, tmp_path)
    made.write(v0001_tables="CREATE TYPE {{ schema }}.kind AS ENUM ('a');\n" + TABLES + RAW + NOTE)
    made.apply(ENTRIES)
    name = made.target.schema
    made.run(f"INSERT INTO {name}.sources VALUES (1)", f"INSERT INTO {name}.raw VALUES (1, 1, 'n')")
    return made


def refusal(schema: Schema, text: str) -> str:
    """The error of a second file with that text; nothing of the file remains, and the evidence is complete."""
    schema.write(v0002_evil=FINE + text)
    before = rows_and_guards(schema)
    message = schema.refusal(ENTRIES)
    assert schema.versions() == [1] and "fine" not in schema.tables(), "a refused file must leave nothing"
    assert rows_and_guards(schema) == before, "evidence or its protection changed"
    left = schema.rows("SELECT proname FROM pg_proc WHERE proname LIKE 'run_statement%%' AND %s = %s", 1, 1)
    assert left == [], "the function that runs statements must not remain"
    assert "0002_evil.sql.j2" in message, message
    return message


def rows_and_guards(schema: Schema) -> list[tuple[object, ...]]:
    name = schema.target.schema
    guards = schema.rows(
        """SELECT t.tgname, t.oid, t.tgenabled, p.prosrc FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid
           WHERE t.tgrelid = to_regclass(%s) AND NOT tgisinternal ORDER BY 1""",
        f"{name}.raw",
    )
    columns = schema.rows(
        "SELECT attname, atttypid FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attnum > 0", f"{name}.raw"
    )
    return [*schema.rows(f"SELECT * FROM {name}.raw"), *guards, *columns]


def do(body: str) -> str:
    return f"DO $$ BEGIN\n{body}\nEND $$;\n"


@pytest.mark.parametrize(
    "text",
    [
        do("SET ROLE NONE;"),
        do("SET LOCAL ROLE postgres;"),
        do("RESET ROLE;"),
        do("PERFORM set_config('role', 'none', true);"),
        do("PERFORM set_config('role', 'none', false); CREATE ROLE evil; PERFORM set_config('role', 's', false);"),
        "SELECT pg_catalog.set_config('role', 'none', true);\n",
        (
            "CREATE FUNCTION {{ schema }}.f() RETURNS void LANGUAGE plpgsql AS $$ BEGIN SET ROLE NONE; END $$;\n"
            "SELECT {{ schema }}.f();\n"
        ),
        do("EXECUTE 'SET ' || 'ROLE NONE';"),
    ],
)
def test_the_role_cannot_be_left_even_for_a_moment(schema: Schema, text: str) -> None:
    message = refusal(schema, text)
    assert (ROLE in message and ":2: " in message) or ":3: " in message, message
    assert schema.rows("SELECT 1 FROM pg_roles WHERE rolname = %s", "evil") == []


@pytest.mark.parametrize(
    "text",
    [
        do("SET SESSION AUTHORIZATION postgres;"),
        do("PERFORM set_config('session_authorization', 'postgres', false);"),
    ],
)
def test_the_session_user_cannot_be_changed(schema: Schema, text: str) -> None:
    assert 'cannot set parameter "session_authorization" within security-definer function' in refusal(schema, text)


def test_a_trigger_that_is_deferred_to_the_commit_cannot_leave_the_role(schema: Schema) -> None:
    text = (
        "CREATE FUNCTION {{ schema }}.f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN SET ROLE NONE; RETURN NULL; END $$;\n"
        "CREATE CONSTRAINT TRIGGER t AFTER INSERT ON {{ schema }}.fine DEFERRABLE INITIALLY DEFERRED\n"
        "FOR EACH ROW EXECUTE FUNCTION {{ schema }}.f();\nINSERT INTO {{ schema }}.fine VALUES (1);\n"
    )
    assert ROLE in refusal(schema, text)


def test_a_cursor_that_outlives_the_file_runs_nothing(schema: Schema) -> None:
    body = "EXECUTE 'DECLARE c CURSOR WITH HOLD FOR SELECT {{ schema }}.f()';"
    schema.write(
        v0002_x="CREATE FUNCTION {{ schema }}.f() RETURNS int LANGUAGE plpgsql AS $$ BEGIN SET ROLE NONE;\n"
        "CREATE ROLE evil; RETURN 1; END $$;\n" + do(body)
    )
    schema.apply(ENTRIES)
    assert schema.rows("SELECT 1 FROM pg_roles WHERE rolname = %s", "evil") == []


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (do("PERFORM set_config('search_path', 'public', true);"), "it changes search_path from '\"\"' to 'public'"),
        (do("SET LOCAL search_path = public;"), "it changes search_path from"),
        (do("SET standard_conforming_strings = off;"), "it changes standard_conforming_strings from 'on' to 'off'"),
        (do("SET LOCAL row_security = on;"), "it changes row_security from 'off' to 'on'"),
    ],
)
def test_a_setting_of_the_runner_cannot_be_changed(schema: Schema, text: str, what: str) -> None:
    message = refusal(schema, f"SELECT 1;\n{text}")
    assert f"0002_evil.sql.j2:3: {what}" in message, message


def test_the_function_that_runs_statements_cannot_be_replaced(schema: Schema) -> None:
    body = """EXECUTE (SELECT format('ALTER FUNCTION %s SECURITY INVOKER', oid::regprocedure)
              FROM pg_proc WHERE proname LIKE 'run_statement%');"""
    assert ":2: it changes the function that runs the file's statements" in refusal(schema, do(body))


REPLACED = (
    "CREATE OR REPLACE FUNCTION {{ schema }}.refuse_change() RETURNS trigger LANGUAGE plpgsql AS"
    " $$ BEGIN RETURN OLD; END $$;\n"
)
TRIGGER = (
    "CREATE TRIGGER append_only_row BEFORE UPDATE OR DELETE ON {{ schema }}.raw FOR EACH ROW"
    " EXECUTE FUNCTION {{ schema }}.refuse_change();\n"
    "ALTER TABLE {{ schema }}.raw ENABLE ALWAYS TRIGGER append_only_row;\n"
)
DROP = "DROP TRIGGER append_only_row ON {{ schema }}.raw;\n"
DISABLE = "ALTER TABLE {{ schema }}.raw DISABLE TRIGGER append_only_row;\n"
ENABLE = "ALTER TABLE {{ schema }}.raw ENABLE ALWAYS TRIGGER append_only_row;\n"
NEW_TRIGGER = (
    "CREATE FUNCTION {{ schema }}.g() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;\n"
    "CREATE TRIGGER t BEFORE INSERT ON {{ schema }}.raw FOR EACH ROW EXECUTE FUNCTION {{ schema }}.g();\n"
)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (DROP, "trigger append_only_row of {}.raw was dropped"),
        (do(DROP), "trigger append_only_row of {}.raw was dropped"),
        (do("EXECUTE 'DROP TRIGGER append_only_' || 'row ON {{ schema }}.raw';"), "trigger append_only_row of {}.raw"),
        (DROP + do(HIDDEN_DELETE), "trigger append_only_row of {}.raw was dropped"),
        (DROP + do(HIDDEN_DELETE) + TRIGGER, "trigger append_only_row of {}.raw was changed"),
        (do(DROP + HIDDEN_DELETE + TRIGGER), "trigger append_only_row of {}.raw was changed"),
        (DISABLE, "trigger append_only_row of {}.raw was changed"),
        (DISABLE + do(HIDDEN_DELETE) + ENABLE, "trigger append_only_row of {}.raw was changed"),
        (do(DISABLE + HIDDEN_DELETE + ENABLE), "trigger append_only_row of {}.raw was changed"),
        (
            "ALTER TABLE {{ schema }}.raw ENABLE REPLICA TRIGGER append_only_row;\n" + do(HIDDEN_DELETE),
            "trigger append_only_row",
        ),
        ("ALTER TRIGGER append_only_row ON {{ schema }}.raw RENAME TO x;\n", "trigger append_only_row of {}.raw"),
        (REPLACED, "definition of {}.refuse_change() was changed"),
        (REPLACED + do(HIDDEN_DELETE), "definition of {}.refuse_change() was changed"),
        ("ALTER FUNCTION {{ schema }}.refuse_change() RENAME TO x;\n", "definition of {}.refuse_change() was changed"),
        ("DROP FUNCTION {{ schema }}.refuse_change() CASCADE;\n" + do(HIDDEN_DELETE), "{}.refuse_change() was dropped"),
        ("ALTER TABLE {{ schema }}.raw ALTER source TYPE bigint;\n", "column source of {}.raw was changed"),
        (
            "ALTER TABLE {{ schema }}.raw ALTER note TYPE text USING 'x';\n",
            "values of column note of {}.raw may have changed",
        ),
        ("ALTER TABLE {{ schema }}.raw DROP source;\n", "column source of {}.raw was dropped"),
        ("ALTER TABLE {{ schema }}.raw RENAME source TO s;\n", "column source of {}.raw was dropped"),
        ("ALTER TABLE {{ schema }}.raw RENAME TO r;\n", "table of {}.raw was changed"),
        ("ALTER TABLE {{ schema }}.raw SET UNLOGGED;\n", "table of {}.raw was changed"),
        ("DROP TABLE {{ schema }}.raw;\n", "{}.raw was dropped"),
        ("DROP TABLE {{ schema }}.raw;\n" + RAW, "{}.raw was dropped or recreated"),
        ("CREATE RULE r AS ON INSERT TO {{ schema }}.raw DO INSTEAD NOTHING;\n", "rule r of {}.raw was added"),
        (
            "CREATE RULE r AS ON DELETE TO {{ schema }}.raw DO INSTEAD UPDATE {{ schema }}.sources SET id = 2;\n",
            "rule r of {}.raw was added",
        ),
        (NEW_TRIGGER, "trigger t of {}.raw was added"),
        ("CREATE TABLE {{ schema }}.child () INHERITS ({{ schema }}.raw);\n", "child {}.child of {}.raw was added"),
        (
            (
                "CREATE TABLE {{ schema }}.child (LIKE {{ schema }}.raw);\n"
                "ALTER TABLE {{ schema }}.child INHERIT {{ schema }}.raw;\n"
            ),
            "child {}.child of {}.raw was added",
        ),
    ],
)
def test_evidence_and_its_protection_cannot_be_changed(schema: Schema, text: str, what: str) -> None:
    message = refusal(schema, text)
    assert what.replace("{}", schema.target.schema) in message, message
    assert "first remove append_only from the mapping" in message


@pytest.mark.parametrize(
    "text",
    [
        (
            "CREATE FUNCTION {{ schema }}.f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;\n"
            "CREATE TRIGGER t AFTER INSERT ON {{ schema }}.schema_migrations FOR EACH ROW EXECUTE FUNCTION {{ schema }}.f();\n"
        ),
        "ALTER TABLE {{ schema }}.schema_migrations ADD x int DEFAULT 1;\n",
        do("EXECUTE 'DROP TABLE {{ schema }}.schema_' || 'migrations';"),
    ],
    ids=["trigger", "column", "drop"],
)
def test_a_file_cannot_change_schema_migrations(schema: Schema, text: str) -> None:
    assert "remove what changes schema_migrations from the file" in refusal(schema, text)
    assert schema.versions() == [1]


@pytest.mark.parametrize("text", [do(HIDDEN_DELETE), "TRUNCATE {{ schema }}.raw;\n", do("TRUNCATE {{ schema }}.raw;")])
def test_the_guard_refuses_to_delete_rows_of_evidence(schema: Schema, text: str) -> None:
    assert "append-only: " in refusal(schema, text)


@pytest.mark.parametrize("text", [DELETE, do(DELETE)])
def test_a_statement_that_deletes_rows_of_evidence_does_not_run(schema: Schema, text: str) -> None:
    assert "rows of evidence are deleted" in refusal(schema, text)


def test_replica_mode_is_not_available_to_the_owner(schema: Schema) -> None:
    text = do("SET session_replication_role = replica;") + DELETE
    assert "permission denied to set parameter" in refusal(schema, text)


def test_labels_of_a_type_in_evidence_keep_their_names(schema: Schema) -> None:
    schema.write(v0002_kind="ALTER TABLE {{ schema }}.raw ADD kind {{ schema }}.kind;\n")
    schema.apply(ENTRIES)
    schema.write(v0003_more="ALTER TYPE {{ schema }}.kind ADD VALUE 'b';\n")
    schema.apply(ENTRIES)
    schema.write(v0004_evil="ALTER TYPE {{ schema }}.kind RENAME VALUE 'a' TO 'c';\n")
    assert "of a type of" in schema.refusal(ENTRIES)


def test_what_a_migration_needs_on_evidence_still_works(schema: Schema) -> None:
    schema.write(
        v0002_more="ALTER TABLE {{ schema }}.raw ADD more text, ADD CHECK (id > 0);\n"
        "CREATE INDEX ON {{ schema }}.raw (source);\nCOMMENT ON TABLE {{ schema }}.raw IS 'x';\n"
        "CREATE TABLE {{ schema }}.uses (id int REFERENCES {{ schema }}.raw);\n"
        "INSERT INTO {{ schema }}.raw VALUES (2, 1, 'x');\n"
        "ALTER TABLE {{ schema }}.raw ALTER note SET DEFAULT 'x', ALTER id SET STATISTICS 10;\n"
        "CREATE FUNCTION {{ schema }}.told() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;\n"
        "CREATE TRIGGER told AFTER INSERT ON {{ schema }}.raw FOR EACH ROW EXECUTE FUNCTION {{ schema }}.told();\n"
    )
    schema.write(v0003_rewrite="ALTER TABLE {{ schema }}.raw ADD at timestamptz DEFAULT clock_timestamp();\n")
    assert [row.version for row in schema.apply(ENTRIES)] == [1, 2, 3]


def test_a_table_that_is_no_longer_append_only_can_be_changed(schema: Schema) -> None:
    schema.apply(())
    schema.write(v0002_gone=DELETE + "DROP TABLE {{ schema }}.raw;\n")
    assert [row.version for row in schema.apply(())] == [1, 2]


def test_an_error_has_the_statement_and_its_line_and_nothing_of_the_runner(schema: Schema) -> None:
    schema.write(v0002_x=FINE + "\nSELECT 1,\n  absent\nFROM {{ schema }}.raw;\n")
    message = schema.refusal(ENTRIES)
    assert '0002_x.sql.j2:4: column "absent" does not exist in `SELECT 1,`' in message, message
    schema.write(v0002_x=FINE + do("RAISE EXCEPTION 'no';"))
    message = schema.refusal(ENTRIES)
    assert "0002_x.sql.j2:2: no; at: PL/pgSQL function inline_code_block line 2 at RAISE in `DO" in message, message
    assert "run_statement" not in message
