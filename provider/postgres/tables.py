"""Compare the mapping's tables with those of migrations or of the catalog: tables, columns and types.

Types are compared as ``format_type`` prints them, so that ``int`` equals ``integer``.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from components.mapping.access import VERSION_TABLE
from components.mapping.column_types import ColumnType
from provider.postgres.mapping_places import MappingPlaces
from provider.postgres.problems import MigrationError, MigrationProblem
from provider.postgres.run_time_tables import is_pattern, pattern_of

if TYPE_CHECKING:
    from provider.postgres.declared_tables import DeclaredSchema
    from provider.postgres.session import Connection

# Table, or pattern of run-time tables -> column -> type as ``format_type`` prints it.
TableColumns = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True)
class MappedTables:
    """The tables that the mapping has in one schema. ``file`` is the mapping, for the places that messages name."""

    schema: str
    columns: TableColumns
    file: str = ""

    def place(self, *parts: str) -> str:
        """Name a table or column in the mapping, with file, line and column where the file has it."""
        return self._places.describe("postgres", "schemas", self.schema, "tables", *parts)

    @cached_property
    def _places(self) -> MappingPlaces:
        return MappingPlaces(self.file)

    def is_run_time_table(self, table: str) -> bool:
        return pattern_of(self.columns, table) is not None

    @property
    def run_time(self) -> dict[str, Mapping[str, str]]:
        """The tables that functions create at run time, by their pattern."""
        return {table: columns for table, columns in self.columns.items() if is_pattern(table)}

    @property
    def named(self) -> dict[str, Mapping[str, str]]:
        """The tables without those that functions create at run time."""
        return {table: columns for table, columns in self.columns.items() if not is_pattern(table)}


def declared_problems(mapped: MappedTables, declared: "DeclaredSchema") -> list[MigrationProblem]:
    """Return a problem for each difference between the mapping and the migrations, with both places.

    None where the migrations have a statement whose effect cannot be read.
    """
    return [] if declared.unreadable else list(_declared_problems(mapped, declared))


def _declared_problems(mapped: MappedTables, declared: "DeclaredSchema") -> Iterator[MigrationProblem]:
    schema = mapped.schema
    for table, columns in mapped.named.items():
        found = declared.tables.get(table)
        if found is None:
            message = f"no migration creates table {schema}.{table}"
            remedy = f"add a migration to sql/{schema} that creates it, or remove it from the mapping"
            yield MigrationProblem(mapped.place(table), None, message, remedy)
            continue
        for column, expected in columns.items():
            actual = found.columns.get(column)
            if actual is None:
                message = f"table {schema}.{table} has no such column ({found.place} creates the table)"
                remedy = "add a migration with ADD COLUMN, or remove the column from the mapping"
                yield MigrationProblem(mapped.place(table, "columns", column), None, message, remedy)
            elif actual.type != expected:
                message = f"the mapping has {expected}, {actual.place} makes {actual.type}"
                remedy = _type_remedy(actual.type)
                yield MigrationProblem(mapped.place(table, "columns", column), None, message, remedy)
        for column in found.columns.keys() - columns.keys():
            place = found.columns[column].place
            message = f"column {schema}.{table}.{column} is not in the mapping ({mapped.place(table)})"
            yield MigrationProblem(place.file, place.line, message, "add it there, or drop it in a new migration")
    for table, found in declared.tables.items():
        if table not in mapped.named and table != VERSION_TABLE and not mapped.is_run_time_table(table):
            yield MigrationProblem(
                found.place.file, found.place.line, f"table {schema}.{table} is not in the mapping", _unmapped(mapped)
            )


def _type_remedy(actual: str) -> str:
    type_ = ColumnType(actual)
    if type_.EXPRESSION.fullmatch(actual) and type_.schema is None and not type_.is_builtin:
        return f"PostgreSQL has no type {actual}: correct it, or write {type_.canonical} if an extension provides it"
    return "change the mapping, or change the type in a migration"


def _unmapped(mapped: MappedTables) -> str:
    where = f" of {mapped.file}" if mapped.file else ""
    return f"add it to postgres.schemas.{mapped.schema}.tables{where}, or drop it in a new migration"


def catalog_problems(
    connection: "Connection", mapped: MappedTables, pending: Iterable[str] = ()
) -> list[MigrationProblem]:
    """Return a problem for each difference between the mapping and the catalog, which it only reads.

    Tables in ``pending``, which later migrations create or change, are left out.
    """
    return list(_catalog_problems(mapped, read_columns(connection, mapped.schema), frozenset(pending)))


def read_columns(connection: "Connection", schema: str) -> dict[str, dict[str, str]]:
    """Return table -> column -> type of every table in the schema but partitions and other children."""
    with connection.transaction():
        # Types of other schemas are printed with their schema.
        connection.execute("SET LOCAL search_path = ''")
        rows = connection.execute(
            """SELECT c.relname, a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod) FROM pg_catalog.pg_class c
               JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
               LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
               WHERE n.nspname = %s AND c.relkind IN ('r', 'p')
                 AND NOT EXISTS (SELECT FROM pg_catalog.pg_inherits i WHERE i.inhrelid = c.oid)
               ORDER BY c.relname, a.attnum""",
            (schema,),
        ).fetchall()
    found: dict[str, dict[str, str]] = {}
    for table, column, type_ in rows:
        columns = found.setdefault(str(table), {})
        if column is not None:
            columns[str(column)] = str(type_)
    return found


def _catalog_problems(
    mapped: MappedTables, existing: TableColumns, pending: frozenset[str]
) -> Iterator[MigrationProblem]:
    for table, columns in mapped.named.items():
        place = f"{mapped.schema}.{table}"
        if table in pending:
            continue
        if table not in existing:
            remedy = f"create it in a migration, or remove it from the mapping ({mapped.place(table)})"
            yield MigrationProblem(place, None, "this table does not exist", remedy)
            continue
        for column, expected in columns.items():
            actual = existing[table].get(column)
            if actual == expected:
                continue
            where = mapped.place(table, "columns", column)
            if actual is None:
                remedy = f"add it in a migration, or remove it from the mapping ({where})"
                yield MigrationProblem(f"{place}.{column}", None, "this column does not exist", remedy)
            else:
                remedy = f"change its type in a migration, or change the mapping ({where})"
                yield MigrationProblem(f"{place}.{column}", None, f"its type is {actual}, not {expected}", remedy)
        for column in existing[table].keys() - columns.keys():
            remedy = f"add it to the mapping ({mapped.place(table)}), or drop it in a new migration"
            yield MigrationProblem(f"{place}.{column}", None, "this column is not in the mapping", remedy)
    for table in existing.keys() - mapped.named.keys() - {VERSION_TABLE} - pending:
        if not mapped.is_run_time_table(table):
            yield MigrationProblem(
                f"{mapped.schema}.{table}", None, "this table is not in the mapping", _unmapped(mapped)
            )


def require(connection: "Connection", mapped: MappedTables) -> None:
    """Raise ``MigrationError`` if the catalog differs from the mapping."""
    problems = catalog_problems(connection, mapped)
    if problems:
        raise MigrationError(*problems)


def drift(connection: "Connection", mapped: MappedTables) -> list[str]:
    """Return a sentence for each difference between the mapping and the catalog. Reads only the catalog."""
    return [f"{problem.file}: {problem.message}" for problem in catalog_problems(connection, mapped)]
