"""The mapping's tables compared with those of migrations, before anything is applied and inside the transaction."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from provider.postgres.declared_tables import read_tables
from provider.postgres.migration_files import discover, render_all
from provider.postgres.tables import MappedTables, declared_problems
from provider.postgres.target import SchemaTarget
from tests.provider.base.harness import PluginClient, failure
from tests.provider.postgres.test_migrations_resource import TOKEN, inputs, provider
from tests.support.scratch_schema import Schema, make_schema
from tools.local.servers.postgres import LocalPostgres

MAPPING = """postgres:
  schemas:
    notes:
      tables:
        notes:
          columns:
            id: int
            title: varchar(20)
"""
COLUMNS = {"notes": {"id": "integer", "title": "character varying(20)"}}
GOOD = "CREATE TABLE {{ schema }}.notes (id int4 PRIMARY KEY, title character varying(20));\n"


def problems(directory: Path, *texts: str, columns: dict[str, dict[str, str]] | None = None) -> list[str]:
    """The differences between the mapping above and migrations, without the directory's path."""
    mapping = directory / "schema-mapping.yaml"
    mapping.write_text(MAPPING)
    files = directory / "notes"
    files.mkdir()
    for number, text in enumerate(texts, start=1):
        (files / f"{number:04}_x.sql.j2").write_text(text)
    scripts = render_all(discover(files), SchemaTarget.of_schema("notes").variables)
    mapped = MappedTables("notes", columns or COLUMNS, str(mapping))
    found = declared_problems(mapped, read_tables(scripts, "notes"))
    return [str(problem).replace(f"{directory}/", "") for problem in found]


@pytest.mark.parametrize(
    "texts",
    [
        (GOOD,),
        ("CREATE TABLE {{ schema }}.n (id bigint, old text); ", "ALTER TABLE {{ schema }}.n RENAME TO notes;",
         "ALTER TABLE {{ schema }}.notes DROP old, ALTER id TYPE int, ADD title varchar(20);"),
        (GOOD, "CREATE TABLE {{ schema }}.gone (id int);\nDROP TABLE {{ schema }}.gone;"),
        ("CREATE TABLE {{ schema }}.notes (id serial, name varchar(20));", "ALTER TABLE {{ schema }}.notes RENAME name TO title;"),
        (GOOD, "CREATE TABLE {{ schema }}.part PARTITION OF {{ schema }}.notes DEFAULT;"),
        (GOOD, "CREATE TEMP TABLE t (x int);\nALTER TABLE IF EXISTS {{ schema }}.notes ADD COLUMN IF NOT EXISTS title text;"),
        (GOOD, "CREATE VIEW {{ schema }}.v AS SELECT 1 AS one;\nSELECT pg_catalog.now();"),
    ],
)  # fmt: skip
def test_migrations_that_make_the_mapping_have_no_difference(tmp_path: Path, texts: tuple[str, ...]) -> None:
    assert problems(tmp_path, *texts) == []


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (
            ("CREATE TABLE {{ schema }}.notes (id int);",),
            (
                "schema-mapping.yaml:8:13 postgres.schemas.notes.tables.notes.columns.title: table notes.notes has no such column "
                "(notes/0001_x.sql.j2:1 creates the table); add a migration with ADD COLUMN, or remove the column from the mapping"
            ),
        ),
        (
            ("CREATE TABLE {{ schema }}.notes (\n  id bigint,\n  title varchar(20)\n);",),
            (
                "schema-mapping.yaml:7:13 postgres.schemas.notes.tables.notes.columns.id: the mapping has integer, "
                "notes/0001_x.sql.j2:2 makes bigint; change the mapping, or change the type in a migration"
            ),
        ),
        (
            (GOOD, "\nALTER TABLE {{ schema }}.notes ADD extra uuid;"),
            (
                "notes/0002_x.sql.j2:2: column notes.notes.extra is not in the mapping (schema-mapping.yaml:5:9 "
                "postgres.schemas.notes.tables.notes); add it there, or drop it in a new migration"
            ),
        ),
        (
            ("CREATE VIEW {{ schema }}.v AS SELECT 1 AS one;",),
            (
                "schema-mapping.yaml:5:9 postgres.schemas.notes.tables.notes: no migration creates table notes.notes; "
                "add a migration to sql/notes that creates it, or remove it from the mapping"
            ),
        ),
        (
            (GOOD, "CREATE TABLE {{ schema }}.other (id int);"),
            (
                "notes/0002_x.sql.j2:1: table notes.other is not in the mapping; add it to postgres.schemas.notes.tables of "
                "schema-mapping.yaml, or drop it in a new migration"
            ),
        ),
    ],
    ids=["a column only in the mapping", "another type", "an extra column", "no CREATE TABLE", "an unmapped table"],
)
def test_each_difference_is_named_with_both_places(tmp_path: Path, texts: tuple[str, ...], expected: str) -> None:
    assert problems(tmp_path, *texts) == [expected]


@pytest.mark.parametrize(
    ("type_", "remedy"),
    [
        ("timestmptz", "PostgreSQL has no type timestmptz: correct it"),
        ("citext", "or write extensions.citext if an extension provides it"),
        ("bigint", "change the mapping, or change the type in a migration"),
    ],
)
def test_the_remedy_for_a_wrong_type_of_a_migration_names_a_typo(tmp_path: Path, type_: str, remedy: str) -> None:
    (problem,) = problems(tmp_path, f"CREATE TABLE {{{{ schema }}}}.notes (id {type_}, title varchar(20));")
    assert f"makes {type_}; " in problem and remedy in problem


@pytest.mark.parametrize(
    "text",
    [
        "DO $$BEGIN EXECUTE 'CREATE TABLE x (id int)'; END$$;",
        "CREATE TABLE {{ schema }}.other AS SELECT 1 AS id;",
        "CREATE TABLE {{ schema }}.other (LIKE {{ schema }}.notes);",
        "CALL {{ schema }}.work();",
        "SELECT {{ schema }}.work();",
    ],
)
def test_what_cannot_be_read_from_the_files_is_left_to_the_catalog(tmp_path: Path, text: str) -> None:
    assert problems(tmp_path, "CREATE TABLE {{ schema }}.notes (id int);", text) == []


def test_run_time_tables_are_known_by_their_pattern(tmp_path: Path) -> None:
    columns = {**COLUMNS, "found_{id}": {"id": "integer"}}
    assert problems(tmp_path, GOOD, "CREATE TABLE {{ schema }}.found_1 (id int);", columns=columns) == []


@pytest.fixture
def schema(postgres_server: LocalPostgres, tmp_path: Path) -> Schema:
    made = make_schema(postgres_server, tmp_path)
    made.write(v0001_notes=GOOD)
    return made


@pytest.fixture
def client(postgres_server: LocalPostgres) -> Iterator[PluginClient]:
    with provider(postgres_server) as client:
        yield client


def test_a_preview_refuses_a_difference(schema: Schema, client: PluginClient) -> None:
    props = inputs(schema, tables=COLUMNS, appendOnly=[])
    news, failures = client.check(TOKEN, props)
    assert failures == []
    schema.write(v0002_more="ALTER TABLE {{ schema }}.notes ADD extra uuid;")
    (complaint,) = client.check(TOKEN, props, news)[1]
    assert f"0002_more.sql.j2:1: column {schema.target.schema}.notes.extra is not in the mapping" in complaint


def test_another_place_of_the_mapping_is_no_change(schema: Schema, client: PluginClient) -> None:
    created = client.create(TOKEN, inputs(schema, tables=COLUMNS, appendOnly=[], mappingFile="one.yaml"))
    moved = inputs(schema, tables=COLUMNS, appendOnly=[], mappingFile="other.yaml")
    assert client.diff(created, moved).detailed == {}


def test_a_difference_that_only_the_catalog_shows_rolls_the_file_back(schema: Schema, client: PluginClient) -> None:
    schema.write(
        v0002_hidden=f"DO $$BEGIN EXECUTE 'ALTER TABLE {schema.target.schema}.notes ALTER title TYPE text'; END$$;"
    )
    text = failure(lambda: client.create(TOKEN, inputs(schema, tables=COLUMNS, appendOnly=[])))
    assert f"{schema.target.schema}.notes.title: its type is text, not character varying(20)" in text
    assert "0002_hidden.sql.j2" in text and schema.versions() == [1]


def test_a_manual_change_of_a_table_is_drift_and_up_refuses_to_call_it_right(
    schema: Schema, client: PluginClient
) -> None:
    name = schema.target.schema
    props = inputs(schema, tables=COLUMNS, appendOnly=[])
    created = client.create(TOKEN, props)
    schema.run(
        f"SET ROLE {schema.target.owner}", f"ALTER TABLE {name}.notes DROP title", f"CREATE TABLE {name}.alien (id int)"
    )
    found = client.refresh(created)
    assert found is not None and found.outputs["drift"] == [
        f"{name}.notes.title: this column does not exist",
        f"{name}.alien: this table is not in the mapping",
    ]
    text = failure(lambda: client.update(found, props))
    assert f"{name}.alien: this table is not in the mapping; add it to postgres.schemas.{name}.tables" in text
    schema.run(
        f"SET ROLE {schema.target.owner}", f"DROP TABLE {name}.alien", f"ALTER TABLE {name}.notes ADD title varchar(20)"
    )
    assert client.update(found, props).outputs["drift"] == []
