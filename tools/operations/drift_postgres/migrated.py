"""Compare migrations, and the indexes, constraints, views, functions and the like that they made, with the state's record.

The mapping does not declare these objects. ``SchemaMigrations`` records them in the stack's state after each run.
"""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import psycopg
from psycopg import sql

from components.mapping.access import VERSION_TABLE
from provider.difference import Difference
from provider.postgres.applied import Applied
from provider.postgres.history import applied_rows, has_schema, version_table_owner
from provider.postgres.migration_files import discover
from provider.postgres.object_definitions import RecordedDefinitions, drop_statement
from provider.postgres.problems import MigrationError, error_text
from provider.postgres.run_time_tables import pattern_of
from tools.operations.drift_postgres.catalog import EXTRA, PUBLIC_SCHEMA, Catalog, Differences
from tools.operations.drift_postgres.record import RecordedSchema


def differences(catalog: Catalog, recorded: Mapping[str, RecordedSchema]) -> Differences:
    """Yield each object that differs from the record, or the reason why a schema cannot be compared."""
    for schema in sorted(catalog.schemas):
        record, owner = recorded.get(schema), catalog.mapping.access.owner(schema)
        if record is None or record.definitions is None:
            yield Difference(f"schema {schema}: the state has no record of what its migrations made")
            continue
        if version_table_owner(catalog.connection, schema) is not None:
            try:
                history = _history(catalog, schema, owner)
            except psycopg.errors.UndefinedColumn:
                continue  # ``objects`` compares the columns
            except psycopg.Error as error:
                # The remedy is that of another difference: the owner role lost its table or its schema.
                yield Difference(f"schema {schema}: its migrations cannot be read: {error_text(error)}")
                continue
            tampered = list(_compare_history(catalog, schema, record, history))
            yield from tampered
            if not tampered and not record.definitions.is_current(catalog.connection, record.applied, history):
                yield Difference(
                    f"schema {schema}: the state's record of what its migrations made is out of date (other migrations ran,"
                    " or the server was upgraded)"
                )
                continue
        found = RecordedDefinitions.read(catalog.connection, schema)
        yield from _without_run_time_tables(catalog, schema, record.definitions).differences(
            _without_run_time_tables(catalog, schema, found), catalog.quote(owner)
        )
    if has_schema(catalog.connection, PUBLIC_SCHEMA):
        for objects in RecordedDefinitions.read(catalog.connection, PUBLIC_SCHEMA).objects.values():
            for name, statement in objects.items():
                if not name.startswith("column "):
                    yield Difference(f"{name}: {EXTRA}", drop_statement(name, statement))


def _history(catalog: Catalog, schema: str, owner: str) -> tuple[Applied, ...]:
    connection = catalog.connection
    with suppress(psycopg.errors.InsufficientPrivilege), connection.transaction():
        return applied_rows(connection, schema)
    # The rollback ends SET LOCAL ROLE.
    with connection.transaction(force_rollback=True):
        connection.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(owner)))
        return applied_rows(connection, schema)


def _compare_history(
    catalog: Catalog, schema: str, record: RecordedSchema, history: tuple[Applied, ...]
) -> Differences:
    """Yield each row of ``schema_migrations`` that was deleted or edited. A migration that ran outside of the stack, and one
    whose row equals its file after ``migrations repair``, make only the record out of date."""
    files: set[str] = set()
    with suppress(MigrationError, OSError):
        files = {migration.label for migration in discover(Path(record.directory))}
    owner, rows = catalog.mapping.access.owner(schema), {row.version: row for row in history}
    table = catalog.quote(schema, VERSION_TABLE)
    for label in record.applied:
        name, _, checksum = label.partition(" sha256:")
        version = int(name[:4])
        description = catalog.literal(name.removesuffix(".sql.j2")[5:].replace("_", " "))
        if version not in rows:
            yield Difference(
                f"migration {name} is applied, but table {schema}.{VERSION_TABLE} has no row for it",
                catalog.allowed_for(
                    owner,
                    f"INSERT INTO {table} (version, description, applied_at, checksum)"
                    f" VALUES ({version}, {description}, now(), '{checksum}')",
                ),
            )
        elif rows[version].label not in {label, *files}:
            yield Difference(
                f"the row of migration {name} in table {schema}.{VERSION_TABLE} was edited",
                catalog.allowed_for(
                    owner,
                    f"UPDATE {table} SET description = {description}, checksum = '{checksum}' WHERE version = {version}",
                ),
            )


def _without_run_time_tables(catalog: Catalog, schema: str, definitions: RecordedDefinitions) -> RecordedDefinitions:
    """Leave out objects of tables that functions create and drop at run time."""
    patterns = catalog.mapping.postgres.schemas[schema].runtime_tables
    objects = {table: named for table, named in definitions.objects.items() if not pattern_of(patterns, table)}
    return RecordedDefinitions(objects, definitions.server)
