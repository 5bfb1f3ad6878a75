"""PostgreSQL roles: their kinds, their names, and the lookup of a role by name.

A name alone is ambiguous: a module may be called ``log_reader``. ``RoleNames`` resolves it with the lists of schemas,
modules and databases. Every name begins with the stack's prefix (``postgres:rolePrefix``), which keeps the roles of
environments on one server apart.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property


class GroupKind(StrEnum):
    """The purpose of a schema's group role."""

    OWNER = "owner"  # owns the schema and its tables, runs migrations
    WRITER = "writer"
    READER = "reader"


@dataclass(frozen=True)
class GroupRole:
    """One of the three group roles of a schema."""

    schema: str
    group: GroupKind
    prefix: str = ""

    @property
    def name(self) -> str:
        return f"{self.prefix}{self.schema}_{self.group}"


@dataclass(frozen=True)
class Login:
    """The login of a module, named after it."""

    module: str
    prefix: str = ""

    @property
    def name(self) -> str:
        return f"{self.prefix}{self.module}"


@dataclass(frozen=True)
class ConnectRole:
    """The group role whose members may connect to the database."""

    database: str
    prefix: str = ""

    @property
    def name(self) -> str:
        return f"{self.prefix}{self.database}_connect"


@dataclass(frozen=True)
class BackupRole:
    """The login for backups, which may read everything."""

    database: str
    prefix: str = ""

    @property
    def name(self) -> str:
        return f"{self.prefix}{self.database}_backup"


Role = GroupRole | Login | ConnectRole | BackupRole

# Number of characters that the longest group role name adds to the schema's name.
LONGEST_SUFFIX = max(len(GroupRole("", group).name) for group in GroupKind)


def owner(schema: str, prefix: str = "") -> str:
    """Name of the group role that owns the schema and everything in it."""
    return GroupRole(schema, GroupKind.OWNER, prefix).name


def writer(schema: str, prefix: str = "") -> str:
    """Name of the group role that may write every table of the schema."""
    return GroupRole(schema, GroupKind.WRITER, prefix).name


def reader(schema: str, prefix: str = "") -> str:
    """Name of the group role that may read every table of the schema."""
    return GroupRole(schema, GroupKind.READER, prefix).name


def groups_of(schema: str, prefix: str = "") -> tuple[GroupRole, ...]:
    """The group roles of one schema."""
    return tuple(GroupRole(schema, group, prefix) for group in GroupKind)


def is_owner(role: Role | None) -> bool:
    """Whether the role owns a schema."""
    return isinstance(role, GroupRole) and role.group is GroupKind.OWNER


class RoleNames:
    """Roles by name. If two roles have the same name, which the mapping's checks reject, the login wins."""

    def __init__(
        self,
        schemas: Iterable[str] = (),
        modules: Iterable[str] = (),
        databases: Iterable[str] = (),
        prefix: str = "",
    ) -> None:
        groups = (role for schema in schemas for role in groups_of(schema, prefix))
        database_roles = (
            role for database in databases for role in (ConnectRole(database, prefix), BackupRole(database, prefix))
        )
        logins = (Login(module, prefix) for module in modules)
        self._roles: dict[str, Role] = {role.name: role for role in (*groups, *database_roles, *logins)}

    def get(self, name: str) -> Role | None:
        """The role with this name; None if this stack does not create it."""
        return self._roles.get(name)

    def __contains__(self, name: str) -> bool:
        return name in self._roles

    @cached_property
    def names(self) -> frozenset[str]:
        """Names of all roles that the stack creates."""
        return frozenset(self._roles)

    @cached_property
    def groups(self) -> frozenset[str]:
        """Names of all roles without LOGIN."""
        return frozenset(name for name, role in self._roles.items() if isinstance(role, GroupRole | ConnectRole))
