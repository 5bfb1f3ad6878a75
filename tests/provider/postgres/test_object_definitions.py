"""Definitions of indexes, constraints, views, functions and the like, read from a real catalog."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest

from provider.difference import Difference
from provider.postgres.object_definitions import RecordedDefinitions, create_table
from provider.postgres.tables import read_columns
from tests.support.scratch_schema import Schema, make_schema
from tools.local.servers.postgres import LocalPostgres

OBJECTS = """
CREATE TYPE {s}.mood AS ENUM ('good', 'not so good');
CREATE DOMAIN {s}.percent AS integer NOT NULL DEFAULT 0 CONSTRAINT range CHECK (VALUE BETWEEN 0 AND 100);
CREATE TYPE {s}.pair AS (a integer, b text);
CREATE SEQUENCE {s}.numbers AS integer INCREMENT 2 CYCLE;
CREATE TABLE {s}.parents (id integer PRIMARY KEY, "Odd name" text UNIQUE);
CREATE TABLE {s}.things (
  id serial PRIMARY KEY, row_id bigint GENERATED ALWAYS AS IDENTITY, parent integer NOT NULL REFERENCES {s}.parents (id),
  share {s}.percent, state text DEFAULT 'new' CHECK (state <> ''), doubled integer GENERATED ALWAYS AS (parent * 2) STORED);
CREATE INDEX things_state ON {s}.things (lower(state)) WHERE parent > 1;
CREATE UNIQUE INDEX "Odd index" ON {s}.parents ("Odd name");
CREATE STATISTICS {s}.linked ON id, parent FROM {s}.things;
CREATE VIEW {s}.seen WITH (security_invoker = true) AS SELECT id, state FROM {s}.things;
CREATE MATERIALIZED VIEW {s}.counted AS SELECT count(*) AS n FROM {s}.things;
CREATE FUNCTION {s}.touch() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN NEW; END$$;
CREATE AGGREGATE {s}.total(integer) (SFUNC = int4pl, STYPE = integer, INITCOND = '0');
CREATE PROCEDURE {s}.work() LANGUAGE sql AS 'SELECT 1';
CREATE TRIGGER touched BEFORE INSERT ON {s}.things FOR EACH ROW EXECUTE FUNCTION {s}.touch();
ALTER TABLE {s}.things DISABLE TRIGGER touched;
CREATE RULE quiet AS ON DELETE TO {s}.parents DO INSTEAD NOTHING;
"""
# Kind -> a statement that drops an object of it.
DROPS = {
    "index": "DROP INDEX {name}",
    "statistics": "DROP STATISTICS {schema}.{name}",
    "trigger": "DROP TRIGGER {name} ON {table}",
    "rule": "DROP RULE {name} ON {table}",
    "constraint": "ALTER TABLE {table} DROP CONSTRAINT {name} CASCADE",
    "sequence": "DROP SEQUENCE {name} CASCADE",
    "view": "DROP VIEW {name}",
    "materialized": "DROP MATERIALIZED {name}",
    "procedure": "DROP PROCEDURE {name}",
    "aggregate": "DROP AGGREGATE {name}",
}


@pytest.fixture
def schema(postgres_server: LocalPostgres, tmp_path: Path) -> Schema:
    made = make_schema(postgres_server, tmp_path)
    made.run(f"SET ROLE {made.target.owner}; " + OBJECTS.replace("{s}", made.target.schema))
    return made


def definitions(schema: Schema) -> RecordedDefinitions:
    with schema.connect() as connection:
        return RecordedDefinitions.read(connection, schema.target.schema)


def differences(schema: Schema, recorded: RecordedDefinitions) -> list[Difference]:
    return list(recorded.differences(definitions(schema), schema.target.owner))


def sentences(schema: Schema, recorded: RecordedDefinitions) -> list[str]:
    return [item.sentence for item in differences(schema, recorded)]


def remedied(schema: Schema, recorded: RecordedDefinitions) -> list[Difference]:
    """Run the remedy of each difference, and return what is left. One that needs another's object works in the next round."""
    for _ in range(3):
        for item in differences(schema, recorded):
            with suppress(psycopg.errors.UndefinedObject, psycopg.errors.UndefinedTable):
                schema.run(item.remedy)
    return differences(schema, recorded)


def names(schema: Schema) -> set[str]:
    return {
        name.replace(schema.target.schema, "s") for objects in definitions(schema).objects.values() for name in objects
    }


def test_every_kind_of_object_is_found_under_its_name(schema: Schema) -> None:
    assert {
        "type s.mood", "type s.percent", "type s.pair", "sequence s.numbers", "sequence s.things_id_seq",
        "constraint things_pkey on s.things", "constraint things_parent_fkey on s.things", "column s.things.state",
        "constraint things_state_check on s.things", 'column s.parents."Odd name"', "index s.things_state",
        'index s."Odd index"', "statistics linked", "view s.seen", "materialized view s.counted",
        "function s.touch()", "procedure s.work()", "trigger touched on s.things", "rule quiet on s.parents",
    } <= names(schema)  # fmt: skip


def _dropped(schema: Schema) -> Iterator[tuple[str, str]]:
    """Each object with a statement that drops it."""
    for name in (name for objects in definitions(schema).objects.values() for name in objects):
        kind, _, rest = name.partition(" ")
        if kind in DROPS:
            identifier, _, table = rest.partition(" on ")
            yield name, DROPS[kind].format(name=identifier, table=table, schema=schema.target.schema)


def test_the_remedy_makes_a_dropped_object_again(schema: Schema) -> None:
    recorded = definitions(schema)
    tried = 0
    for name, drop in list(_dropped(schema)):
        schema.run(drop)
        assert f"{name} does not exist: a migration made it" in sentences(schema, recorded)
        assert remedied(schema, recorded) == [], name
        tried += 1
    assert tried > 12
    assert definitions(schema) == recorded


def test_the_remedies_make_a_dropped_table_again(schema: Schema) -> None:
    recorded, name = definitions(schema), schema.target.schema
    with schema.connect() as connection:
        types = read_columns(connection, name)["things"]
    schema.run(f"DROP TABLE {name}.things CASCADE")
    made = create_table(recorded.objects["things"], types)
    schema.run(f"SET ROLE {schema.target.owner}; {'; '.join(made)}; RESET ROLE")
    assert remedied(schema, recorded) == []
    schema.run(f"INSERT INTO {name}.parents VALUES (7); INSERT INTO {name}.things (parent) VALUES (7)")
    with schema.connect() as connection:
        row = connection.execute(f"SELECT id, row_id, state, doubled FROM {name}.things".encode()).fetchone()
    assert row == (1, 1, "new", 14)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("CREATE INDEX extra ON {s}.things (id)", "index {s}.extra: no migration made it"),
        ("DROP VIEW {s}.seen", "view {s}.seen does not exist: a migration made it"),
        ("ALTER VIEW {s}.seen RESET (security_invoker)", "view {s}.seen is not as the migrations made it"),
        ("ALTER TYPE {s}.mood ADD VALUE 'bad'", "type {s}.mood is not as the migrations made it: it is `CREATE TYPE {s}.mood AS ENUM ('good', 'not so good', 'bad')`"),
        ("ALTER TABLE {s}.things ALTER state DROP DEFAULT", "column {s}.things.state is not as the migrations made it"),
        ("ALTER TABLE {s}.things ALTER parent DROP NOT NULL", "column {s}.things.parent is not as the migrations made it"),
        ("ALTER TABLE {s}.things ENABLE TRIGGER touched", "trigger touched on {s}.things is not as the migrations made it"),
        ("CREATE OR REPLACE PROCEDURE {s}.work() LANGUAGE sql AS 'SELECT 2'", "procedure {s}.work() is not as the migrations made it"),
    ],
)  # fmt: skip
def test_a_manual_change_is_one_sentence(schema: Schema, change: str, expected: str) -> None:
    recorded = definitions(schema)
    schema.run(change.replace("{s}", schema.target.schema))
    (sentence,) = sentences(schema, recorded)
    assert sentence.startswith(expected.replace("{s}", schema.target.schema))


@pytest.mark.parametrize(
    "change",
    [
        "ALTER VIEW {s}.seen RESET (security_invoker)",
        "ALTER TABLE {s}.things ALTER state DROP DEFAULT",
        "ALTER TABLE {s}.things ALTER state SET DEFAULT 'it''s; old'",
        "ALTER TABLE {s}.things ALTER share SET DEFAULT 7, ALTER share SET NOT NULL",
        "ALTER TABLE {s}.things ALTER parent DROP NOT NULL",
        "ALTER TABLE {s}.things ALTER row_id SET GENERATED BY DEFAULT",
        "ALTER TABLE {s}.things ALTER row_id DROP IDENTITY, ALTER row_id SET DEFAULT 1",
        "ALTER TABLE {s}.things ALTER parent ADD GENERATED ALWAYS AS IDENTITY",
        "ALTER TABLE {s}.things ENABLE TRIGGER touched",
        "ALTER SEQUENCE {s}.numbers INCREMENT 3 NO CYCLE",
        "ALTER SEQUENCE {s}.things_id_seq CYCLE",
        "CREATE OR REPLACE PROCEDURE {s}.work() LANGUAGE sql AS 'SELECT 2'",
        "CREATE OR REPLACE FUNCTION {s}.touch() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS 'BEGIN RETURN NULL; END'",
        "CREATE OR REPLACE RULE quiet AS ON DELETE TO {s}.parents DO INSTEAD SELECT 1",
        "CREATE OR REPLACE AGGREGATE {s}.total(integer) (SFUNC = int4mul, STYPE = integer, INITCOND = '1')",
        "CREATE INDEX extra ON {s}.things (id)",
        "CREATE STATISTICS {s}.extra ON id, state FROM {s}.things",
        "CREATE TYPE {s}.extra AS ENUM ('x')",
        "CREATE DOMAIN {s}.extra AS int",
        "CREATE SEQUENCE {s}.extra",
        "CREATE MATERIALIZED VIEW {s}.extra AS SELECT 1 AS one",
        'ALTER TABLE {s}.things ADD CONSTRAINT "on on" CHECK (id > 0)',
        'CREATE TRIGGER "on on" BEFORE UPDATE ON {s}.parents FOR EACH ROW EXECUTE FUNCTION {s}.touch()',
        "CREATE PROCEDURE {s}.extra(a integer, b text) LANGUAGE sql AS 'SELECT 1'",
    ],
)  # fmt: skip
def test_the_remedy_corrects_a_manual_change(schema: Schema, change: str) -> None:
    recorded = definitions(schema)
    schema.run(change.replace("{s}", schema.target.schema))
    found = differences(schema, recorded)
    assert found
    for item in found:
        assert item.remedy.isprintable()
        schema.run(item.remedy)
    assert sentences(schema, recorded) == []


def test_a_check_that_pg_restore_made_is_the_same(schema: Schema) -> None:
    name = schema.target.schema
    check = "CHECK (((kind)::text = ANY ((ARRAY['a'::character varying, 'it''s, (b)'::character varying])::text[])))"
    schema.run(f"CREATE TABLE {name}.kinds (kind varchar(9) CONSTRAINT known CHECK (kind IN ('a', 'it''s, (b)')))")
    recorded = definitions(schema)
    assert recorded.objects["kinds"]["constraint known on " + f"{name}.kinds"].endswith(check)
    schema.run(
        f"ALTER TABLE {name}.kinds DROP CONSTRAINT known", f"ALTER TABLE {name}.kinds ADD CONSTRAINT known {check}"
    )
    assert definitions(schema) != recorded, "this server prints what it reads"
    assert sentences(schema, recorded) == []


def test_columns_and_tables_that_come_or_go_are_left_to_the_mapping(schema: Schema) -> None:
    recorded = definitions(schema)
    name = schema.target.schema
    schema.run(f"ALTER TABLE {name}.things ADD note text", f"DROP TABLE {name}.parents CASCADE")
    (difference,) = differences(schema, recorded)
    assert str(difference) == (
        f"constraint things_parent_fkey on {name}.things does not exist: a migration made it; run: SET ROLE "
        f"{name}_owner; ALTER TABLE {name}.things ADD CONSTRAINT things_parent_fkey FOREIGN KEY (parent) REFERENCES "
        f"{name}.parents(id); RESET ROLE"
    )


def test_a_run_adds_what_its_migrations_changed_and_keeps_a_manual_change_visible() -> None:
    def record(**objects: dict[str, str]) -> RecordedDefinitions:
        return RecordedDefinitions(objects, 18)

    recorded = record(t={"index a": "1", "index b": "2"})
    before = record(t={"index a": "by hand"})  # a was changed, b was dropped
    after = record(t={"index a": "by hand", "index c": "3"}, u={"view v": "4"})
    assert recorded.after_migrations(before, after).objects == {
        "t": {"index a": "1", "index b": "2", "index c": "3"},
        "u": {"view v": "4"},
    }
    assert recorded.after_migrations(recorded, record(t={"index b": "2"})).objects == {"t": {"index b": "2"}}
