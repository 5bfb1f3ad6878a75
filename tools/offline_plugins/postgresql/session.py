"""Shared by the resource types: look-ups in the catalog, locks, and acting temporarily as another role."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import psycopg
from psycopg import sql

from tools.offline_plugins.postgresql.declarations import PUBLIC
from tools.offline_plugins.postgresql.settings import ConnectionSettings

FINE_GRAINED_MEMBERSHIP = 160000  # server version: INHERIT and SET as options of a membership
DATABASE_OWNER = "pg_database_owner"


class Session:
    """One connection during one operation on a resource."""

    def __init__(self, connection: psycopg.Connection[Any], settings: ConnectionSettings) -> None:
        self.connection = connection
        self.settings = settings

    def execute(self, statement: str | sql.SQL | sql.Composed, *identifiers: str) -> None:
        """Execute a statement; each ``{}`` in its text is replaced by an identifier, quoted."""
        self.connection.execute(_composed(statement, identifiers))

    def rows(self, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
        return self.connection.execute(query.encode(), parameters).fetchall()

    def row(self, query: str, *parameters: Any) -> tuple[Any, ...] | None:
        return self.connection.execute(query.encode(), parameters).fetchone()

    def value(self, query: str, *parameters: Any) -> Any:
        """Return the first column of the first row, or None without rows."""
        row = self.row(query, *parameters)
        return row[0] if row else None

    @property
    def version(self) -> int:
        """The server version, such as 160004 for 16.4."""
        return self.connection.info.server_version

    @cached_property
    def user(self) -> str:
        return str(self.value("SELECT current_user"))

    @cached_property
    def is_superuser(self) -> bool:
        return bool(self.value("SELECT rolsuper FROM pg_roles WHERE rolname = current_user"))

    def role_exists(self, name: str) -> bool:
        return self.value("SELECT true FROM pg_roles WHERE rolname = %s", name) is not None

    def role_oid(self, name: str) -> int | None:
        """Return the OID of a role, 0 for PUBLIC as in an ACL, or None."""
        if name == PUBLIC:
            return 0
        oid: int | None = self.value("SELECT oid FROM pg_roles WHERE rolname = %s", name)
        return oid

    def schema_oid(self, name: str) -> int | None:
        oid: int | None = self.value("SELECT oid FROM pg_namespace WHERE nspname = %s", name)
        return oid

    def database_owner(self, name: str | None = None) -> str | None:
        """Return the owner of the named database, by default of the connected one."""
        query = "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = coalesce(%s, current_database())"
        owner: str | None = self.value(query, name)
        return owner

    def lock_roles(self, *names: str) -> None:
        """Block other changes of these roles until the transaction ends. The official plugin takes the same locks."""
        self._lock("SELECT oid FROM pg_roles WHERE rolname = ANY(%s) ORDER BY oid", list(names))

    def lock_schema(self, name: str) -> None:
        """Serialize changes of privileges in a schema: the server fails on concurrent ones."""
        self._lock("SELECT oid FROM pg_namespace WHERE nspname = %s", name)

    def lock_database(self, name: str) -> None:
        self._lock("SELECT oid FROM pg_database WHERE datname = %s", name)

    def _lock(self, query: str, parameter: Any) -> None:
        self.rows(f"SELECT pg_advisory_xact_lock(oid::bigint) FROM ({query}) AS locked", parameter)

    @contextmanager
    def acting_as(self, roles: Iterable[str]) -> Iterator[None]:
        """Give the user the privileges of ``roles`` temporarily; unless it is a superuser, it becomes a member.

        Afterwards its memberships are restored; after an error the transaction's rollback restores them.
        """
        names = [self.database_owner() if role == DATABASE_OWNER else role for role in roles]
        wanted = sorted({name for name in names if name and name != self.user})
        if self.is_superuser or not wanted:
            yield
            return
        self.lock_roles(*wanted)
        undo: list[tuple[str, sql.Composed]] = []
        for role in wanted:
            undo.extend(self._become_member(role))
        yield
        for role, statement in reversed(undo):
            if self.role_exists(role):
                self.execute(statement)

    def _become_member(self, role: str) -> Iterator[tuple[str, sql.Composed]]:
        """Get the privileges of ``role``, unless it is a superuser; yield the statements that undo it."""
        if self.value("SELECT rolsuper FROM pg_roles WHERE rolname = %s", role) is not False or self._may_act_as(role):
            return
        me, other = sql.Identifier(self.user), sql.Identifier(role)
        if self.value("SELECT pg_has_role(%s, %s, 'MEMBER')", role, self.user):
            # Two roles cannot be members of each other.
            self.execute(sql.SQL("REVOKE {} FROM {}").format(me, other))
            yield role, sql.SQL("GRANT {} TO {}").format(me, other)
        if self.version < FINE_GRAINED_MEMBERSHIP:
            self.execute(sql.SQL("GRANT {} TO {}").format(other, me))
            yield role, sql.SQL("REVOKE {} FROM {}").format(other, me)
            return
        own_grant = """SELECT inherit_option, set_option FROM pg_auth_members WHERE roleid = %s::regrole
            AND member = current_user::regrole AND grantor = current_user::regrole"""
        before = self.row(own_grant, _quoted(self.connection, role))
        self.execute(sql.SQL("GRANT {} TO {} WITH INHERIT TRUE, SET TRUE").format(other, me))
        if before is None:
            yield role, sql.SQL("REVOKE {} FROM {}").format(other, me)
        else:
            options = [sql.SQL("TRUE" if option else "FALSE") for option in before]
            yield role, sql.SQL("GRANT {} TO {} WITH INHERIT {}, SET {}").format(other, me, *options)

    def _may_act_as(self, role: str) -> bool:
        """Whether the user has the role's privileges and, since PostgreSQL 16, may SET ROLE to it."""
        kinds = ["USAGE"] if self.version < FINE_GRAINED_MEMBERSHIP else ["USAGE", "SET"]
        return all(self.value("SELECT pg_has_role(current_user, %s, %s)", role, kind) for kind in kinds)


def _quoted(connection: psycopg.Connection[Any], role: str) -> str:
    return sql.Identifier(role).as_string(connection)


def _composed(statement: str | sql.SQL | sql.Composed, identifiers: Sequence[str]) -> sql.SQL | sql.Composed:
    if not isinstance(statement, str):
        return statement
    return sql.SQL(statement).format(*map(sql.Identifier, identifiers))
