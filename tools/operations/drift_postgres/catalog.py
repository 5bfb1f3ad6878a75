"""The input of all comparisons (connection, mapping, roles), and the wording that their sentences share."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from components.mapping import Mapping as SchemaMapping
from components.mapping.access import EXTENSIONS_SCHEMA, SchemaAccess
from components.mapping.roles import BackupRole, ConnectRole, RoleNames
from provider.postgres.session import Connection

EXTRA = "not in the mapping"
MISSING = "the mapping allows it"
OBJECT_MISSING = "it is in the mapping"


@dataclass(frozen=True)
class Catalog:
    """One snapshot of the database. ``admin`` is the role that provisions: the memberships that PostgreSQL grants to the
    creator of a role are not drift."""

    connection: Connection
    mapping: SchemaMapping
    database: str
    admin: str

    def rows(self, query: str, **parameters: Any) -> list[tuple[Any, ...]]:
        """Query the catalog; ``%(schemas)s`` and ``%(roles)s`` are those of the mapping."""
        known = {"schemas": list(self.mapping.postgres.schemas), "roles": sorted(self.managed)}
        return self.connection.execute(query.encode(), {**known, **parameters}).fetchall()

    @cached_property
    def roles(self) -> RoleNames:
        """The names of the stack's roles, by kind."""
        return self.mapping.access.roles(self.database)

    @cached_property
    def managed(self) -> frozenset[str]:
        """The roles that are compared: all but the backup login, which depends on the stack's config."""
        return self.roles.names - {self.backup}

    @property
    def backup(self) -> str:
        """Name of the backup login."""
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


def who(role: str | None) -> str:
    """Name the holder of a privilege; None is PUBLIC."""
    return "PUBLIC" if role is None else f"role {role}"


@dataclass(frozen=True)
class Entry:
    """One entry of an access control list; ``where`` names its object."""

    where: str
    role: str | None
    privilege: str
    grantable: bool


def compare(found: Collection[Entry], wanted: Mapping[str, Mapping[str, Collection[str]]]) -> Iterator[str]:
    """Yield a sentence for each additional or missing privilege. ``wanted``: where -> role -> privileges."""
    for entry in found:
        if entry.privilege not in wanted.get(entry.where, {}).get(entry.role or "", ()):
            yield f"{who(entry.role)} may {entry.privilege} {entry.where}: {EXTRA}"
        if entry.grantable:
            yield f"{who(entry.role)} may grant {entry.privilege} {entry.where} to others: {EXTRA}"
    has = {(entry.where, entry.role, entry.privilege) for entry in found}
    for where, roles in wanted.items():
        for role, privileges in roles.items():
            for privilege in privileges:
                if (where, role, privilege) not in has:
                    yield f"role {role} may not {privilege} {where}: {MISSING}"
