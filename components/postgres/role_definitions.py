"""Every PostgreSQL role of a stack with its attributes, derived from the mapping and the stack's config.

The component creates the roles from this list, and ``drift`` compares them with it. Does not import pulumi.
"""

from dataclasses import dataclass

from components.mapping import Mapping
from components.mapping.roles import BackupRole, ConnectRole, GroupKind, GroupRole, Login, Role, groups_of

BACKUP_CONNECTIONS = 8  # for a dump, a base backup with its WAL, the WAL receiver, and a manual run meanwhile
NO_LIMIT = -1


@dataclass(frozen=True)
class RoleDefinition:
    """One role.

    - ``member_of``: the group roles that it is a member of.
    - ``connection_limit``: ``NO_LIMIT`` for any number.
    - ``search_path``, ``statement_timeout``, ``idle_in_transaction_timeout``: its settings, timeouts in milliseconds; None
      for what is not set.
    - ``replication``: whether it has REPLICATION and BYPASSRLS (a role with the first can read everything anyway); None for
      PostgreSQL's default, which is neither.
    """

    role: Role
    login: bool = False
    member_of: tuple[GroupRole | ConnectRole, ...] = ()
    connection_limit: int = NO_LIMIT
    search_path: tuple[str, ...] | None = None
    statement_timeout: int | None = None
    idle_in_transaction_timeout: int | None = None
    replication: bool | None = None

    @property
    def name(self) -> str:
        return self.role.name

    @property
    def settings(self) -> dict[str, str]:
        """Setting -> value, as ``ALTER ROLE ... SET`` has them."""
        values = {
            "search_path": None if self.search_path is None else ", ".join(self.search_path),
            "statement_timeout": self.statement_timeout,
            "idle_in_transaction_session_timeout": self.idle_in_transaction_timeout,
        }
        return {name: str(value) for name, value in values.items() if value is not None}


def role_definitions(mapping: Mapping, database: str, *, backup: bool, replicates: bool) -> dict[Role, RoleDefinition]:
    """Return every role of the stack; group roles come before their members.

    ``backup``: whether the stack has backups, so that there is a login for them; ``replicates``: whether that login also
    reads base backups and WAL.
    """
    prefix = mapping.role_prefix
    connect = ConnectRole(database, prefix)
    groups = [role for schema in mapping.postgres.schemas for role in groups_of(schema, prefix)]
    definitions = [*map(RoleDefinition, groups), RoleDefinition(connect)]
    for module, access in mapping.access.logins.items():
        limits = access.limits
        definitions.append(
            RoleDefinition(
                Login(module, prefix),
                login=True,
                member_of=(connect, *access.member_of),
                connection_limit=limits.connection_limit,
                search_path=limits.search_path,
                statement_timeout=limits.statement_timeout,
                idle_in_transaction_timeout=limits.idle_in_transaction_timeout,
            )
        )
    if backup:
        readers = (role for role in groups if role.group is GroupKind.READER)
        definitions.append(
            RoleDefinition(
                BackupRole(database, prefix),
                login=True,
                member_of=(connect, *readers),
                connection_limit=BACKUP_CONNECTIONS,
                search_path=("pg_catalog",),
                replication=replicates,
            )
        )
    return {definition.role: definition for definition in definitions}
