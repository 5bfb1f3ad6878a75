"""``SchemaMigrations``: a schema's migrations as a resource, so that a preview lists the pending files.

A preview compares the files with the stack's state. It reads the database's applied migrations only if the two conflict.
Deleting the resource keeps the tables; only dropping the schema drops them.
"""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.postgres.schema_files import SQL_DIRECTORY
from provider.base import log
from provider.base.plugin import FoundResource
from provider.base.schema import Failure, Properties, Property, PropertyChange, strings
from provider.base.values import has_unknown
from provider.errors import ProviderError
from provider.postgres.applied import Applied, compare
from provider.postgres.kind import PostgresKind
from provider.postgres.migration_files import Migration, describe, discover, render_all
from provider.postgres.object_definitions import RecordedDefinitions
from provider.postgres.problems import MigrationError, MigrationProblem
from provider.postgres.server import MissingDatabaseError
from provider.postgres.target import SchemaTarget

if TYPE_CHECKING:
    from provider.postgres.migration_files import Script
    from provider.postgres.row_security import Isolation
    from provider.postgres.session import Connection
    from provider.postgres.tables import MappedTables

PROPERTIES: Properties = {
    "schema": Property(required=True, force_new=True, description="The schema; it exists already"),
    "owner": Property(required=True, description="The role that owns everything in the schema"),
    "directory": Property(
        required=True, description="Directory of the files NNNN_name.sql.j2, relative to the project"
    ),
    "migrations": strings("list", computed=True, description="The files with their checksums, listed by the provider"),
    "tables": Property(
        "map",
        item=strings("map"),
        description="Table of the mapping to column to type, as format_type prints it; the migrations make exactly these",
    ),
    "mappingFile": Property(ignore_changes=True, description="The mapping, which messages about differences name"),
    "appendOnly": strings("set", description="Append-only tables, or patterns of run-time tables"),
    "tenantTables": Property(
        "map",
        item=Property("object", fields={"column": Property(required=True), "parent": Property()}),
        description="Table to the column that holds its tenant or refers to a parent table, and that parent",
    ),
    "tenantBypass": strings("set", description="Roles that are not limited to one tenant"),
    "version": Property("integer", output=True, description="The version of the last applied migration"),
    "applied": strings("list", output=True, description="The applied migrations with their checksums"),
    "drift": strings("list", output=True, description="Manual changes that a refresh found; the next up corrects them"),
    "definitions": Property(
        "object",
        output=True,
        description="Table to index, constraint, view or other object of the migrations, to the statement that makes it",
    ),
    "definitionsServer": Property(
        "integer", output=True, description="The major version of the server that printed the definitions"
    ),
}
INPUTS = tuple(name for name, item in PROPERTIES.items() if not item.output)


class SchemaMigrations(PostgresKind):
    """Runs ``migrations.apply``. The id, also for an import, is ``<database>.<schema>.migrations``."""

    token = "stellaops:postgres:SchemaMigrations"  # noqa: S105 - a type
    description = "The tables of one schema. Import id: DATABASE.SCHEMA.migrations"
    properties = PROPERTIES
    # A replacement of the same schema must not find the old tables.
    delete_before_replace = True
    drift_output = "drift"

    def complete(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        with suppress(MigrationError):  # ``validate`` reports it
            if "directory" in inputs:
                return {"migrations": _labels(Path(inputs["directory"]))}
        return {}

    def validate(self, inputs: Mapping[str, Any], old: Mapping[str, Any]) -> Iterator[Failure]:
        """Every problem of the files, alone and compared with the applied migrations in the state.

        Contacts the server only if state and files conflict: somebody may have run ``repair``.
        """
        if "directory" in inputs:
            for problem in self._problems(Path(inputs["directory"]), inputs, old):
                yield Failure("", str(problem))  # the problem names its file and line

    def _problems(self, directory: Path, inputs: Mapping[str, Any], old: Mapping[str, Any]) -> list[MigrationProblem]:
        target = SchemaTarget(inputs["schema"], inputs["owner"]) if "schema" in inputs and "owner" in inputs else None
        try:
            files = discover(directory)
        except MigrationError as error:
            return list(error.problems)
        # While the names are unknown, the templates are rendered with the directory's name, which is the schema's.
        template_target = target or SchemaTarget.of_schema(directory.name)
        # Another schema, or one that is recreated, has no applied migrations.
        recorded = old.get("migrations") if target and old.get("schema") == target.schema else None
        pending = [file for file in files if file.label not in (recorded or ())]
        problems = _content_problems(files, pending, template_target, inputs, old)
        conflicts = compare(directory, files, _applied_from_labels(recorded))
        if conflicts and target:
            # If the server cannot be reached, the conflicts with the state remain.
            with suppress(ProviderError):
                conflicts = compare(directory, files, self._read_applied(target))
        return problems + conflicts

    def drift(self, state: Mapping[str, Any], inputs: Mapping[str, Any]) -> Iterator[PropertyChange]:
        """Update if a refresh found other applied migrations than the files, or other differences."""
        if state.get("migrations") == inputs.get("migrations") != state.get("applied"):
            yield PropertyChange("applied", "update", replace=False)
        yield from super().drift(state, inputs)

    def planned(self, inputs: Mapping[str, Any], state: Mapping[str, Any] | None) -> dict[str, Any]:
        migrations = inputs.get("migrations")
        if not migrations or has_unknown(migrations):
            return {}
        return {"version": int(migrations[-1][:4]), "applied": migrations, "drift": []}

    def create(self, inputs: dict[str, Any]) -> FoundResource:
        from provider.postgres.adoption import readopt

        server = self._server
        with server.connected() as connection:
            readopt(connection, _target(inputs), log.info)
        return FoundResource(f"{server.database}.{inputs['schema']}.migrations", self._apply(inputs, {}))

    def update(self, id_: str, state: dict[str, Any], inputs: dict[str, Any]) -> FoundResource:
        return FoundResource(id_, self._apply(inputs, state))

    def read(self, id_: str, state: dict[str, Any]) -> FoundResource | None:
        """Read the database. Return None if the schema is gone; otherwise ``drift`` has a sentence for each difference."""
        from provider.postgres import guards, tables
        from provider.postgres.history import has_schema
        from provider.postgres.ownership import foreign_objects

        schema = state["schema"] if state else self._schema_of(id_)
        try:
            with self._server.connected() as connection:
                if not has_schema(connection, schema):
                    return None
                inputs = state or _imported(connection, schema)
                target = _target(inputs)
                applied = self._applied_at_read(connection, target, state)
                sentences = tables.drift(connection, _mapped(inputs)) if inputs.get("tables") else []
                sentences += guards.drift(connection, target, inputs.get("appendOnly") or [], _isolation(inputs))
                sentences += [
                    f"{item.name} belongs to {item.owner}, not to {target.owner}"
                    for item in foreign_objects(connection, target)
                ]
                definitions = RecordedDefinitions.of(state) or RecordedDefinitions.read(connection, schema)
        except MissingDatabaseError:
            return None
        return FoundResource(id_, _outputs(inputs, applied, sentences, definitions))

    def _applied_at_read(
        self, connection: "Connection", target: SchemaTarget, state: Mapping[str, Any]
    ) -> tuple[Applied, ...]:
        """Read the applied migrations; take them from the state if the owner role may not read them, because the schema or
        ``schema_migrations`` was given to another role."""
        import psycopg

        from provider.postgres.history import read_applied

        try:
            return read_applied(connection, target)
        except psycopg.errors.InsufficientPrivilege:
            if not state:
                raise
            return tuple(_applied_from_labels(state.get("applied")))

    def delete(self, id_: str, state: dict[str, Any]) -> None:
        """Keep the tables: the schema resource drops them if the stack allows it.

        Drops the policies that name logins. The engine drops several of these logins at the same time, and PostgreSQL then
        fails to remove one of them from a policy that they share.
        """
        if not state.get("tenantBypass"):
            return
        from provider.postgres import row_security
        from provider.postgres.history import is_managed
        from provider.postgres.migrations import locked_schema
        from provider.postgres.running import in_transaction
        from provider.postgres.session import Limits

        target, limits = _target(state), Limits()
        with suppress(MissingDatabaseError), self._server.connected() as connection:
            if is_managed(connection, target):
                with locked_schema(connection, target, limits, log.info):
                    drop = partial(row_security.drop_bypass, connection, target.schema)
                    for line in in_transaction(connection, target, limits, log.info, drop):
                        log.info(line)

    def _apply(self, inputs: dict[str, Any], state: Mapping[str, Any]) -> dict[str, Any]:
        from provider.postgres import migrations
        from provider.postgres.history import read_applied
        from provider.postgres.session import Limits

        target, directory = _target(inputs), Path(inputs["directory"])
        with self._server.connected() as connection:
            if _labels(directory) != inputs["migrations"]:
                message = "the files changed after the preview"
                raise MigrationError(MigrationProblem(str(directory), None, message, "run preview again, then up"))
            recorded = RecordedDefinitions.of(state)
            before = None
            if recorded:
                migrations.require_own_history(connection, target)
            if recorded and recorded.is_current(connection, state["applied"], read_applied(connection, target)):
                before = RecordedDefinitions.read(connection, target.schema)
            applied = migrations.apply(
                connection,
                target,
                directory,
                inputs.get("appendOnly") or [],
                Limits(),
                log.info,
                _isolation(inputs),
                _mapped(inputs) if inputs.get("tables") else None,
            )
            definitions = RecordedDefinitions.read(connection, target.schema)
        if recorded and before:
            definitions = recorded.after_migrations(before, definitions)
        return _outputs(inputs, applied, [], definitions)

    def _read_applied(self, target: SchemaTarget) -> tuple[Applied, ...]:
        from provider.postgres.history import read_applied

        with self._server.connected() as connection:
            return read_applied(connection, target)

    def _schema_of(self, id_: str) -> str:
        database = self._server.database
        schema = id_.removeprefix(f"{database}.").removesuffix(".migrations")
        if id_ != f"{database}.{schema}.migrations":
            raise ProviderError(
                f"{id_!r} is not the id of a schema's migrations; write it like {database}.vuln.migrations"
            )
        return schema


def _labels(directory: Path) -> list[str]:
    """List a directory's files like ``0001_tables.sql.j2 sha256:<64 hex digits>``. Raises ``MigrationError``."""
    return [migration.label for migration in discover(directory)]


def _target(inputs: Mapping[str, Any]) -> SchemaTarget:
    return SchemaTarget(inputs["schema"], inputs["owner"])


def _isolation(inputs: Mapping[str, Any]) -> "Isolation":
    from components.mapping.access import TenantRule
    from provider.postgres.row_security import Isolation

    rules = {
        table: TenantRule(rule["column"], rule.get("parent"))
        for table, rule in (inputs.get("tenantTables") or {}).items()
    }
    return Isolation(rules, tuple(inputs.get("tenantBypass") or ()))


def _mapped(inputs: Mapping[str, Any]) -> "MappedTables":
    from provider.postgres.tables import MappedTables

    return MappedTables(inputs["schema"], inputs["tables"], inputs.get("mappingFile") or "")


def _content_problems(
    files: list[Migration],
    pending: list[Migration],
    target: SchemaTarget,
    inputs: Mapping[str, Any],
    old: Mapping[str, Any],
) -> list[MigrationProblem]:
    """Parse the files, log the effects of pending ones, and compare the tables that they make with the mapping's.

    Files and tables of the last run are right already: a preview without a change parses nothing.
    """
    if not pending and inputs.get("tables") == old.get("tables"):
        return []
    try:
        scripts = render_all(files, target.variables)
    except MigrationError as error:
        return list(error.problems)
    _log_effects([script for script in scripts if script.migration in pending], target, inputs, old)
    if not inputs.get("tables") or has_unknown(inputs["tables"]):
        return []
    from provider.postgres.declared_tables import read_tables
    from provider.postgres.tables import declared_problems

    return declared_problems(_mapped({**inputs, "schema": target.schema}), read_tables(scripts, target.schema))


def _log_effects(
    scripts: list["Script"], target: SchemaTarget, inputs: Mapping[str, Any], old: Mapping[str, Any]
) -> None:
    """Log what migrations do besides adding."""
    if not scripts:
        return
    from provider.postgres.lint.effects import describe_effects
    from provider.postgres.lint.place import Place

    append_only = {*(inputs.get("appendOnly") or ()), *(old.get("appendOnly") or ())}
    place = Place.of_resource(target.schema, target.owner, append_only, inputs.get("tenantTables") or ())
    for line in describe_effects(scripts, place):
        log.info(line)


def _applied_from_labels(labels: list[str] | None) -> list[Applied]:
    """Convert the state's list of files, which dates from the last successful run, to applied migrations."""
    rows = []
    for label in labels or []:
        name, _, digest = label.partition(" sha256:")
        rows.append(Applied(int(name[:4]), describe(name), None, digest))
    return rows


def _imported(connection: "Connection", schema: str) -> dict[str, Any]:
    """Return inputs for an existing schema. The next ``up`` adds tenant isolation."""
    from provider.postgres.append_only import guarded_tables
    from provider.postgres.history import read_applied, schema_owner

    owner = schema_owner(connection, schema)
    return {
        "schema": schema,
        "owner": owner,
        "directory": str(SQL_DIRECTORY / schema),
        "migrations": [row.label for row in read_applied(connection, SchemaTarget(schema, owner))],
        "appendOnly": guarded_tables(connection, schema),
    }


def _outputs(
    inputs: Mapping[str, Any], applied: tuple[Applied, ...], drift: list[str], definitions: RecordedDefinitions
) -> dict[str, Any]:
    return {
        **{name: inputs[name] for name in INPUTS if name in inputs},
        "version": max((row.version for row in applied), default=0),
        "applied": [row.label for row in applied],
        "drift": drift,
        **definitions.outputs,
    }
