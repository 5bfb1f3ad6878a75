"""Definitions of indexes, constraints, views, functions and the like, read from a real catalog."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from provider.postgres.object_definitions import RecordedDefinitions
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
CREATE PROCEDURE {s}.work() LANGUAGE sql AS 'SELECT 1';
CREATE TRIGGER touched BEFORE INSERT ON {s}.things FOR EACH ROW EXECUTE FUNCTION {s}.touch();
ALTER TABLE {s}.things DISABLE TRIGGER touched;
CREATE RULE quiet AS ON DELETE TO {s}.parents DO INSTEAD NOTHING;
"""
# What ends each kind of object, where the printed statement makes it again.
DROPS = {
    "index": "DROP INDEX {name}",
    "statistics": "DROP STATISTICS {schema}.{name}",
    "trigger": "DROP TRIGGER {name}",
    "rule": "DROP RULE {name}",
    "constraint": "ALTER TABLE {table} DROP CONSTRAINT {name} CASCADE",
    "sequence": "DROP SEQUENCE {name} CASCADE",
}


@pytest.fixture
def schema(postgres_server: LocalPostgres, tmp_path: Path) -> Schema:
    made = make_schema(postgres_server, tmp_path)
    made.run(f"SET ROLE {made.target.owner}; " + OBJECTS.replace("{s}", made.target.schema))
    return made


def definitions(schema: Schema) -> RecordedDefinitions:
    with schema.connect() as connection:
        return RecordedDefinitions.read(connection, schema.target.schema)


def sentences(schema: Schema, recorded: RecordedDefinitions) -> list[str]:
    return list(recorded.differences(definitions(schema), schema.target.owner))


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
    """Each object whose statement is printed, with a statement that drops it."""
    for name in (name for objects in definitions(schema).objects.values() for name in objects):
        kind, _, rest = name.partition(" ")
        if kind in DROPS:
            identifier, _, table = rest.partition(" on ")
            drop = DROPS[kind].format(name=identifier, table=table, schema=schema.target.schema)
            yield name, f"{drop} ON {table}" if kind in ("trigger", "rule") else drop


def test_the_printed_statement_makes_a_dropped_object_again(schema: Schema) -> None:
    recorded = definitions(schema)
    tried = 0
    for name, drop in list(_dropped(schema)):
        if "things_id_seq" in name:
            continue  # its column's default goes with it, and is printed on its own
        schema.run(drop)
        for sentence in sentences(schema, recorded):
            found = re.search(r"to make it again: (.*);$", sentence, re.DOTALL)
            assert found, f"{name}: {sentence}"
            schema.run(found[1])
        assert sentences(schema, recorded) == [], name
        tried += 1
    assert tried > 10


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


def test_columns_and_tables_that_come_or_go_are_left_to_the_mapping(schema: Schema) -> None:
    recorded = definitions(schema)
    name = schema.target.schema
    schema.run(f"ALTER TABLE {name}.things ADD note text", f"DROP TABLE {name}.parents CASCADE")
    (sentence,) = sentences(schema, recorded)
    assert sentence == (
        f"constraint things_parent_fkey on {name}.things does not exist: a migration made it; to make it again: SET ROLE "
        f"{name}_owner; ALTER TABLE {name}.things ADD CONSTRAINT things_parent_fkey FOREIGN KEY (parent) REFERENCES "
        f"{name}.parents(id);"
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
