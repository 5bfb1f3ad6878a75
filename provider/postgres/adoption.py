"""Databases with a history of their own: tables that exist already, an edited file, a schema that was kept.

``baseline`` and ``repair`` change rows of ``schema_migrations`` and nothing else, and only when they are asked for.
``take_back`` is for a schema that left the mapping, was kept, and comes again.
"""

from collections.abc import Mapping
from pathlib import Path

from psycopg import sql

from components.mapping.access import VERSION_TABLE
from components.mapping.model import Table
from provider.postgres.applied import Applied, short
from provider.postgres.history import create_version_table, read_applied, record, version_table_owner
from provider.postgres.migration_files import Migration, discover, render_all
from provider.postgres.migrations import alone, silent
from provider.postgres.ownership import owner_statements, ownership_problems
from provider.postgres.problems import MigrationError, MigrationProblem
from provider.postgres.running import in_transaction
from provider.postgres.session import Connection, Limits, Log, make_able_to_act_as
from provider.postgres.tables import table_problems
from provider.postgres.target import SchemaTarget


def baseline(
    connection: Connection,
    target: SchemaTarget,
    directory: Path,
    tables: Mapping[str, Table],
    version: int | None = None,
    limits: Limits | None = None,
    log: Log = silent,
) -> list[Applied]:
    """Record migrations up to ``version`` (default: the newest) as applied, without running them.

    ``tables`` are the mapping's. Raises ``MigrationError``, with nothing recorded, when the database has a history
    already, when a table or column that those migrations make is missing or of another type, when one exists that a
    later migration would make, and when something in the schema is not its owner's.
    """
    limits = limits or Limits()
    scripts = render_all(discover(directory), target.variables)
    chosen = scripts[-1].migration.version if version is None else version
    if not any(script.migration.version == chosen for script in scripts):
        newest = scripts[-1].migration.version
        raise MigrationError(
            MigrationProblem(
                str(directory), None, f"there is no migration {chosen:04}", f"give a version from 1 to {newest}"
            )
        )
    recorded = [script.migration for script in scripts if script.migration.version <= chosen]
    pending = [script for script in scripts if script.migration.version > chosen]
    with alone(connection, target, limits, log):
        history = read_applied(connection, target) if version_table_owner(connection, target.schema) else ()
        if history:
            what = f"it has a history already, up to version {history[-1].version:04}"
            raise MigrationError(
                MigrationProblem(target.schema, None, what, "look at status; repair accepts an edited file")
            )
        problems = table_problems(connection, target, tables, pending) + ownership_problems(connection, target)
        if problems:
            raise MigrationError(*problems)

        def write() -> None:
            create_version_table(connection, target)
            for migration in recorded:
                record(connection, target, migration)

        in_transaction(connection, target, limits, log, write)
        for migration in recorded:
            log(f"{target.schema}: recorded {migration.path.name} as applied")
        return list(read_applied(connection, target))


def repair(
    connection: Connection,
    target: SchemaTarget,
    directory: Path,
    version: int,
    limits: Limits | None = None,
    log: Log = silent,
) -> list[str]:
    """Have the database record ``version`` as its file is now: checksum and description. Returns what changed.

    Raises ``MigrationError`` when there is no such file or the database does not record that version.
    """
    limits = limits or Limits()
    files = {migration.version: migration for migration in discover(directory)}
    if version not in files:
        todo = f"give a version from 1 to {max(files)}"
        raise MigrationError(MigrationProblem(str(directory), None, f"there is no migration {version:04}", todo))
    migration = files[version]
    with alone(connection, target, limits, log):
        rows = {row.version: row for row in read_applied(connection, target)}
        if version not in rows:
            what = f"version {version:04} is not recorded as applied"
            raise MigrationError(MigrationProblem(target.schema, None, what, "apply it; there is nothing to repair"))
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


def take_back(connection: Connection, target: SchemaTarget, log: Log = silent) -> None:
    """Give a kept schema's objects to its owner again.

    When a schema left the mapping, its tables went to the admin together with ``schema_migrations``. That table is the
    mark: where it is the owner's, or is not there, nothing is done.
    """
    admin = connection.info.user
    if version_table_owner(connection, target.schema) != admin or admin == target.owner:
        return
    make_able_to_act_as(connection, target.owner, log)
    connection.read_only = False
    with connection.transaction():
        for statement in owner_statements(connection, target, admin):
            connection.execute(statement)
    log(f"{target.schema}: kept tables found, and given to {target.owner} again")
