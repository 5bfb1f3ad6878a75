"""Whether a schema has the mapping's tables, with their columns and types."""

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
    """What speaks against the tables being those of the mapping, without what the ``pending`` migrations will make.

    Reads the catalog only.
    """
    rows = connection.execute(
        """SELECT c.relname, a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod) FROM pg_catalog.pg_class c
           JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
           LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
           WHERE n.nspname = %s AND c.relkind IN ('r', 'p')""",
        (target.schema,),
    ).fetchall()
    found: dict[str, dict[str, str]] = {}
    for table, column, kind in rows:
        found.setdefault(table, {})[column] = kind
    statements = [statement.text for script in pending for statement in script.statements]
    later = {name.lower() for text in statements for name in _CREATES.findall(text)}
    problems = [
        MigrationProblem(
            f"{target.schema}.{table}",
            None,
            "it exists, and a migration after that version would make it",
            "choose a version that includes that migration",
        )
        for table in sorted(later & set(found))
    ]
    for table, definition in tables.items():
        place = f"{target.schema}.{table}"
        if table in later:
            continue
        if table not in found:
            problems.append(
                MigrationProblem(place, None, "this table of the mapping does not exist", "create it, or apply")
            )
            continue
        for column, wanted in definition.columns.items():
            has = found[table].get(column)
            if _mentioned(statements, table, column):
                continue
            if has is None:
                problems.append(MigrationProblem(f"{place}.{column}", None, "this column does not exist", "add it"))
            elif not _same_type(connection, has, wanted):
                problems.append(
                    MigrationProblem(f"{place}.{column}", None, f"it is {has}, not {wanted}", "change its type")
                )
    return problems


def _mentioned(statements: Iterable[str], table: str, column: str) -> bool:
    """Whether one of the statements alters ``table`` and names ``column``, which then comes or changes with it."""
    alters = re.compile(rf"\s*ALTER\s+TABLE\b.*\b{table}\b.*\b{column}\b", re.IGNORECASE | re.DOTALL)
    return any(alters.match(text) for text in statements)


def _same_type(connection: Connection, has: str, wanted: str) -> bool:
    """``has`` as the catalog prints it, ``wanted`` as the mapping writes it: ``varchar(255)``, ``uuid[]``."""
    query = "SELECT pg_catalog.to_regtype(%s) = pg_catalog.to_regtype(%s)"
    try:
        with connection.transaction():
            row = connection.execute(query, (_base(has), _base(wanted))).fetchone()
    except errors.SyntaxError:
        return False  # a word of SQL is no type
    return bool(row and row[0]) and _modifier(has) == _modifier(wanted)


def _base(text: str) -> str:
    return _MODIFIER.sub("", text)


def _modifier(text: str) -> str:
    match = _MODIFIER.search(text)
    return match[1].replace(" ", "") if match else ""
