"""Check that a schema has the mapping's tables, with their columns and types."""

import re
from collections.abc import Iterable, Mapping

from psycopg import errors

from components.mapping.model import Table
from provider.postgres.migration_files import Script
from provider.postgres.problems import MigrationProblem
from provider.postgres.session import Connection
from provider.postgres.target import SchemaTarget

_CREATES = re.compile(r"CREATE\s+TABLE\s+(?:IF\s+NOT\s+EXISTS\s+)?(?:\"?\w+\"?\s*\.\s*)\"?(\w+)\"?", re.IGNORECASE)
_MODIFIER = re.compile(r"\s*\(([^)]*)\)")


def table_problems(
    connection: Connection, target: SchemaTarget, tables: Mapping[str, Table], pending: Iterable[Script]
) -> list[MigrationProblem]:
    """Return a problem for each difference from the mapping, except those that the ``pending`` migrations remove.

    A table that exists although a pending migration creates it is a problem, too. Reads only the catalog.
    """
    rows = connection.execute(
        """SELECT c.relname, a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod) FROM pg_catalog.pg_class c
           JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
           LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
           WHERE n.nspname = %s AND c.relkind IN ('r', 'p')""",
        (target.schema,),
    ).fetchall()
    existing: dict[str, dict[str, str]] = {}
    for table, column, type_ in rows:
        existing.setdefault(table, {})[column] = type_
    statements = [statement.text for script in pending for statement in script.statements]
    created_later = {name.lower() for text in statements for name in _CREATES.findall(text)}
    problems = [
        MigrationProblem(
            f"{target.schema}.{table}",
            None,
            "it exists, but only a migration after that version creates it",
            "choose a version that includes that migration",
        )
        for table in sorted(created_later & set(existing))
    ]
    for table, definition in tables.items():
        place = f"{target.schema}.{table}"
        if table in created_later:
            continue
        if table not in existing:
            problems.append(
                MigrationProblem(place, None, "this table of the mapping does not exist", "create it, or run apply")
            )
            continue
        for column, expected in definition.columns.items():
            actual = existing[table].get(column)
            if _altered(statements, table, column):
                continue
            if actual is None:
                problems.append(MigrationProblem(f"{place}.{column}", None, "this column does not exist", "add it"))
            elif not _same_type(connection, actual, expected):
                problems.append(
                    MigrationProblem(
                        f"{place}.{column}", None, f"its type is {actual}, not {expected}", "change its type"
                    )
                )
    return problems


def _altered(statements: Iterable[str], table: str, column: str) -> bool:
    """Whether one of the statements is an ALTER TABLE of ``table`` that names ``column``."""
    alters = re.compile(rf"\s*ALTER\s+TABLE\b.*\b{table}\b.*\b{column}\b", re.IGNORECASE | re.DOTALL)
    return any(alters.match(text) for text in statements)


def _same_type(connection: Connection, actual: str, expected: str) -> bool:
    """Compare a type from the catalog with one from the mapping, like ``varchar(255)`` or ``uuid[]``."""
    query = "SELECT pg_catalog.to_regtype(%s) = pg_catalog.to_regtype(%s)"
    try:
        with connection.transaction():
            row = connection.execute(query, (_base(actual), _base(expected))).fetchone()
    except errors.SyntaxError:
        return False  # a reserved word is not a type
    return bool(row and row[0]) and _modifier(actual) == _modifier(expected)


def _base(text: str) -> str:
    return _MODIFIER.sub("", text)


def _modifier(text: str) -> str:
    match = _MODIFIER.search(text)
    return match[1].replace(" ", "") if match else ""
