"""The canonical form of a column's type is what PostgreSQL prints for it; what the mapping refuses, PostgreSQL refuses."""

import re

import psycopg
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from components.mapping.column_types import _ALIASES, _SINGLE_WORD, ColumnType
from tools.local.servers.postgres import LocalPostgres

NAMES = sorted({*_ALIASES, *_SINGLE_WORD, "double precision", "character varying", "bit varying"})
TYPOS = ["timestmptz", "string", "datetime", "int16", "varchar2", "blob", "double", "number"]
MODIFIERS = [
    "",
    "(1)",
    "(3)",
    "(6)",
    "(7)",
    "(0)",
    "(25)",
    "(53)",
    "(54)",
    "(10,2)",
    "(10, 2)",
    "(3,-2)",
    "(1000)",
    "(1001)",
]
ZONES = ["", "", "", " with time zone", " without time zone"]
TYPES = st.builds(
    "{}{}{}{}".format, st.sampled_from(NAMES + TYPOS), st.sampled_from(MODIFIERS), st.sampled_from(ZONES),
    st.sampled_from(["", "", "[]", "[][]"]),
)  # fmt: skip


def printed(server: LocalPostgres, text: str) -> str | None:
    """What PostgreSQL prints for a column of that type; None where it refuses it."""
    with server.connect() as connection, connection.transaction(force_rollback=True):
        try:
            connection.execute(f"CREATE TEMP TABLE t (c {text})".encode())
        except psycopg.Error:
            return None
        row = connection.execute(
            "SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 't'::regclass AND attnum = 1"
        ).fetchone()
    assert row is not None
    return str(row[0])


def canonical(text: str) -> str | None:
    try:
        found = ColumnType.parse(text)
    except ValueError:
        return None
    return found.canonical if found.is_builtin else None


@settings(deadline=None, max_examples=400)
@given(TYPES)
@example("varchar(20)")
@example("char")
@example("char(3)[]")
@example("bpchar")
@example("float(24)")
@example("decimal(10)")
@example("timestamptz(3)")
@example("time(0) with time zone")
@example("interval(2)")
@example("bit varying(5)")
def test_the_canonical_form_is_what_postgresql_prints(postgres_server: LocalPostgres, text: str) -> None:
    # A precision above 6 digits is only a warning there.
    expected = (
        None if re.search(r"(time|interval)\S*\((7|25|53|54|1000|1001)\)", text) else printed(postgres_server, text)
    )
    assert canonical(text) == expected


@pytest.mark.parametrize("text", sorted(_SINGLE_WORD))
def test_every_known_type_is_one_of_postgresql(postgres_server: LocalPostgres, text: str) -> None:
    assert canonical(text) == printed(postgres_server, text) is not None
