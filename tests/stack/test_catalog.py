"""The live catalog against the mapping, and against a list of the reference's tables made from the reference alone."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from components.mapping import load
from tests.support.reference_columns import (
    NAMED_ONLY,
    RANGES,
    REMARKS,
    SCHEMA_MIGRATIONS,
    SCHEMAS,
    TABLES,
    VALUES,
    ReferenceTable,
)

MAPPING = load(Path(__file__).parents[2] / "schema-mapping.yaml")
CHECK_VIOLATION = "23514"
# Made by Policy at run time, so no migration and no list of tables knows them.
RUN_TIME = re.compile(r"effective_finding_[0-9a-f-]{36}(_history)?")
SHORT_TYPES = (("character varying", "varchar"), ("timestamp with time zone", "timestamptz"))
# A value of each type that a NOT NULL column has.
SAMPLES = {
    "uuid": "00000000-0000-4000-8000-000000000001",
    "jsonb": "{}",
    "character varying": "sample",
}

Place = tuple[str, str, str]
Rows = list[tuple[Any, ...]]

pytestmark = pytest.mark.xdist_group("live_stack")
every_table = pytest.mark.parametrize(("schema", "table"), TABLES, ids=str)
every_schema = pytest.mark.parametrize("schema", SCHEMAS)


@pytest.fixture(scope="module")
def admin(live_stack: Any) -> "Iterator[psycopg.Connection[Any]]":
    with live_stack.admin() as connection:
        yield connection


def columns(connection: "psycopg.Connection[Any]", schema: str, table: str) -> Rows:
    """(name, type, refuses NULL) in order."""
    return connection.execute(
        "SELECT attname, format_type(atttypid, atttypmod), attnotnull FROM pg_attribute"
        " WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
        (f'"{schema}"."{table}"',),
    ).fetchall()


def key_columns(connection: "psycopg.Connection[Any]", schema: str, table: str, kind: str) -> Rows:
    """(columns, table that is referred to, its columns, what happens on delete and update) of each key of that kind."""
    return connection.execute(
        """
        SELECT ARRAY(SELECT attname::text FROM unnest(conkey) WITH ORDINALITY AS k (attnum, place)
                     JOIN pg_attribute a ON a.attrelid = conrelid AND a.attnum = k.attnum ORDER BY place),
               (SELECT relname FROM pg_class WHERE oid = confrelid),
               ARRAY(SELECT attname::text FROM unnest(confkey) WITH ORDINALITY AS k (attnum, place)
                     JOIN pg_attribute a ON a.attrelid = confrelid AND a.attnum = k.attnum ORDER BY place),
               confdeltype::text || confupdtype::text
          FROM pg_constraint WHERE conrelid = to_regclass(%s) AND contype = %s ORDER BY conname
        """,
        (f'"{schema}"."{table}"', kind),
    ).fetchall()


def test_each_schema_has_the_tables_of_the_reference_and_no_other(admin: "psycopg.Connection[Any]") -> None:
    rows = admin.execute(
        "SELECT nspname, relname FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace"
        " WHERE nspname !~ '^(pg_|information_schema$)' AND relkind IN ('r', 'p', 'v', 'm', 'f')"
    ).fetchall()
    found = {(schema, name) for schema, name in rows if not RUN_TIME.fullmatch(name)}
    expected = set(TABLES) | NAMED_ONLY | {(schema, "schema_migrations") for schema in SCHEMAS}
    assert found - expected == set(), "nothing says what these are for, who owns them and who may read them"
    assert expected - found == set(), "services would look for these in vain"


@every_table
def test_a_table_has_the_columns_of_the_reference(admin: "psycopg.Connection[Any]", schema: str, table: str) -> None:
    expected = [(column.name, column.type, column.not_null) for column in TABLES[schema, table].columns]
    assert columns(admin, schema, table) == expected, f"code written to the reference would fail on {schema}.{table}"


@every_schema
def test_schema_migrations_is_the_references_in_every_schema(admin: "psycopg.Connection[Any]", schema: str) -> None:
    table: ReferenceTable = SCHEMA_MIGRATIONS
    expected = [(column.name, column.type, column.not_null) for column in table.columns]
    assert columns(admin, schema, "schema_migrations") == expected
    assert [row[0] for row in key_columns(admin, schema, "schema_migrations", "p")] == [list(table.primary_key)]


@every_table
def test_a_table_has_the_keys_of_the_reference_and_no_other(
    admin: "psycopg.Connection[Any]", schema: str, table: str
) -> None:
    expected = TABLES[schema, table]
    assert [row[0] for row in key_columns(admin, schema, table, "p")] == [list(expected.primary_key)], "primary key"
    uniques = {tuple(row[0]) for row in key_columns(admin, schema, table, "u")}
    assert uniques == set(expected.uniques), "rows that the reference allows would be refused, or the other way round"
    foreign = {
        (row[0][0], len(row[0]), row[1], tuple(row[2]), row[3]) for row in key_columns(admin, schema, table, "f")
    }
    # aa: NO ACTION on delete and on update; a cascade would delete evidence.
    assert foreign == {(column, 1, *target(to), "aa") for column, to in expected.foreign_keys.items()}, "foreign keys"


def target(to: tuple[str, str]) -> tuple[str, tuple[str]]:
    return to[0], (to[1],)


@every_table
def test_only_creation_and_update_times_have_defaults(
    admin: "psycopg.Connection[Any]", schema: str, table: str
) -> None:
    rows = admin.execute(
        "SELECT attname, pg_get_expr(adbin, adrelid) FROM pg_attrdef"
        " JOIN pg_attribute ON attrelid = adrelid AND attnum = adnum WHERE adrelid = to_regclass(%s)",
        (f'"{schema}"."{table}"',),
    ).fetchall()
    expected = {c.name: "now()" for c in TABLES[schema, table].columns if c.name in ("created_at", "updated_at")}
    assert dict(rows) == expected


def test_the_mapping_has_the_tables_and_columns_of_the_live_catalog(admin: "psycopg.Connection[Any]") -> None:
    wrong = []
    for schema, definition in MAPPING.postgres.schemas.items():
        for name, table in definition.tables.items():
            live = {column: short(kind) for column, kind, _ in columns(admin, schema, name)}
            if list(live.items()) != list(table.columns.items()):
                wrong.append(f"{schema}.{name}: mapping {dict(table.columns)}, server {live}")
    assert not wrong, "grants on columns and the docs follow the mapping: " + "; ".join(wrong)
    mapped = {(schema, name) for schema, definition in MAPPING.postgres.schemas.items() for name in definition.tables}
    assert mapped == set(TABLES) | NAMED_ONLY, "the mapping names other tables than the reference"


def short(kind: str) -> str:
    """A type as the mapping writes it."""
    for long, abbreviation in SHORT_TYPES:
        kind = kind.replace(long, abbreviation)
    return kind


def refusal(admin: "psycopg.Connection[Any]", place: Place, value: str | None) -> str | None:
    """SQLSTATE with which the owner's row with this value is refused, if it is; the row is undone."""
    schema, name, column = place
    table = TABLES[schema, name]
    row: dict[str, str | None] = {c.name: sample(c.type) for c in table.columns if c.not_null}
    row[column] = value
    statement = sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(
        sql.Identifier(schema, name),
        sql.SQL(", ").join(map(sql.Identifier, row)),
        sql.SQL(", ").join(sql.Literal(item) for item in row.values()),
    )
    try:
        with admin.transaction(force_rollback=True):
            # The owner, whoever the admin is: a provisioner that is no superuser may not write.
            admin.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(f"{schema}_owner")))
            admin.execute(statement)
    except psycopg.Error as error:
        return error.sqlstate
    return None


def sample(kind: str) -> str:
    return SAMPLES[kind.partition("(")[0]]


@pytest.mark.parametrize("place", VALUES, ids=".".join)
def test_a_column_takes_each_value_of_the_reference_and_no_other(
    admin: "psycopg.Connection[Any]", place: Place
) -> None:
    for value in VALUES[place]:
        assert refusal(admin, place, value) is None, f"{place} must take {value}"
        assert refusal(admin, place, value.swapcase()) == CHECK_VIOLATION, f"{value} has one spelling only"
    for value in ("", "unknown", f"{VALUES[place][0]} "):
        assert refusal(admin, place, value) == CHECK_VIOLATION, f"{place} must refuse {value!r}"
    assert refusal(admin, place, None) is None, "the reference does not say NOT NULL"


@pytest.mark.parametrize("place", RANGES, ids=".".join)
def test_a_column_keeps_to_the_range_of_the_reference(admin: "psycopg.Connection[Any]", place: Place) -> None:
    lowest, highest = RANGES[place]
    for value in (lowest, "0.5", highest, None):
        assert refusal(admin, place, value) is None, f"{place} must take {value}"
    for value in ("-0.01", "1.01", "NaN"):
        assert refusal(admin, place, value) == CHECK_VIOLATION, f"{place} must refuse {value}"


def test_no_other_column_of_the_reference_is_checked(admin: "psycopg.Connection[Any]") -> None:
    rows = admin.execute(
        "SELECT n.nspname, c.relname, a.attname FROM pg_constraint k JOIN pg_class c ON c.oid = conrelid"
        " JOIN pg_namespace n ON n.oid = relnamespace"
        " JOIN pg_attribute a ON attrelid = conrelid AND attnum = ANY (conkey)"
        " WHERE contype = 'c'"
    ).fetchall()
    found = {row for row in rows if row[:2] in TABLES}
    assert found == set(VALUES) | set(RANGES), "a row that the reference allows would be refused"


def test_every_table_says_what_it_holds_and_columns_what_the_reference_says(admin: "psycopg.Connection[Any]") -> None:
    silent = admin.execute(
        "SELECT nspname, relname FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace"
        " WHERE nspname = ANY (%s) AND relkind = 'r' AND coalesce(obj_description(c.oid, 'pg_class'), '') = ''",
        (list(SCHEMAS),),
    ).fetchall()
    assert silent == [], "a comment is what psql's \\d+ and the docs show"
    said = {
        (schema, table, column): text
        for schema, table, column, text in admin.execute(
            "SELECT relnamespace::regnamespace::text, relname, attname, col_description(c.oid, attnum)"
            " FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid"
            " WHERE col_description(c.oid, attnum) IS NOT NULL"
        )
    }
    for place, values in VALUES.items():
        assert set(re.findall(r"[\w-]+", said.get(place, ""))) >= set(values), f"{place} does not list its values"
    for place, words in REMARKS.items():
        assert words in said.get(place, ""), f"{place} does not say what the reference says"


INDEXES = """
    SELECT n.nspname, c.relname, x.relname, am.amname, i.indpred IS NOT NULL, i.indisunique,
           ARRAY(SELECT attname::text FROM unnest(i.indkey) WITH ORDINALITY AS k (attnum, place)
                 JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum ORDER BY place)
      FROM pg_index i JOIN pg_class c ON c.oid = indrelid JOIN pg_class x ON x.oid = indexrelid
      JOIN pg_am am ON am.oid = x.relam JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname = ANY (%s)
"""


@every_schema
def test_foreign_keys_and_tenants_are_indexed(admin: "psycopg.Connection[Any]", schema: str) -> None:
    leading = {
        (table, names[0])
        for _, table, _, method, partial, _, names in admin.execute(INDEXES, ([schema],))
        if method == "btree" and not partial
    }
    wanted = set(
        admin.execute(
            "SELECT relname, attname FROM pg_class c JOIN pg_attribute a ON attrelid = c.oid"
            " WHERE relnamespace = to_regnamespace(%s) AND relkind = 'r' AND NOT attisdropped"
            " AND (attname = 'tenant_id' OR EXISTS"
            " (SELECT FROM pg_constraint WHERE contype = 'f' AND conrelid = c.oid AND conkey[1] = attnum))",
            (schema,),
        ).fetchall()
    )
    missing = {place for place in wanted - leading if not RUN_TIME.fullmatch(place[0])}
    assert missing == set(), "deleting a parent, or asking for one tenant's rows, would read the whole table"


@every_schema
def test_no_index_repeats_the_beginning_of_another(admin: "psycopg.Connection[Any]", schema: str) -> None:
    rows = [row for row in admin.execute(INDEXES, ([schema],)) if row[3] == "btree" and not row[4]]
    repeated = [
        f"{name} by {other}"
        for _, table, name, _, _, unique, names in rows
        for _, other_table, other, _, _, _, other_names in rows
        if table == other_table and name != other and other_names[: len(names)] == names and not unique
    ]
    assert repeated == [], "each costs every write and serves no read"
