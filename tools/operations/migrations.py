"""``migrations``: run and inspect migrations manually, with the runner that the stack uses.

``status`` and ``verify`` change nothing; ``apply`` runs pending migrations; ``baseline`` and ``repair`` write only to
``schema_migrations`` of the schema that ``--schema`` names.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

from components.postgres.schema_files import SQL_DIRECTORY
from provider.errors import ProviderError
from provider.postgres import adoption, migrations
from provider.postgres.applied import Applied, compare
from provider.postgres.history import has_schema, read_applied
from provider.postgres.migration_files import Migration, discover
from provider.postgres.session import Connection, may_act_as
from provider.postgres.tables import MappedTables
from provider.postgres.target import SchemaTarget
from tools.operations.stack import Stack

DIFFERS = 2


@dataclass(frozen=True)
class Status:
    """A schema's applied migrations and its files. ``problems`` are sentences."""

    schema: str
    applied: tuple[Applied, ...]
    files: tuple[Migration, ...]
    problems: tuple[str, ...]

    @property
    def version(self) -> int:
        return max((row.version for row in self.applied), default=0)

    @property
    def pending(self) -> list[str]:
        """Names of the files that ``apply`` would run."""
        recorded = {row.version for row in self.applied}
        return [file.path.name for file in self.files if file.version not in recorded]

    def document(self) -> dict[str, Any]:
        """Return the status as ``--json`` prints it."""
        return {
            "schema": self.schema,
            "version": self.version,
            "newest": self.files[-1].version if self.files else 0,
            "applied": [
                {
                    "version": row.version,
                    "description": row.description,
                    "applied_at": row.applied_at.isoformat() if row.applied_at else None,
                    "checksum": row.checksum,
                }
                for row in self.applied
            ],
            "pending": self.pending,
            "problems": list(self.problems),
        }

    def line(self) -> str:
        """Format the schema's version, pending migrations and number of problems."""
        words = f"{len(self.pending)} pending: {', '.join(self.pending)}" if self.pending else "up to date"
        if self.problems:
            words = f"{len(self.problems)} problem(s)" + (f", {words}" if self.pending else "")
        return f"{self.schema:<14} {self.version:04}  {words}"


def _version(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a version; give a number like 3 or 0003")
    return int(text)


def run(stack: Stack, action: str, options: argparse.Namespace) -> int:
    """Run ``action``. Exit code 0, 1 for an error, 2 if ``verify`` found a difference. Raises ``ProviderError``."""
    schemas = _schemas(stack, options.schema)
    match action:
        case "status":
            return _status(stack, schemas, as_json=options.json)
        case "verify":
            return _verify(stack, schemas)
        case "apply":
            return _each(stack, schemas, _apply)
        case "baseline":
            return _each(stack, [_only_schema(action, options)], partial(_baseline, version=options.version))
        case _:
            return _each(stack, [_only_schema(action, options)], partial(_repair, version=_required_version(options)))


def _schemas(stack: Stack, name: str | None) -> list[str]:
    known = list(stack.mapping.postgres.schemas)
    if name is not None and name not in known:
        raise ProviderError(f'no schema "{name}" in the mapping; it has {", ".join(known)}')
    return known if name is None else [name]


def _only_schema(action: str, options: argparse.Namespace) -> str:
    if options.schema is None:
        raise ProviderError(f"{action} needs one schema; add --schema NAME (with make: SCHEMA=NAME)")
    return str(options.schema)


def _required_version(options: argparse.Namespace) -> int:
    if options.version is None:
        raise ProviderError("repair needs one version; add --version NUMBER (with make: VERSION=NUMBER)")
    return int(options.version)


Action = Callable[[Stack, Connection, SchemaTarget], None]


def _each(stack: Stack, schemas: Iterable[str], action: Action) -> int:
    """Run ``action`` on every schema, also if it fails on one. Return 1 if it failed on any."""
    failed = 0
    for schema in schemas:
        try:
            with stack.postgres.connected() as connection:
                action(stack, connection, SchemaTarget.of_schema(schema, stack.settings.postgres.role_prefix))
        except ProviderError as error:
            failed += 1
            print("\n".join(f"error: {line}" for line in str(error).splitlines()), file=sys.stderr)
    return 1 if failed else 0


def _mapped(stack: Stack, schema: str) -> MappedTables:
    return MappedTables(schema, stack.mapping.postgres.schemas[schema].column_types, str(stack.settings.mapping))


def _say(line: str) -> None:
    print(line, flush=True)


def _apply(stack: Stack, connection: Connection, target: SchemaTarget) -> None:
    before = {row.version for row in read_applied(connection, target)} if _is_readable(connection, target) else set()
    entries = stack.mapping.access.schemas[target.schema].append_only
    isolation = stack.isolation(target.schema)
    directory, mapped = SQL_DIRECTORY / target.schema, _mapped(stack, target.schema)
    rows = migrations.apply(connection, target, directory, entries, log=_say, isolation=isolation, mapped=mapped)
    if before == {row.version for row in rows}:
        _say(f"{target.schema}: nothing pending, at version {max(before, default=0):04}")


def _is_readable(connection: Connection, target: SchemaTarget) -> bool:
    return has_schema(connection, target.schema) and may_act_as(connection, target.owner)


def _baseline(stack: Stack, connection: Connection, target: SchemaTarget, version: int | None) -> None:
    mapped = _mapped(stack, target.schema)
    adoption.baseline(connection, target, SQL_DIRECTORY / target.schema, mapped, version, log=_say)
    _say(
        f"{target.schema}: adopted; apply (or the stack's next up) adds append-only triggers and runs pending migrations"
    )


def _repair(_stack: Stack, connection: Connection, target: SchemaTarget, version: int) -> None:
    changes = adoption.repair(connection, target, SQL_DIRECTORY / target.schema, version, log=_say)
    for change in changes:
        _say(f"{target.schema}: version {version:04}: {change}")
    if not changes:
        _say(f"{target.schema}: version {version:04} matches its file; nothing to repair")


def _status(stack: Stack, schemas: Iterable[str], *, as_json: bool) -> int:
    found: list[Status] = []

    def collect(_stack: Stack, connection: Connection, target: SchemaTarget) -> None:
        found.append(status(connection, target))

    code = _each(stack, schemas, collect)
    if as_json:
        print(json.dumps({"stack": stack.name, "schemas": [item.document() for item in found]}, indent=2))
        return code
    for item in found:
        print(item.line())
        for problem in item.problems:
            print(f"  {problem}")
    return code


def status(connection: Connection, target: SchemaTarget) -> Status:
    """Read a schema's applied migrations and its files. Changes nothing. Raises ``MigrationError``."""
    directory = SQL_DIRECTORY / target.schema
    files = discover(directory)
    if not has_schema(connection, target.schema):
        return Status(target.schema, (), tuple(files), ("the schema does not exist yet; `up` creates it",))
    migrations.require_owner(connection, target)
    applied = read_applied(connection, target)
    return Status(target.schema, applied, tuple(files), tuple(map(str, compare(directory, files, applied))))


def _verify(stack: Stack, schemas: Iterable[str]) -> int:
    differences = 0

    def collect(stack: Stack, connection: Connection, target: SchemaTarget) -> None:
        nonlocal differences
        mapped = _mapped(stack, target.schema)
        entries = stack.mapping.access.schemas[target.schema].append_only
        isolation = stack.isolation(target.schema)
        problems = migrations.verify(connection, target, SQL_DIRECTORY / target.schema, mapped, entries, isolation)
        differences += len(problems)
        for problem in problems:
            _say(str(problem))
        if not problems:
            _say(f"{target.schema}: matches its files and the mapping")

    return _each(stack, schemas, collect) or (DIFFERS if differences else 0)
