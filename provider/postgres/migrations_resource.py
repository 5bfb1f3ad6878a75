"""``SchemaMigrations``: a schema's migrations as a Pulumi resource, so that a preview lists the pending files.

Made from the files of ``sql/<schema>``, the mapping's ``append_only`` marks and, where tenants are kept apart, the
mapping's rules for that. A preview asks no server: files are
compared with the stack's state. Deleting the resource leaves the tables; they go with the schema, if at all.
"""

from contextlib import suppress
from pathlib import Path
from typing import Any

import pulumi
from pulumi.dynamic import (
    CheckFailure,
    CheckResult,
    ConfigureRequest,
    CreateResult,
    DiffResult,
    ReadResult,
    Resource,
    ResourceProvider,
    UpdateResult,
)
from pulumi.runtime.rpc import UNKNOWN

from components.mapping.access import TenantRule
from provider.errors import ProviderError, report_in_one_line
from provider.postgres import guards, migrations
from provider.postgres.adoption import take_back
from provider.postgres.history import Applied, compare, has_schema, read_applied
from provider.postgres.migration_files import describe, discover, render_all
from provider.postgres.ownership import foreign_objects
from provider.postgres.problems import MigrationError, Problem
from provider.postgres.row_security import Isolation
from provider.postgres.server import MissingDatabaseError, Server
from provider.postgres.session import Limits, Target

INPUTS = ("schema", "owner", "directory", "migrations", "append_only", "tenant_tables", "tenant_bypass")


def migration_files(directory: Path) -> list[str]:
    """The files of a directory as the resource's input: ``0001_tables.sql.j2 sha256:<64 hex digits>``.

    Raises ``pulumi.RunError``, which the engine shows as its text alone.
    """
    try:
        return [migration.label for migration in discover(directory)]
    except MigrationError as error:
        raise pulumi.RunError(str(error)) from None


class SchemaMigrationsProvider(ResourceProvider):
    """Runs ``migrations.apply``. Class and module are importable, so that state holds a reference and no code."""

    serialize_as_secret_always = False
    _server: Server | None = None

    def configure(self, req: ConfigureRequest) -> None:
        report_in_one_line()
        self._server = Server.configured(req)

    def check(self, _olds: dict[str, Any], news: dict[str, Any]) -> CheckResult:
        """All that is wrong with the files, and with what state says was applied of them. Asks no server, but where
        state speaks against the files: then the database decides, whose history may have been repaired."""
        target, directory = _target(news), Path(news["directory"])
        known = UNKNOWN not in (target.schema, target.owner)
        # While names are still unknown, the templates are tried with the directory's, which is the schema's.
        names = target if known else Target.of_schema(directory.name)
        try:
            found = discover(directory)
            problems = _try(lambda: render_all(found, names.variables))
            # Another schema, or one that is made anew, starts from nothing.
            recorded = _olds.get("migrations") if _olds.get("schema") == target.schema else None
            conflicts = compare(directory, found, _recorded(recorded))
            if conflicts and self._server is not None:
                # A server that cannot be asked does not make the file right.
                with suppress(ProviderError):
                    conflicts = compare(directory, found, self._history(self._server, target))
            problems += conflicts
        except MigrationError as error:
            problems = list(error.problems)
        return CheckResult(news, [CheckFailure("", str(problem)) for problem in problems])

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        changed = [key for key in INPUTS if key != "schema" and (_olds.get(key) or None) != (_news.get(key) or None)]
        stale = _olds.get("applied") != _news["migrations"] or bool(_olds.get("drift"))
        replaced = ["schema"] if _olds.get("schema") != _news["schema"] else []
        # The old schema goes by itself; a new resource with the same name would find its tables in place.
        return DiffResult(changes=bool(changed or replaced or stale), replaces=replaced, delete_before_replace=True)

    def create(self, props: dict[str, Any]) -> CreateResult:
        server = self._configured
        with server.connected() as connection:
            take_back(connection, _target(props), _log)
        return CreateResult(f"{server.database}.{props['schema']}.migrations", self._apply(props))

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        return UpdateResult(self._apply(_news))

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """What the database really has. Gone with the schema; otherwise ``drift`` says in words what is off."""
        target = _target(props)
        try:
            with self._configured.connected() as connection:
                if not has_schema(connection, target.schema):
                    return ReadResult("", {})
                applied = read_applied(connection, target)
                sentences = guards.drift(connection, target, props["append_only"], _isolation(props))
                sentences += [
                    f"{name} belongs to {owner}, not to {target.owner}"
                    for name, owner in foreign_objects(connection, target)
                ]
        except MissingDatabaseError:
            return ReadResult("", {})
        return ReadResult(id_, _outs(props, applied, sentences))

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        """Leaves everything: the schema resource drops its tables where the stack allows it."""

    def _apply(self, props: dict[str, Any]) -> dict[str, Any]:
        target, directory = _target(props), Path(props["directory"])
        with self._configured.connected() as connection:
            if [migration.label for migration in discover(directory)] != props["migrations"]:
                what = "the files changed after the preview"
                raise MigrationError(Problem(str(directory), None, what, "look at a new preview, then run again"))
            applied = migrations.apply(
                connection, target, directory, props["append_only"], Limits(), _log, _isolation(props)
            )
        return _outs(props, applied, [])

    @property
    def _configured(self) -> Server:
        assert self._server is not None
        return self._server

    @staticmethod
    def _history(server: Server, target: Target) -> tuple[Applied, ...]:
        with server.connected() as connection:
            return read_applied(connection, target)


class SchemaMigrations(Resource, module="storage", name="SchemaMigrations"):
    """The tables of one schema, at the version of the newest file in ``directory``.

    ``migrations`` comes from ``migration_files``. ``append_only`` names tables; an entry like
    ``effective_finding_{policyId}_history`` stands for tables that are made at run time. ``tenant_tables`` maps tables
    to ``column`` and, where the tenant stands there, ``parent``; it is empty where tenants are not kept apart.
    ``tenant_bypass`` names roles that see the rows of all.
    """

    version: pulumi.Output[int]
    applied: pulumi.Output[list[str]]
    drift: pulumi.Output[list[str]]

    def __init__(
        self,
        name: str,
        *,
        schema: pulumi.Input[str],
        owner: pulumi.Input[str],
        directory: str,
        migrations: list[str],
        append_only: list[str],
        tenant_tables: dict[str, dict[str, str]],
        tenant_bypass: list[pulumi.Input[str]],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        props = {
            "schema": schema,
            "owner": owner,
            "directory": directory,
            "migrations": migrations,
            "append_only": append_only,
            "tenant_tables": tenant_tables,
            "tenant_bypass": tenant_bypass,
            "version": None,
            "applied": None,
            "drift": None,
        }
        super().__init__(SchemaMigrationsProvider(), name, props, opts)


def _target(props: dict[str, Any]) -> Target:
    return Target(props["schema"], props["owner"])


def _isolation(props: dict[str, Any]) -> Isolation:
    """None in the state of a stack that is older than this part."""
    rules = {table: TenantRule(**rule) for table, rule in (props.get("tenant_tables") or {}).items()}
    return Isolation(rules, tuple(props.get("tenant_bypass") or ()))


def _log(line: str) -> None:
    """The engine shows what a provider prints."""
    print(line, flush=True)


def _try(action: Any) -> list[Problem]:
    try:
        action()
    except MigrationError as error:
        return list(error.problems)
    return []


def _recorded(labels: list[str] | None) -> list[Applied]:
    """The state's list of files as rows: the state has it from the last run that succeeded."""
    rows = []
    for label in labels or []:
        name, _, digest = label.partition(" sha256:")
        rows.append(Applied(int(name[:4]), describe(name), None, digest))
    return rows


def _outs(props: dict[str, Any], applied: tuple[Applied, ...], drift: list[str]) -> dict[str, Any]:
    inputs = {key: props[key] for key in INPUTS if key in props}
    version = max((row.version for row in applied), default=0)
    return {**inputs, "version": version, "applied": [row.label for row in applied], "drift": drift}
