"""The other databases of the server: which of them logins may connect to, and which of them use the stack's roles."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from psycopg import errors, sql

from provider.difference import BY_UP, Difference
from provider.postgres.session import Connection

_OPEN = """
SELECT d.datname, pg_catalog.pg_get_userbyid(d.datdba), pg_catalog.pg_has_role(d.datdba, 'USAGE'),
       NOT EXISTS (SELECT FROM pg_catalog.pg_roles r WHERE r.rolname = CURRENT_USER AND r.rolsuper)
       AND NOT pg_catalog.pg_has_role(d.datdba, 'USAGE') AND NOT EXISTS (
         SELECT FROM pg_catalog.aclexplode(d.datacl) own WHERE own.privilege_type = 'CONNECT' AND own.grantee <> 0
           AND pg_catalog.pg_has_role(own.grantee, 'USAGE'))
FROM pg_catalog.pg_database d
WHERE d.datallowconn AND d.datname <> pg_catalog.current_database() AND EXISTS (
  SELECT FROM pg_catalog.aclexplode(coalesce(d.datacl, pg_catalog.acldefault('d', d.datdba))) a
  WHERE a.grantee = 0 AND a.privilege_type = 'CONNECT')
ORDER BY 1
"""
# Logins with CREATEROLE, CREATEDB or a predefined role such as pg_monitor that connect through PUBLIC only. A login of this
# stack is none of them, even if somebody gave it such an attribute by hand: it is a member of the stack's connect role.
_KEEPERS = """
SELECT r.rolname FROM pg_catalog.pg_roles r, pg_catalog.pg_database d
WHERE d.datname = %(database)s AND r.rolcanlogin AND NOT r.rolsuper
  AND (r.rolcreaterole OR r.rolcreatedb OR EXISTS (
    SELECT FROM pg_catalog.pg_roles p
    WHERE p.oid < 16384 AND p.rolname LIKE 'pg\\_%%' AND pg_catalog.pg_has_role(r.oid, p.oid, 'MEMBER')))
  AND NOT EXISTS (
    SELECT FROM pg_catalog.aclexplode(coalesce(d.datacl, pg_catalog.acldefault('d', d.datdba))) a
    WHERE a.privilege_type = 'CONNECT' AND a.grantee <> 0 AND pg_catalog.pg_has_role(r.oid, a.grantee, 'USAGE'))
  AND NOT EXISTS (
    SELECT FROM pg_catalog.pg_roles g WHERE pg_catalog.pg_has_role(r.oid, g.oid, 'MEMBER')
      AND g.rolname LIKE '%%' || pg_catalog.replace(pg_catalog.current_database(), '_', '\\_') || '\\_connect')
ORDER BY 1
"""
# Memberships of a role in a role of somebody else, through which it may connect to a database that PUBLIC may not.
_THROUGH_MEMBERSHIP = """
SELECT d.datname, m.rolname, pg_catalog.string_agg(DISTINCT g.rolname, ', '),
       pg_catalog.string_agg(pg_catalog.format('REVOKE %%I FROM %%I GRANTED BY %%I CASCADE', g.rolname, m.rolname,
                                               pg_catalog.pg_get_userbyid(a.grantor)), '; ')
FROM pg_catalog.pg_auth_members a JOIN pg_catalog.pg_roles m ON m.oid = a.member
JOIN pg_catalog.pg_roles g ON g.oid = a.roleid CROSS JOIN pg_catalog.pg_database d
WHERE m.rolname = ANY (%(roles)s) AND g.rolname <> ALL (%(roles)s) AND a.inherit_option AND d.datallowconn
  AND d.datname <> pg_catalog.current_database() AND d.datname <> ALL (%(except)s)
  AND pg_catalog.has_database_privilege(g.oid, d.oid, 'CONNECT')
  AND pg_catalog.has_database_privilege(m.oid, d.oid, 'CONNECT')
GROUP BY 1, 2 ORDER BY 1, 2
"""
# What each role that exists owns or has privileges on in other databases.
_USED = """
SELECT b.datname, r.rolname, pg_catalog.count(*)
FROM pg_catalog.pg_shdepend d JOIN pg_catalog.pg_roles r ON r.oid = d.refobjid
JOIN pg_catalog.pg_database b ON b.oid = d.dbid
WHERE d.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND r.rolname = ANY (%s) AND b.datname <> %s
GROUP BY 1, 2 ORDER BY 1, 2
"""
_ATTEMPTS = 5


@dataclass(frozen=True)
class OpenDatabase:
    """A database that PUBLIC may connect to. ``closable``: the session's role may revoke that. ``through_public``: the
    session's role itself can connect only because of it."""

    name: str
    owner: str
    closable: bool
    through_public: bool

    def commands(self, connection: Connection) -> list[str]:
        """Return the statements that close the database and leave it open for the session's role."""
        name, admin = (sql.Identifier(part) for part in (self.name, connection.info.user))
        keep = [sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(name, admin)] if self.through_public else []
        close = sql.SQL("REVOKE CONNECT ON DATABASE {} FROM PUBLIC").format(name)
        return [statement.as_string(connection) for statement in (*keep, close)]


def open_databases(connection: Connection, accepted: Collection[str] = ()) -> list[OpenDatabase]:
    """Return the databases, other than the session's and those in ``accepted``, that PUBLIC may connect to."""
    found = (OpenDatabase(*row) for row in connection.execute(_OPEN.encode()).fetchall())
    return [database for database in found if database.name not in accepted]


def close(connection: Connection, names: Collection[str]) -> dict[str, list[str]]:
    """Revoke PUBLIC's CONNECT on those of ``names`` on which the session's role may.

    Returns the name of each closed database and the logins that got CONNECT instead, because they run the server: the
    admins of other environments, whose connections begin in ``postgres``, and monitoring.
    """
    return {
        database.name: _close(connection, database)
        for database in open_databases(connection)
        if database.name in names and database.closable
    }


def _close(connection: Connection, database: OpenDatabase) -> list[str]:
    for attempt in range(_ATTEMPTS):
        try:
            with connection.transaction():
                keepers = [str(row[0]) for row in connection.execute(_KEEPERS.encode(), {"database": database.name})]
                for role in keepers:
                    grant = sql.SQL("GRANT CONNECT ON DATABASE {} TO {}")
                    connection.execute(grant.format(sql.Identifier(database.name), sql.Identifier(role)))
                for statement in database.commands(connection):
                    connection.execute(statement.encode())
                return keepers
        except errors.InternalError_:
            # "tuple concurrently updated": another environment closes the same database at this moment.
            if attempt == _ATTEMPTS - 1:
                raise
    return []


def used_elsewhere(connection: Connection, roles: Collection[str], database: str) -> dict[str, dict[str, int]]:
    """Return each database besides ``database`` in which ``roles`` have objects or privileges: role -> how many."""
    used: dict[str, dict[str, int]] = {}
    for name, role, count in connection.execute(_USED.encode(), (list(roles), database)):
        used.setdefault(str(name), {})[str(role)] = int(count)
    return used


def drift(
    connection: Connection, roles: Collection[str], *, accepted: Collection[str] = (), closed: Collection[str] = ()
) -> Iterator[Difference]:
    """Yield each database that any login, or a member of ``roles``, may connect to, and that is not ``accepted``. A run of
    the stack closes those in ``closed`` if it may.

    What PostgreSQL grants to one of ``roles`` itself is compared with the rest of its privileges.
    """
    public = open_databases(connection, accepted)
    for database in public:
        by_up = database.closable and database.name in closed
        owner = "" if database.closable else f" (only {database.owner} or a superuser can revoke that)"
        yield Difference(
            f"every login may connect to database {database.name}, because PUBLIC may, and postgres:openDatabases does not"
            f" accept it{owner}",
            BY_UP if by_up else "; ".join(database.commands(connection)),
        )
    excepted = [*accepted, *(database.name for database in public)]
    rows = connection.execute(_THROUGH_MEMBERSHIP.encode(), {"roles": list(roles), "except": excepted}).fetchall()
    for name, member, groups, statements in rows:
        yield Difference(
            f"role {member} may connect to database {name}, because it is a member of {groups}, and postgres:openDatabases"
            " does not accept it",
            str(statements),
        )
