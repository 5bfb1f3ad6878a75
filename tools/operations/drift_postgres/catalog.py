"""What all comparisons share: the connection, the mapping, who is who, and how a sentence begins and ends."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from components.mapping import Mapping as SchemaMapping
from components.mapping.access import SchemaAccess
from components.mapping.roles import BackupRole, RoleNames
from provider.postgres.session import Connection

EXTRA = "not in the mapping"
MISSING = "the mapping says it may"
OBJECT_MISSING = "the mapping has it"


@dataclass(frozen=True)
class Catalog:
    """One snapshot of the database. ``admin`` is the role that provisions: what PostgreSQL grants the creator of a role is not drift."""

    connection: Connection
    mapping: SchemaMapping
    database: str
    admin: str

    def rows(self, query: str, **parameters: Any) -> list[tuple[Any, ...]]:
        """A query on the catalog; ``%(schemas)s`` and ``%(roles)s`` are those of the mapping."""
        known = {"schemas": list(self.mapping.postgres.schemas), "roles": sorted(self.managed)}
        return self.connection.execute(query.encode(), {**known, **parameters}).fetchall()

    @cached_property
    def roles(self) -> RoleNames:
        """What each role of the stack is."""
        return self.mapping.access.roles(self.database)

    @cached_property
    def managed(self) -> frozenset[str]:
        """The roles that are compared. The backup login is not among them: its stack config decides whether it is."""
        return self.roles.names - {BackupRole(self.database).name}

    @property
    def wanted(self) -> Mapping[str, SchemaAccess]:
        """Schema -> who shall have what in it."""
        return self.mapping.access.schemas

    @cached_property
    def schemas(self) -> frozenset[str]:
        """The mapping's schemas that exist."""
        query = "SELECT nspname::text FROM pg_catalog.pg_namespace WHERE nspname = ANY (%(schemas)s)"
        return frozenset(row[0] for row in self.rows(query))


def who(role: str | None) -> str:
    """How a sentence names the holder of a privilege; None is everybody."""
    return "PUBLIC" if role is None else f"role {role}"


@dataclass(frozen=True)
class Entry:
    """One entry of an access control list, on what ``where`` names."""

    where: str
    role: str | None
    privilege: str
    grantable: bool


def compare(found: Collection[Entry], wanted: Mapping[str, Mapping[str, Collection[str]]]) -> Iterator[str]:
    """A sentence for each privilege too many or too few. ``wanted``: where -> role -> privileges."""
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
