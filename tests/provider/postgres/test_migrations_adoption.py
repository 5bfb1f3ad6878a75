"""Databases with a history of their own: baseline, repair, verify, and a kept schema that comes again."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from provider.postgres import adoption
from provider.postgres.migrations import verify
from provider.postgres.problems import MigrationError
from provider.postgres.tables import MappedTables
from tests.provider.base.harness import failure
from tests.provider.postgres.test_migrations_resource import TOKEN, files, inputs, provider
from tests.support.scratch_schema import QUICK, Schema, make_schema
from tools.local.servers.postgres import LocalPostgres

FIRST = "CREATE TABLE {{ schema }}.sources (id int PRIMARY KEY, name varchar(20), scores numeric(3,2)[]);\n"
SECOND = "CREATE TABLE {{ schema }}.raw (id int PRIMARY KEY);\nALTER TABLE {{ schema }}.sources ADD seen timestamptz;\n"
COLUMNS = {
    "sources": {
        "id": "integer",
        "name": "character varying(20)",
        "scores": "numeric(3,2)[]",
        "seen": "timestamp with time zone",
    },
    "raw": {"id": "integer"},
}


def mapped(schema: Schema) -> MappedTables:
    return MappedTables(schema.target.schema, COLUMNS)


@pytest.fixture
def schema(postgres_server: LocalPostgres, tmp_path: Path) -> Schema:
    made = make_schema(postgres_server, tmp_path)
    made.write(v0001_sources=FIRST, v0002_raw=SECOND)
    return made


def existing(schema: Schema, *texts: str) -> None:
    """Tables that somebody made before there were migrations."""
    script = "".join(texts).replace("{{ schema }}", schema.target.schema)
    schema.run(f"SET ROLE {schema.target.owner}; {script}")


def baseline(schema: Schema, version: int | None = None) -> list[int]:
    with schema.connect() as connection:
        rows = adoption.baseline(
            connection, schema.target, schema.directory, mapped(schema), version, QUICK, schema.lines.append
        )
    return [row.version for row in rows]


def repair(schema: Schema, version: int) -> list[str]:
    with schema.connect() as connection:
        return adoption.repair(connection, schema.target, schema.directory, version, QUICK)


def complaint(action: Callable[[], Any]) -> str:
    with pytest.raises(MigrationError) as caught:
        action()
    return str(caught.value)


def test_applying_to_tables_that_exist_already_says_how_to_adopt_them(schema: Schema) -> None:
    existing(schema, FIRST, SECOND)
    assert f"make migrate-baseline SCHEMA={schema.target.schema}" in schema.refusal()


def test_baseline_adopts_a_database_that_has_the_tables(schema: Schema) -> None:
    existing(schema, FIRST, SECOND, "INSERT INTO {{ schema }}.raw VALUES (7);")
    assert baseline(schema) == [1, 2]
    assert len(schema.apply(("raw",))) == 2, "nothing of it may run again"
    assert schema.rows(f"SELECT id FROM {schema.target.schema}.raw") == [(7,)]
    with pytest.raises(Exception, match="append-only"):
        schema.run(f"DELETE FROM {schema.target.schema}.raw")


def test_baseline_up_to_a_version_leaves_the_later_ones_to_be_applied(schema: Schema) -> None:
    existing(schema, FIRST)
    assert baseline(schema, 1) == [1]
    assert len(schema.apply()) == 2
    assert "raw" in schema.tables()


@pytest.mark.parametrize(
    ("made", "version", "said"),
    [
        ((), None, ".sources: this table does not exist"),
        ((FIRST,), None, ".raw: this table does not exist"),
        ((FIRST, SECOND.replace("seen", "saw")), None, ".sources.seen: this column does not exist"),
        (
            (FIRST.replace("varchar(20)", "varchar(30)"), SECOND),
            None,
            ".sources.name: its type is character varying(30), not character varying(20)",
        ),
        ((FIRST, SECOND), 1, ".raw: it exists, but only a migration after that version creates it"),
        ((FIRST, SECOND, "RESET ROLE; CREATE TABLE {{ schema }}.x ();"), None, ".x belongs to postgres, not to"),
        ((FIRST, SECOND), 3, "there is no migration 0003; choose a version from 1 to 2"),
    ],
    ids=["nothing", "a table", "a column", "a type", "too low", "an owner", "a version"],
)
def test_baseline_refuses_what_the_migrations_would_not_have_made(
    schema: Schema, made: tuple[str, ...], version: int | None, said: str
) -> None:
    existing(schema, *made)
    assert said in complaint(lambda: baseline(schema, version))
    assert schema.versions() == [] and "schema_migrations" not in schema.tables(), "a refusal must leave no trace"


def test_baseline_leaves_a_history_alone(schema: Schema) -> None:
    schema.apply()
    assert "migrations are recorded already, up to version 0002" in complaint(lambda: baseline(schema))


def test_repair_accepts_an_edited_and_renamed_file_and_says_what_it_changed(schema: Schema) -> None:
    schema.apply()
    schema.write(v0002_raw_rows=SECOND + "-- edited\n")
    (schema.directory / "0002_raw.sql.j2").unlink()
    assert "it was edited after it was applied" in schema.refusal()
    changes = repair(schema, 2)
    assert changes[0].startswith("checksum ") and " -> " in changes[0]
    assert changes[1] == 'description "raw" -> "raw rows"'
    assert len(schema.apply()) == 2
    assert repair(schema, 2) == []


def test_repair_accepts_the_named_version_alone(schema: Schema) -> None:
    schema.apply()
    schema.write(v0001_sources=FIRST + "-- edited\n", v0002_raw=SECOND + "-- edited\n")
    repair(schema, 2)
    text = schema.refusal()
    assert "0001_sources.sql.j2: it was edited" in text and "0002_raw" not in text


@pytest.mark.parametrize(
    ("version", "said"), [(2, "version 0002 is not recorded as applied"), (3, "there is no migration 0003")]
)
def test_repair_makes_up_no_history(schema: Schema, version: int, said: str) -> None:
    (schema.directory / "0002_raw.sql.j2").unlink()
    schema.apply()
    schema.write(v0002_raw=SECOND)
    assert said in complaint(lambda: repair(schema, version))
    assert schema.versions() == [1]


def test_after_a_repair_the_stack_goes_on_without_a_refresh(schema: Schema) -> None:
    with provider(schema.server) as client:
        made = client.create(TOKEN, inputs(schema, appendOnly=[]))
        schema.write(v0002_raw=SECOND + "-- edited\n")
        news = inputs(schema, appendOnly=[])
        assert client.check(TOKEN, news, made.inputs)[1] != []
        repair(schema, 2)
        assert client.check(TOKEN, news, made.inputs)[1] == [], "state would refuse for ever what the database accepts"
        assert client.update(made, news).outputs["applied"] == files(schema)


def test_a_server_that_is_away_does_not_make_an_edited_file_right(schema: Schema) -> None:
    with provider(schema.server) as client:
        made = client.create(TOKEN, inputs(schema, appendOnly=[]))
    schema.write(v0002_raw=SECOND + "-- edited\n")
    with provider(schema.server, postgresPort="1") as away:
        (failure,) = away.check(TOKEN, inputs(schema, appendOnly=[]), made.inputs)[1]
    assert "0002_raw.sql.j2: it was edited after it was applied" in failure


def findings(schema: Schema, *append_only: str) -> list[str]:
    with schema.connect() as connection:
        return [str(item) for item in verify(connection, schema.target, schema.directory, mapped(schema), append_only)]


def test_verify_finds_nothing_after_a_run_and_everything_that_is_off_later(schema: Schema) -> None:
    schema.apply(("raw",))
    assert findings(schema, "raw") == []
    name = schema.target.schema
    schema.write(v0001_sources=FIRST + "-- edited\n")
    (edited,) = findings(schema, "raw")
    assert "0001_sources.sql.j2: it was edited after it was applied" in edited
    schema.write(v0001_sources=FIRST, v0003_more="CREATE TABLE {{ schema }}.more ();")
    schema.run(
        f"ALTER TABLE {name}.raw DISABLE TRIGGER append_only_row",
        f"ALTER TABLE {name}.sources DROP name",
        f"CREATE VIEW {name}.alien AS SELECT 1",
        f"INSERT INTO {name}.sources VALUES (1, NULL, now()), (2, NULL, now())",
    )
    with pytest.raises(Exception, match="could not create unique index"):
        schema.run(f"CREATE UNIQUE INDEX CONCURRENTLY broken ON {name}.sources ((1))")
    text = "\n".join(findings(schema, "raw"))
    for said in (
        "0003_more.sql.j2: it is not applied yet",
        f"{name}.sources.name: this column does not exist",
        f"trigger append_only_row on {name}.raw is not enabled always",
        f"view {name}.alien belongs to postgres",
        "index broken is INVALID",
    ):
        assert said in text, text
    assert schema.versions() == [1, 2] and "more" not in schema.tables(), "verify changes nothing"


def test_a_kept_schema_comes_back_with_everything_in_it(schema: Schema) -> None:
    """As when its owner role was dropped with the mapping's entry, which gives all to the admin, and is there again."""
    name = schema.target.schema
    schema.write(
        v0003_things=(
            "CREATE TABLE {{ schema }}.numbered (a serial, b int GENERATED ALWAYS AS IDENTITY);\n"
            "CREATE TYPE {{ schema }}.kind AS ENUM ('a');\nCREATE DOMAIN {{ schema }}.word AS text;\n"
            "CREATE VIEW {{ schema }}.seen AS SELECT id FROM {{ schema }}.raw;\n"
            "CREATE FUNCTION {{ schema }}.f(int, kind text) RETURNS int LANGUAGE sql AS 'SELECT 1';\n"
            "CREATE STATISTICS {{ schema }}.st ON id, name FROM {{ schema }}.sources;\n"
        )
    )
    with provider(schema.server) as client:
        made = client.create(TOKEN, inputs(schema))
    schema.run(
        f"INSERT INTO {name}.raw VALUES (1)",
        f"REASSIGN OWNED BY {name}_owner TO postgres",
        f"DROP OWNED BY {name}_owner",
        f"DROP ROLE {name}_owner",
        f"CREATE ROLE {name}_owner",
        f"ALTER SCHEMA {name} OWNER TO {name}_owner",
    )
    with provider(schema.server) as client:
        again = client.create(TOKEN, inputs(schema))
        assert again.outputs["applied"] == made.outputs["applied"] and again.outputs["drift"] == []
        assert schema.rows(f"SELECT id FROM {name}.raw") == [(1,)]
        assert client.refresh(again) == again, "something would still belong to the admin"


def test_objects_of_the_admin_in_a_schema_that_was_not_kept_are_refused(schema: Schema) -> None:
    schema.apply()
    schema.run(f"CREATE TABLE {schema.target.schema}.by_hand ()")
    with provider(schema.server) as client:
        text = failure(lambda: client.create(TOKEN, inputs(schema)))
    assert "by_hand belongs to postgres" in text
