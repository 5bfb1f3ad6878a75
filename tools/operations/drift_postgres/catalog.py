"""The input of all comparisons (connection, mapping, roles), the wording that their sentences share, and their statements."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from components.mapping import Mapping as SchemaMapping
from components.mapping.access import EXTENSIONS_SCHEMA, SchemaAccess
from components.mapping.roles import BackupRole, ConnectRole
from components.postgres.role_definitions import RoleDefinition, role_definitions
from provider.difference import Difference
from provider.postgres.history import has_schema
from provider.postgres.session import Connection
from tools.operations.stack import Stack

EXTRA = "not in the mapping"
MISSING = "the mapping allows it"
OBJECT_MISSING = "it is in the mapping"

PUBLIC_SCHEMA = "public"

Differences = Iterator[Difference]


@dataclass(frozen=True)
class Catalog:
    """One snapshot of the database of a stack."""

    connection: Connection
    stack: Stack

    def rows(self, query: str, **parameters: Any) -> list[tuple[Any, ...]]:
        """Query the catalog; ``%(schemas)s`` and ``%(roles)s`` are those of the mapping, ``%(admin)s`` the session's role."""
        known = {"schemas": list(self.mapping.postgres.schemas), "roles": sorted(self.roles), "admin": self.admin}
        return self.connection.execute(query.encode(), {**known, **parameters}).fetchall()

    @property
    def mapping(self) -> SchemaMapping:
        return self.stack.mapping

    @property
    def database(self) -> str:
        """Name of the stack's database."""
        return self.connection.info.dbname

    @property
    def admin(self) -> str:
        """The role that provisions: the memberships that PostgreSQL grants to the creator of a role are not drift."""
        return self.stack.settings.postgres.admin_user

    @cached_property
    def roles(self) -> Mapping[str, RoleDefinition]:
        """Name -> definition of every role of the stack."""
        replicates = self.stack.settings.backups.mode == "continuous"
        definitions = role_definitions(
            self.mapping, self.database, backup=self.stack.has_backups, replicates=replicates
        )
        return {role.name: definition for role, definition in definitions.items()}

    @property
    def backup(self) -> str:
        """Name of the backup login, also on a stack without backups."""
        return BackupRole(self.database, self.mapping.role_prefix).name

    @property
    def connect(self) -> str:
        """Name of the role whose members may connect to the database."""
        return ConnectRole(self.database, self.mapping.role_prefix).name

    @property
    def extensions_schema(self) -> tuple[str, ...]:
        """The schema of extensions, where the mapping has any."""
        return (EXTENSIONS_SCHEMA,) if self.mapping.postgres.extensions else ()

    @property
    def wanted(self) -> Mapping[str, SchemaAccess]:
        """Schema -> the access that the mapping grants in it."""
        return self.mapping.access.schemas

    @cached_property
    def schemas(self) -> frozenset[str]:
        """The mapping's schemas that exist."""
        query = "SELECT nspname::text FROM pg_catalog.pg_namespace WHERE nspname = ANY (%(schemas)s)"
        return frozenset(row[0] for row in self.rows(query))

    @cached_property
    def extra_schemas(self) -> list[tuple[str, str, int]]:
        """Schemas that are not the stack's: name, owner, number of tables and views."""
        return [
            (str(name), str(owner), int(relations))
            for name, owner, relations in self.rows(
                f"""SELECT nspname, pg_catalog.pg_get_userbyid(nspowner), (SELECT count(*) FROM pg_catalog.pg_class c
                     WHERE c.relnamespace = n.oid AND c.relkind IN ('r', 'p', 'v', 'm', 'f'))
                   FROM pg_catalog.pg_namespace n WHERE nspname <> ALL (%(schemas)s)
                     AND nspname <> ALL (%(known)s) AND nspname !~ '^pg_' AND {own("pg_namespace", "n")}
                   ORDER BY 1""",
                known=[PUBLIC_SCHEMA, "information_schema", *self.extensions_schema],
            )
        ]

    @cached_property
    def renamed_schemas(self) -> dict[str, str]:
        """Missing schema -> the only additional schema with its owner, which then is the same one under another name."""
        owners = {schema: self.mapping.access.owner(schema) for schema in self.mapping.postgres.schemas}
        owners[PUBLIC_SCHEMA] = "pg_database_owner"
        existing = {*self.schemas, *([PUBLIC_SCHEMA] if has_schema(self.connection, PUBLIC_SCHEMA) else ())}
        found = {
            schema: [name for name, owner, _ in self.extra_schemas if owner == owners[schema]]
            for schema in owners.keys() - existing
        }
        return {schema: names[0] for schema, names in found.items() if len(names) == 1}

    @cached_property
    def existing_roles(self) -> frozenset[str]:
        """The stack's roles that exist."""
        return frozenset(
            row[0] for row in self.rows("SELECT rolname::text FROM pg_catalog.pg_roles WHERE rolname = ANY (%(roles)s)")
        )

    @cached_property
    def is_superuser(self) -> bool:
        """Whether the admin is a superuser."""
        return bool(self.rows("SELECT FROM pg_catalog.pg_roles WHERE rolname = current_user AND rolsuper"))

    @property
    def by_superuser(self) -> str:
        """The end of a sentence whose remedy only a superuser may run; empty if the admin is one."""
        return "" if self.is_superuser else " (only a superuser can change it)"

    def quote(self, *parts: str) -> str:
        """Return a name, quoted where it has to be, like ``vex."Odd name"``."""
        for part in parts:
            if part not in self._quoted:
                self._quoted[part] = self.rows("SELECT pg_catalog.quote_ident(%(part)s)", part=part)[0][0]
        return ".".join(self._quoted[part] for part in parts)

    @cached_property
    def _quoted(self) -> dict[str, str]:
        return {}

    def literal(self, text: str) -> str:
        """Return a text as a SQL literal."""
        return str(self.rows("SELECT pg_catalog.quote_literal(%(text)s)", text=text)[0][0])

    def grantee(self, role: str | None) -> str:
        """Return a role as GRANT and REVOKE have it; None is PUBLIC."""
        return "PUBLIC" if role is None else self.quote(role)

    def as_role(self, role: str, *statements: str) -> str:
        """Return statements that create objects, so that they belong to ``role``."""
        return "; ".join((f"SET ROLE {self.quote(role)}", *statements, "RESET ROLE"))

    def allowed_for(self, role: str, *statements: str) -> str:
        """Return statements that ``role`` and a superuser may run, in the form that the admin can run."""
        return "; ".join(statements) if self.is_superuser else self.as_role(role, *statements)


def own(catalog: str, alias: str) -> str:
    """Return the condition that an object in a catalog does not belong to an extension."""
    return f"""NOT EXISTS (SELECT FROM pg_catalog.pg_depend e
      WHERE e.classid = 'pg_catalog.{catalog}'::pg_catalog.regclass AND e.objid = {alias}.oid AND e.deptype = 'e')"""


def who(role: str | None) -> str:
    """Name the holder of a privilege; None is PUBLIC."""
    return "PUBLIC" if role is None else f"role {role}"
