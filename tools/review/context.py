"""Input of the modules in ``kinds``: the preview, lines of the mapping, and the contract before and after."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from components.mapping.roles import BackupRole, RoleNames
from tools.review.contract import ModuleUse, modules
from tools.review.origin import MappingOrigins
from tools.review.preview import Preview, PreviewStep
from tools.review.tokens import AWS_BUCKET, BUCKET, DATABASE, GRANT, INVENTORY, MIGRATIONS, ROLE, SCHEMA


@dataclass(frozen=True)
class ReviewContext:
    """``root`` is the project's directory; paths of migrations are relative to it."""

    preview: Preview
    origins: MappingOrigins = field(default_factory=MappingOrigins)
    root: Path = Path()

    def steps(self, *types: str) -> Iterator[PreviewStep]:
        """Every step of these types, unchanged ones included."""
        return (step for step in self.preview.steps if step.type in types)

    @cached_property
    def contracts(self) -> tuple[dict[str, Any], dict[str, Any] | None]:
        """The current and the planned contract; the latter is None if the preview has no planned outputs."""
        old, new = self.preview.outputs()
        return _document(old.get("contract")) or {}, None if new is None else _document(new.get("contract"))

    @cached_property
    def modules(self) -> tuple[dict[str, ModuleUse], dict[str, ModuleUse]]:
        """Module -> its access, in the current and in the planned contract; empty without a contract."""
        old, new = self.contracts
        return modules(old), modules(new or {})

    @cached_property
    def created_schemas(self) -> frozenset[str]:
        """Schemas that the run creates. One sentence covers a schema and its roles."""
        return frozenset(step.name for step in self.steps(SCHEMA) if step.op == "create")

    @cached_property
    def dropped_schemas(self) -> frozenset[str]:
        return frozenset(step.name for step in self.steps(SCHEMA) if step.op == "delete")

    @cached_property
    def roles(self) -> RoleNames:
        """Role name -> kind of role, from the schemas, logins and databases in the preview and the mapping.

        A name alone is ambiguous: ``log_reader`` is a group role if a schema ``log`` exists, else a module.
        """
        databases = self._values("name", DATABASE) | self._values("database", GRANT, SCHEMA)
        logins = {
            step.name
            for step in self.steps(ROLE)
            if any(state.live("login") or state.declared("login") for state in (step.old, step.new))
        }
        logins |= {login.removeprefix(self.role_prefix) for login in self._keys("logins")}
        logins |= self.origins.names("modules")
        schemas = self._values("name", SCHEMA) | self._values("schema", GRANT, MIGRATIONS) | self._keys("schemas")
        schemas |= self.origins.names("postgres", "schemas")
        modules = logins - {BackupRole(database).name for database in databases}
        return RoleNames(schemas, modules, databases, self.role_prefix)

    @cached_property
    def role_prefix(self) -> str:
        """The beginning of every role's name. The names of Role resources do not have it."""
        return next(iter(self._values("rolePrefix", INVENTORY)), "")

    def _values(self, key: str, *types: str) -> set[str]:
        """The values of a property in all resources of these types, before and after."""
        found = {state.live(key) for step in self.steps(*types) for state in (step.old, step.new)}
        return {value for value in found if isinstance(value, str) and value}

    def _keys(self, key: str) -> set[str]:
        """The keys of a property of the inventory, before and after."""
        found = (state.live(key) for step in self.steps(INVENTORY) for state in (step.old, step.new))
        return {str(name) for names in found if isinstance(names, dict) for name in names}

    @cached_property
    def inventory(self) -> tuple[str, ...]:
        """URNs of changed inventories, which change whenever a login or schema is created or deleted."""
        return tuple(step.urn for step in self.steps(INVENTORY) if step.op != "same")

    @cached_property
    def granted(self) -> frozenset[tuple[str, str]]:
        """(schema, table) of each table with a grant before the run, that is, of each existing table."""
        return frozenset(
            (str(step.old.live("schema", "")), str(table))
            for step in self.steps(GRANT)
            for table in step.old.live("objects") or ()
        )

    @cached_property
    def buckets(self) -> dict[str, str]:
        """Bucket name in the store -> name in the mapping."""
        return {str(step.state.live("bucket", step.name)): step.name for step in self.steps(BUCKET, AWS_BUCKET)}

    @cached_property
    def created_buckets(self) -> frozenset[str]:
        """Buckets that the run creates, by their names in the mapping."""
        return frozenset(step.name for step in self.steps(BUCKET, AWS_BUCKET) if step.op == "create")


def role_name(step: PreviewStep) -> str:
    """The name of a Role resource's role in PostgreSQL."""
    return str(step.state.declared("name", step.name))


def _document(value: Any) -> dict[str, Any] | None:
    return value if isinstance(value, dict) else None
