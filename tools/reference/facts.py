"""Facts that several pages share: privileges as text, access by table, paths of pages."""

from collections.abc import Iterable
from collections.abc import Mapping as Mapping_
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from components.mapping import Mapping
from components.mapping.access import VERSION_TABLE, KeyAccess
from components.mapping.model import Table
from tools.reference import catalog
from tools.reference.markdown import code, prose

ORDER = ("SELECT", "INSERT", "UPDATE", "DELETE")
VERBS = {"write": "reads and writes", "read": "reads", "produce": "adds entries", "consume": "consumes"}


@dataclass(frozen=True)
class ReferenceFacts:
    """The mapping, with the constraints that the migrations in ``sql`` add."""

    mapping: Mapping
    sql: Path

    @cached_property
    def catalog(self) -> catalog.Catalog:
        return catalog.read(self.mapping.postgres.schemas, self.sql)

    @cached_property
    def owners(self) -> dict[str, str]:
        """Schema -> the module that owns it."""
        return {name: schema.owner for name, schema in self.mapping.access.schemas.items() if schema.owner}

    def name(self, user: str) -> str:
        """The display name of a module or service."""
        return self.mapping.users[user].name

    def tables(self, schema: str) -> dict[str, Table]:
        """Every table of a schema, with run-time tables last."""
        return self.mapping.postgres.schemas[schema].all_tables

    @cached_property
    def access(self) -> dict[str, dict[tuple[str, str], tuple[str, str]]]:
        """Module -> (schema, table) -> privileges on the whole table, and on columns, both as text."""
        result: dict[str, dict[tuple[str, str], tuple[str, str]]] = {}
        for module, login in self.mapping.access.logins.items():
            tables = {}
            for place, found in login.tables.items():
                if place[1] == VERSION_TABLE:
                    continue
                by_privilege: dict[str, list[str]] = {}
                for column, privileges in found.columns.items():
                    by_privilege.setdefault(privileges_text(privileges), []).append(column)
                columns = "; ".join(
                    f"{text} on {', '.join(code(c) for c in names)}" for text, names in by_privilege.items()
                )
                tables[place] = (privileges_text(found.privileges), columns)
            result[module] = tables
        return result

    def tenants(self, schema: str, table: str) -> str:
        """Describe which tenant the rows of a table belong to."""
        rule = self.mapping.access.schemas[schema].tenant_rules.get(table)
        if rule is None:
            tenant = self.tables(schema)[table].tenant
            return f"All tenants share the rows: {prose(tenant.shared or '')}." if tenant else ""
        if rule.parent is None:
            return f"Each row belongs to the tenant in {code(rule.column)}."
        return f"Each row belongs to the tenant of the row in {code(rule.parent)} that {code(rule.column)} refers to."

    @property
    def keys(self) -> Mapping_[str, tuple[KeyAccess, ...]]:
        """Module or service -> its access to key patterns."""
        return self.mapping.access.keys

    def objects(self, module: str) -> list[tuple[str, str]]:
        """(path, verb as text) of every prefix that the module may use."""
        objects = self.mapping.access.objects[module]
        return [(f"{access.bucket}/{access.prefix}", VERBS[access.verb]) for access in objects]


def privileges_text(privileges: Iterable[str]) -> str:
    """Join privileges in the usual order: SELECT, INSERT, UPDATE, DELETE, then others."""
    found = set(privileges)
    return ", ".join([name for name in ORDER if name in found] + sorted(found - set(ORDER)))


def module_page(user: str) -> str:
    return f"reference/modules/{user}.md"


def schema_page(schema: str) -> str:
    return f"reference/schemas/{schema}.md"
