"""PostgreSQL roles: what each is, how its name is composed, and what a name stands for.

A name alone does not tell: a module may be called ``log_reader``. ``RoleNames`` answers from the schemas, modules and
databases that there are.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property


class GroupKind(StrEnum):
    """What a group role of a schema is for. Nobody logs in as one."""

    OWNER = "owner"  # owns schema and tables, runs migrations
    WRITER = "writer"
    READER = "reader"


@dataclass(frozen=True)
class GroupRole:
    """One of the three group roles of a schema."""

    schema: str
    group: GroupKind

    @property
    def name(self) -> str:
        return f"{self.schema}_{self.group}"


@dataclass(frozen=True)
class Login:
    """The login of a module, named after it."""

    module: str

    @property
    def name(self) -> str:
        return self.module


@dataclass(frozen=True)
class ConnectRole:
    """The group role whose members may connect to the database."""

    database: str

    @property
    def name(self) -> str:
        return f"{self.database}_connect"


@dataclass(frozen=True)
class BackupRole:
    """The login that reads everything: dumps, base backups, WAL."""

    database: str

    @property
    def name(self) -> str:
        return f"{self.database}_backup"


Role = GroupRole | Login | ConnectRole | BackupRole

# What the longest name of a group role adds to the schema's name, in characters.
LONGEST_SUFFIX = max(len(GroupRole("", group).name) for group in GroupKind)


def owner(schema: str) -> str:
    """The name of the role that owns the schema and all that is in it."""
    return GroupRole(schema, GroupKind.OWNER).name


def writer(schema: str) -> str:
    """The name of the group role that writes every table of the schema."""
    return GroupRole(schema, GroupKind.WRITER).name


def reader(schema: str) -> str:
    """The name of the group role that reads every table of the schema."""
    return GroupRole(schema, GroupKind.READER).name


def groups_of(schema: str) -> tuple[GroupRole, ...]:
    """The group roles of one schema."""
    return tuple(GroupRole(schema, group) for group in GroupKind)


def is_owner(role: Role | None) -> bool:
    """Whether the role owns a schema."""
    return isinstance(role, GroupRole) and role.group is GroupKind.OWNER


class RoleNames:
    """Name of a role -> what it is. Where two have one name, which the mapping's checks refuse, the login wins."""

    def __init__(self, schemas: Iterable[str] = (), modules: Iterable[str] = (), databases: Iterable[str] = ()) -> None:
        groups = (role for schema in schemas for role in groups_of(schema))
        of_databases = (role for database in databases for role in (ConnectRole(database), BackupRole(database)))
        logins = (Login(module) for module in modules)
        self._roles: dict[str, Role] = {role.name: role for role in (*groups, *of_databases, *logins)}

    def get(self, name: str) -> Role | None:
        """What the role is; None for one that this stack does not create."""
        return self._roles.get(name)

    def __contains__(self, name: str) -> bool:
        return name in self._roles

    @cached_property
    def names(self) -> frozenset[str]:
        """Every role that the stack creates."""
        return frozenset(self._roles)

    @cached_property
    def groups(self) -> frozenset[str]:
        """Every role that nobody logs in as."""
        return frozenset(name for name, role in self._roles.items() if isinstance(role, GroupRole | ConnectRole))
