"""The migration runner: brings one schema to the newest version of ``sql/<schema>``.

``plan`` checks the files against what the database records and changes nothing; ``verify`` looks at everything and
changes nothing; ``apply`` does it, as the owner, under the schema's lock. Nothing is applied when any check fails.
No pulumi in here. How one file is run is in ``running``; ``adoption`` is for databases with a history of their own.
"""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from components.mapping.model import Table
from provider.postgres import guards
from provider.postgres.applied import Applied, compare
from provider.postgres.history import create_version_table, has_schema, read_applied
from provider.postgres.migration_files import Script, discover, render_all
from provider.postgres.ownership import ownership_problems
from provider.postgres.problems import MigrationError, MigrationProblem, error_text
from provider.postgres.row_security import OFF, Isolation
from provider.postgres.running import in_transaction, invalid_indexes, run_script
from provider.postgres.session import (
    Connection,
    Limits,
    Log,
    make_able_to_act_as,
    may_act_as,
    prepare_connection,
    run_lock,
)
from provider.postgres.tables import table_problems
from provider.postgres.target import SchemaTarget


@dataclass(frozen=True)
class MigrationPlan:
    """What the database has, and what is to be run, both by version."""

    applied: tuple[Applied, ...]
    pending: tuple[Script, ...]


def silent(_line: str) -> None:
    """A log that nobody reads."""


def plan(connection: Connection, target: SchemaTarget, directory: Path) -> MigrationPlan:
    """What ``apply`` would run. Changes nothing. Raises ``MigrationError`` with everything that speaks against it."""
    migrations = discover(directory)
    scripts = render_all(migrations, target.variables)
    applied = read_applied(connection, target)
    problems = compare(directory, migrations, applied)
    if problems:
        raise MigrationError(*problems)
    done = {row.version for row in applied}
    return MigrationPlan(applied, tuple(script for script in scripts if script.migration.version not in done))


def verify(
    connection: Connection,
    target: SchemaTarget,
    directory: Path,
    tables: Mapping[str, Table],
    append_only: Collection[str] = (),
    isolation: Isolation = OFF,
) -> list[MigrationProblem]:
    """Everything in which the schema is not as files and mapping have it; empty when all is well. Changes nothing.

    ``tables`` are the mapping's. Raises ``MigrationError`` when it cannot be looked at.
    """
    schema = target.schema
    prepare_connection(connection)
    require_schema(connection, target)
    require_owner(connection, target)
    problems: list[MigrationProblem] = []
    try:
        pending = plan(connection, target, directory).pending
        problems += [
            MigrationProblem(str(script.migration.path), None, "it is not applied yet", "apply it")
            for script in pending
        ]
        problems += table_problems(connection, target, tables, pending)
    except MigrationError as error:
        problems += error.problems
    mend = "run apply, which puts it right"
    problems += [
        MigrationProblem(schema, None, what, mend) for what in guards.drift(connection, target, append_only, isolation)
    ]
    problems += ownership_problems(connection, target)
    for index in invalid_indexes(connection, schema):
        todo = "drop it with DROP INDEX CONCURRENTLY, or run the migration that makes it again"
        problems.append(MigrationProblem(schema, None, f"index {index} is INVALID: kept up, and never used", todo))
    return problems


def apply(
    connection: Connection,
    target: SchemaTarget,
    directory: Path,
    append_only: Collection[str] = (),
    limits: Limits | None = None,
    log: Log = silent,
    isolation: Isolation = OFF,
) -> tuple[Applied, ...]:
    """Run what is pending, see to what guards the tables, and check who owns what. Returns what is applied now.

    ``append_only`` names tables of the schema, or patterns of run-time tables (``effective_finding_{policyId}``);
    ``isolation`` says how tenants are kept apart.
    Raises ``MigrationError``; the schema is then at the version before the failing file.
    """
    limits = limits or Limits()
    # First the files: what is wrong with them needs no server.
    render_all(discover(directory), target.variables)
    with alone(connection, target, limits, log):
        return _run(connection, target, directory, append_only, limits, log, isolation)


@contextmanager
def alone(connection: Connection, target: SchemaTarget, limits: Limits, log: Log) -> Iterator[None]:
    """The schema's lock held, and able to act as its owner. Raises ``MigrationError``, also for a server's error."""
    try:
        prepare_connection(connection)
        with run_lock(connection, target.schema, limits, log):
            make_able_to_act_as(connection, target.owner, log)
            require_schema(connection, target)
            yield
    except psycopg.Error as error:
        raise MigrationError(
            MigrationProblem(target.schema, None, error_text(error), "mend that and run again")
        ) from None


def _run(
    connection: Connection,
    target: SchemaTarget,
    directory: Path,
    append_only: Collection[str],
    limits: Limits,
    log: Log,
    isolation: Isolation,
) -> tuple[Applied, ...]:
    """``apply`` with the lock held."""
    pending = plan(connection, target, directory).pending
    in_transaction(connection, target, limits, log, lambda: create_version_table(connection, target))
    for script in pending:
        run_script(
            connection,
            target,
            script,
            lambda: guards.reconcile(connection, target, append_only, isolation, complete=False),
            limits,
            log,
        )
    done = in_transaction(
        connection, target, limits, log, lambda: guards.reconcile(connection, target, append_only, isolation)
    )
    for line in done:
        log(line)
    problems = ownership_problems(connection, target)
    if problems:
        raise MigrationError(*problems)
    return read_applied(connection, target)


def require_schema(connection: Connection, target: SchemaTarget) -> None:
    """Raises ``MigrationError`` when there is no such schema."""
    if not has_schema(connection, target.schema):
        raise MigrationError(
            MigrationProblem(target.schema, None, "the schema does not exist", "create it before its tables")
        )


def require_owner(connection: Connection, target: SchemaTarget) -> None:
    """For what changes nothing: raises ``MigrationError`` when the session may not act as the owner."""
    if not may_act_as(connection, target.owner):
        admin = connection.info.user
        todo = f"run apply, which grants it, or: GRANT {target.owner} TO {admin} WITH INHERIT FALSE, SET TRUE"
        raise MigrationError(MigrationProblem(f"role {target.owner}", None, f"{admin} may not act as this role", todo))
