"""Append-only tables: nobody changes a row, whoever asks and however."""

from pathlib import Path

import psycopg
import pytest

from provider.postgres.append_only import drift
from tests.support.scratch_schema import RAW, TABLES, Schema, make_schema
from tools.local.servers.postgres import LocalPostgres

CHANGES = ("UPDATE {}.raw SET source = NULL", "DELETE FROM {}.raw", "TRUNCATE {}.raw")
ENTRIES = ("raw",)


@pytest.fixture
def server(postgres_server: LocalPostgres) -> LocalPostgres:
    return postgres_server


@pytest.fixture
def schema(server: LocalPostgres, tmp_path: Path) -> Schema:
    """``sources`` and the append-only ``raw``, which hangs on it with ON DELETE CASCADE; a row in each."""
    made = make_schema(server, tmp_path)
    made.write(v0001_tables=TABLES + RAW)
    made.apply(ENTRIES)
    name = made.target.schema
    made.run(f"INSERT INTO {name}.sources VALUES (1)", f"INSERT INTO {name}.raw VALUES (1, 1)")
    return made


def attempt(schema: Schema, statement: str, *before: str) -> str:
    """The server's refusal of a statement."""
    with schema.connect() as connection:
        for line in before:
            connection.execute(line.encode())
        with pytest.raises(psycopg.Error) as caught:
            connection.execute(statement.format(schema.target.schema).encode())
    assert caught.value.sqlstate == "55000", f"refused for another reason: {caught.value}"
    return str(caught.value.diag.message_primary)


def rows(schema: Schema, table: str = "raw") -> int:
    return int(schema.rows(f"SELECT count(*) FROM {schema.target.schema}.{table}")[0][0])


@pytest.mark.parametrize("statement", CHANGES, ids=["update", "delete", "truncate"])
def test_a_superuser_is_refused_and_told_the_rule(schema: Schema, statement: str) -> None:
    verb, name = statement.split(maxsplit=1)[0], schema.target.schema
    rule = f"append-only: {verb} on {name}.raw is refused (schema-mapping.yaml marks it append_only)"
    assert attempt(schema, statement) == rule
    assert rows(schema) == 1


@pytest.mark.parametrize("statement", CHANGES, ids=["update", "delete", "truncate"])
def test_the_owner_is_refused(schema: Schema, statement: str) -> None:
    attempt(schema, statement, f"SET ROLE {schema.target.owner}")


@pytest.mark.parametrize("statement", CHANGES, ids=["update", "delete", "truncate"])
def test_replica_mode_does_not_get_round_it(schema: Schema, statement: str) -> None:
    attempt(schema, statement, "SET session_replication_role = replica")


@pytest.mark.parametrize("statement", CHANGES, ids=["update", "delete", "truncate"])
def test_a_writer_is_refused_even_with_every_privilege(schema: Schema, statement: str) -> None:
    name = schema.target.schema
    schema.run(f"GRANT USAGE ON SCHEMA {name} TO {name}_writer", f"GRANT ALL ON {name}.raw TO {name}_writer")
    attempt(schema, statement, f"SET ROLE {name}_writer")


def test_a_cascade_from_the_parent_deletes_no_evidence(schema: Schema) -> None:
    attempt(schema, "DELETE FROM {}.sources")
    attempt(schema, "TRUNCATE {}.sources CASCADE")
    assert (rows(schema), rows(schema, "sources")) == (1, 1)


def test_an_upsert_that_would_update_is_refused_and_one_that_does_nothing_is_not(schema: Schema) -> None:
    attempt(schema, "INSERT INTO {}.raw VALUES (1, 1) ON CONFLICT (id) DO UPDATE SET source = NULL")
    schema.run(f"INSERT INTO {schema.target.schema}.raw VALUES (1, 1), (2, 1) ON CONFLICT (id) DO NOTHING")
    assert rows(schema) == 2, "new evidence must still go in"


def test_merge_is_refused(schema: Schema) -> None:
    attempt(schema, "MERGE INTO {0}.raw r USING {0}.sources s ON r.source = s.id WHEN MATCHED THEN DELETE")


def test_partitions_are_protected_one_by_one(schema: Schema) -> None:
    schema.write(
        v0002_events="CREATE TABLE {{ schema }}.events (id int, day int) PARTITION BY RANGE (day);\n"
        "CREATE TABLE {{ schema }}.events_1 PARTITION OF {{ schema }}.events FOR VALUES FROM (0) TO (10);\n"
    )
    entries = (*ENTRIES, "events")
    schema.apply(entries)
    name = schema.target.schema
    schema.run(f"INSERT INTO {name}.events VALUES (1, 1)")
    for table in ("events", "events_1"):
        for statement in (f"TRUNCATE {{}}.{table}", f"DELETE FROM {{}}.{table}", f"UPDATE {{}}.{table} SET id = 2"):
            attempt(schema, statement, "SET session_replication_role = replica")
    schema.write(
        v0003_more="CREATE TABLE {{ schema }}.events_2 PARTITION OF {{ schema }}.events FOR VALUES FROM (10) TO (20);\n"
    )
    schema.apply(entries)
    attempt(schema, "TRUNCATE {}.events_2")
    schema.lines.clear()
    schema.apply(entries)
    assert schema.lines == [], "a second run must change nothing"
    schema.apply(ENTRIES)
    assert found(schema) == []
    schema.run(f"TRUNCATE {name}.events")


def test_a_table_has_its_triggers_from_the_transaction_that_makes_it(schema: Schema) -> None:
    schema.write(
        v0002_late="CREATE TABLE {{ schema }}.late (id int);\n",
        # Only a trigger can refuse it: the name of the table is not in the statement.
        v0003_uses_it="INSERT INTO {{ schema }}.late VALUES (1);\n"
        "DO $$ BEGIN EXECUTE format('UPDATE {{ schema }}.%I SET id = 2', 'late'); END $$;\n",
    )
    text = schema.refusal((*ENTRIES, "late"))
    assert "0003_uses_it.sql.j2:2: append-only: UPDATE on" in text, "there was a moment without protection"


def test_the_mark_taken_away_takes_the_triggers_away(schema: Schema) -> None:
    schema.apply()
    schema.run(f"DELETE FROM {schema.target.schema}.raw")
    assert any("dropped trigger append_only_row" in line for line in schema.lines)


def test_a_marked_table_that_no_migration_makes_is_named(schema: Schema) -> None:
    assert "marks it append_only, but no migration creates it" in schema.refusal((*ENTRIES, "advisory_row"))


def test_tables_made_at_run_time_keep_their_triggers(schema: Schema) -> None:
    entries = (*ENTRIES, "finding_{policyId}_history")
    name = schema.target.schema
    schema.run(
        f'CREATE TABLE {name}."finding_1-2_history" (id int)',
        f'ALTER TABLE {name}."finding_1-2_history" OWNER TO {name}_owner',
        f"CREATE TABLE {name}.finding_history (id int)",
        f"ALTER TABLE {name}.finding_history OWNER TO {name}_owner",
    )
    schema.apply(entries)
    attempt(schema, 'TRUNCATE {}."finding_1-2_history"')
    schema.run(f"TRUNCATE {name}.finding_history")
    schema.lines.clear()
    schema.apply(entries)
    assert schema.lines == []


def test_nobody_but_the_owner_may_execute_the_function(schema: Schema) -> None:
    query = "SELECT has_function_privilege(%s, %s, 'EXECUTE')"
    name = schema.target.schema
    assert schema.rows(query, "public", f"{name}.refuse_change()") == [(False,)]


def found(schema: Schema, entries: tuple[str, ...] = ENTRIES) -> list[str]:
    with schema.connect() as connection:
        return drift(connection, schema.target.schema, entries)


def trigger(events: str, level: str) -> str:
    return f"CREATE OR REPLACE TRIGGER append_only_row {events} ON {{0}}.raw {level} EXECUTE FUNCTION {{0}}.refuse_change()"


BODY = "RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'"


@pytest.mark.parametrize(
    ("tampering", "said"),
    [
        (
            "ALTER TABLE {0}.raw DISABLE TRIGGER append_only_row",
            "trigger append_only_row on {0}.raw is not enabled always",
        ),
        (
            "ALTER TABLE {0}.raw ENABLE TRIGGER append_only_row",
            "trigger append_only_row on {0}.raw is not enabled always",
        ),
        ("DROP TRIGGER append_only_truncate ON {0}.raw", "trigger append_only_truncate on {0}.raw is missing"),
        (
            trigger("BEFORE UPDATE OF source OR DELETE", "FOR EACH ROW"),
            "trigger append_only_row on {0}.raw was changed",
        ),
        (
            trigger("BEFORE UPDATE OR DELETE", "FOR EACH ROW WHEN (OLD.id > 5)"),
            "trigger append_only_row on {0}.raw was changed",
        ),
        (
            trigger("BEFORE DELETE", "FOR EACH ROW"),
            "trigger append_only_row on {0}.raw was changed",
        ),
        (
            "CREATE OR REPLACE FUNCTION {0}.refuse_change() " + BODY,
            "function {0}.refuse_change() is missing, changed or open to PUBLIC",
        ),
        (
            "GRANT EXECUTE ON FUNCTION {0}.refuse_change() TO PUBLIC",
            "function {0}.refuse_change() is missing, changed or open to PUBLIC",
        ),
        ("DROP FUNCTION {0}.refuse_change() CASCADE", "trigger append_only_row on {0}.raw is missing"),
        (
            "CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON {0}.sources EXECUTE FUNCTION {0}.refuse_change()",
            "trigger append_only_truncate on {0}.sources: the table is not append-only",
        ),
    ],
)
def test_tampering_is_found_in_words_and_put_right(schema: Schema, tampering: str, said: str) -> None:
    assert found(schema) == [], "an untouched schema has no drift"
    schema.run(tampering.format(schema.target.schema))
    assert said.format(schema.target.schema) in found(schema)
    schema.apply(ENTRIES)
    assert found(schema) == []
    for statement in CHANGES:
        attempt(schema, statement, "SET session_replication_role = replica")


def test_a_table_that_is_gone_is_drift(schema: Schema) -> None:
    schema.run(f"DROP TABLE {schema.target.schema}.raw")
    assert found(schema) == [f"append-only table {schema.target.schema}.raw does not exist"]


def test_no_run_locks_a_table_whose_triggers_are_right(schema: Schema) -> None:
    with schema.connect(autocommit=False) as reader:
        reader.execute(f"SELECT * FROM {schema.target.schema}.raw".encode())
        schema.lines.clear()
        schema.apply(ENTRIES)
    assert schema.lines == [], "a deployment would wait for every reader"


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM {}.raw",
        "UPDATE {}.raw SET source = NULL",
        "WITH gone AS (DELETE FROM {}.raw RETURNING 1) SELECT count(*) FROM gone",
        "INSERT INTO {}.raw (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET id = 1",
        "DO $$ BEGIN DELETE FROM {}.raw; END $$",
        "DO $$ BEGIN EXECUTE 'DELETE FROM {}.raw'; END $$",
    ],
)
def test_a_migration_may_not_change_evidence_that_has_no_rows_yet(
    server: LocalPostgres, tmp_path: Path, statement: str
) -> None:
    made = make_schema(server, tmp_path)
    made.write(v0001_tables=TABLES + RAW)
    made.apply(ENTRIES)
    made.write(v0002_change=statement.format(made.target.schema) + ";")
    refusal = made.refusal(ENTRIES)
    assert "rows of evidence are" in refusal, refusal
    assert made.versions() == [1], "the file was recorded"
