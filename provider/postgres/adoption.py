"""Adopt existing tables (``baseline``), edited migrations (``repair``) and kept schemas (``readopt``).

``baseline`` and ``repair`` write only to ``schema_migrations``, and run only on request. ``readopt`` is for a schema
that left the mapping, was kept, and is in the mapping again.
"""

from pathlib import Path

from psycopg import sql

from components.mapping.access import VERSION_TABLE
from provider.postgres.applied import Applied, short
from provider.postgres.declared_tables import read_tables
from provider.postgres.history import read_applied, record, version_table_owner
from provider.postgres.migration_files import Migration, Script, discover, render_all
from provider.postgres.migrations import locked_schema, silent
from provider.postgres.ownership import foreign_objects, ownership_problems
from provider.postgres.problems import MigrationError, MigrationProblem
from provider.postgres.running import in_transaction
from provider.postgres.session import Connection, Limits, Log, ensure_may_act_as
from provider.postgres.tables import MappedTables, catalog_problems, read_columns
from provider.postgres.target import SchemaTarget


def baseline(
    connection: Connection,
    target: SchemaTarget,
    directory: Path,
    mapped: MappedTables,
    version: int | None = None,
    limits: Limits | None = None,
    log: Log = silent,
) -> list[Applied]:
    """Record migrations up to ``version`` (default: the newest) as applied, without running them.

    ``mapped`` are the tables of the mapping. Raises ``MigrationError`` and records nothing if migrations are recorded
    already, if a table or column that the recorded migrations create is missing or has another type, if a table exists
    that only a later migration creates, or if an object in the schema does not belong to its owner role.
    """
    limits = limits or Limits()
    scripts = render_all(discover(directory), target.variables)
    chosen = scripts[-1].migration.version if version is None else version
    if not any(script.migration.version == chosen for script in scripts):
        newest = scripts[-1].migration.version
        raise MigrationError(
            MigrationProblem(
                str(directory), None, f"there is no migration {chosen:04}", f"choose a version from 1 to {newest}"
            )
        )
    recorded = [script.migration for script in scripts if script.migration.version <= chosen]
    with locked_schema(connection, target, limits, log):
        history = read_applied(connection, target) if version_table_owner(connection, target.schema) else ()
        if history:
            message = f"migrations are recorded already, up to version {history[-1].version:04}"
            remedy = "run status to list them, or repair to accept an edited file"
            raise MigrationError(MigrationProblem(target.schema, None, message, remedy))
        problems = _problems(connection, target, scripts, chosen, mapped) + ownership_problems(connection, target)
        if problems:
            raise MigrationError(*problems)

        def write() -> None:
            for migration in recorded:
                record(connection, target, migration)

        in_transaction(connection, target, limits, log, write)
        for migration in recorded:
            log(f"{target.schema}: recorded {migration.path.name} as applied")
        return list(read_applied(connection, target))


def _problems(
    connection: Connection, target: SchemaTarget, scripts: list[Script], version: int, mapped: MappedTables
) -> list[MigrationProblem]:
    """Compare the catalog with what the migrations up to ``version`` declare or, if that cannot be read, with the
    mapping."""
    recorded = read_tables((script for script in scripts if script.migration.version <= version), target.schema)
    if recorded.unreadable:
        return catalog_problems(connection, mapped)
    later = read_tables(scripts, target.schema).tables.keys() - recorded.tables.keys()
    existing = read_columns(connection, target.schema)
    expected = MappedTables(target.schema, {**mapped.run_time, **recorded.columns})
    return [
        MigrationProblem(
            f"{target.schema}.{table}",
            None,
            "it exists, but only a migration after that version creates it",
            "choose a version that includes that migration",
        )
        for table in sorted(later & existing.keys())
    ] + catalog_problems(connection, expected, later)


def repair(
    connection: Connection,
    target: SchemaTarget,
    directory: Path,
    version: int,
    limits: Limits | None = None,
    log: Log = silent,
) -> list[str]:
    """Update the row of ``version`` to the checksum and description of its current file. Return the changes.

    Raises ``MigrationError`` if there is no such file or the version is not recorded as applied.
    """
    limits = limits or Limits()
    files = {migration.version: migration for migration in discover(directory)}
    if version not in files:
        remedy = f"choose a version from 1 to {max(files)}"
        raise MigrationError(MigrationProblem(str(directory), None, f"there is no migration {version:04}", remedy))
    migration = files[version]
    with locked_schema(connection, target, limits, log):
        rows = {row.version: row for row in read_applied(connection, target)}
        if version not in rows:
            message = f"version {version:04} is not recorded as applied"
            raise MigrationError(MigrationProblem(target.schema, None, message, "apply it; there is nothing to repair"))
        changes = _changes(rows[version], migration)
        if changes:
            statement = sql.SQL("UPDATE {} SET checksum = %s, description = %s WHERE version = %s").format(
                sql.Identifier(target.schema, VERSION_TABLE)
            )
            values = (migration.checksum, migration.description, version)
            in_transaction(connection, target, limits, log, lambda: connection.execute(statement, values))
    return changes


def _changes(row: Applied, migration: Migration) -> list[str]:
    changes = []
    if row.checksum != migration.checksum:
        changes.append(f"checksum {short(row.checksum)} -> {short(migration.checksum)}")
    if row.description != migration.description:
        changes.append(f'description "{row.description}" -> "{migration.description}"')
    return changes


def readopt(connection: Connection, target: SchemaTarget, log: Log = silent) -> None:
    """Return the objects of a kept schema from the admin to the schema's owner role.

    When a schema leaves the mapping and is kept, its tables and ``schema_migrations`` pass to the admin. Unless
    ``schema_migrations`` exists and belongs to the admin, nothing is changed.
    """
    admin = connection.info.user
    if version_table_owner(connection, target.schema) != admin or admin == target.owner:
        return
    ensure_may_act_as(connection, target.owner, log)
    connection.read_only = False
    with connection.transaction():
        for item in foreign_objects(connection, target):
            if item.owner == admin and item.statement:
                connection.execute(item.statement.encode())
    log(f"{target.schema}: found kept tables and returned them to {target.owner}")
