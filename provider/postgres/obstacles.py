"""What prevents DROP ROLE, in every database of the server. Reads only the catalog.

The postgresql plugin runs REASSIGN OWNED and DROP OWNED as the admin in the stack's database before it drops a role. They
change nothing in other databases. In the stack's database, and of the privileges on objects of the whole server, they
leave those that another role than the object's owner granted, and those on objects of an owner whose privileges the admin
does not have.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg
from psycopg import sql

from provider.postgres.other_databases import used_elsewhere
from provider.postgres.session import Connection

if TYPE_CHECKING:
    from provider.postgres.server import PostgresServer

_SHOWN = 5  # objects of one role in one database

# One row for each object that a role owns, and for each grantor of its privileges on an object: whether the admin's REASSIGN
# OWNED and DROP OWNED leave it, and the statement that removes it then. What another role granted ends with the grant option
# that the object's owner gave and from which it follows, directly or through other roles. Functions and the like, but not
# tables and types, can only pass to a role with CREATE on their schema.
_HELD = """
WITH acls (classid, objid, objsubid, owner, acl) AS (
  SELECT 'pg_class'::regclass, oid, 0, relowner, relacl FROM pg_class
  UNION ALL
  SELECT 'pg_class'::regclass, c.oid, attnum, relowner, attacl FROM pg_attribute JOIN pg_class c ON c.oid = attrelid
  UNION ALL SELECT 'pg_proc'::regclass, oid, 0, proowner, proacl FROM pg_proc
  UNION ALL SELECT 'pg_namespace'::regclass, oid, 0, nspowner, nspacl FROM pg_namespace
  UNION ALL SELECT 'pg_type'::regclass, oid, 0, typowner, typacl FROM pg_type
  UNION ALL SELECT 'pg_language'::regclass, oid, 0, lanowner, lanacl FROM pg_language
  UNION ALL SELECT 'pg_foreign_data_wrapper'::regclass, oid, 0, fdwowner, fdwacl FROM pg_foreign_data_wrapper
  UNION ALL SELECT 'pg_foreign_server'::regclass, oid, 0, srvowner, srvacl FROM pg_foreign_server
  UNION ALL SELECT 'pg_largeobject'::regclass, oid, 0, lomowner, lomacl FROM pg_largeobject_metadata
  UNION ALL SELECT 'pg_database'::regclass, oid, 0, datdba, datacl FROM pg_database
  UNION ALL SELECT 'pg_tablespace'::regclass, oid, 0, spcowner, spcacl FROM pg_tablespace
  UNION ALL SELECT 'pg_parameter_acl'::regclass, oid, 0, 10, paracl FROM pg_parameter_acl
), held AS (
  SELECT r.rolname AS role, d.deptype = 'o' AS owns, i.schema, p.*,
         pg_describe_object(d.classid, d.objid, d.objsubid) AS description, coalesce(p.owner, n.nspowner) AS needed,
         upper(CASE i.type
           WHEN 'view' THEN 'table' WHEN 'materialized view' THEN 'table' WHEN 'foreign table' THEN 'table'
           WHEN 'aggregate' THEN 'routine' WHEN 'server' THEN 'foreign server' WHEN 'parameter ACL' THEN 'parameter'
           WHEN 'foreign-data wrapper' THEN 'foreign data wrapper' ELSE i.type
         END) || ' ' || coalesce(i.schema || '.' || i.name, i.identity) AS object
  FROM pg_shdepend d JOIN pg_roles r ON r.oid = d.refobjid
  CROSS JOIN LATERAL pg_identify_object(d.classid, d.objid, 0) i
  LEFT JOIN LATERAL (
    SELECT a.owner, e.grantor, e.privileges, (
      WITH RECURSIVE grantors (role) AS (
        SELECT e.grantor
        UNION SELECT g.grantor FROM grantors JOIN aclexplode(a.acl) g ON g.grantee = role AND g.is_grantable)
      SELECT string_agg(DISTINCT role::regrole::text, ', ')
      FROM grantors JOIN aclexplode(a.acl) g ON g.grantee = role AND g.is_grantable AND g.grantor = a.owner
    ) AS first_grantors
    FROM acls a CROSS JOIN LATERAL (
      SELECT grantor, string_agg(privilege_type, ', ' ORDER BY privilege_type) AS privileges
      FROM aclexplode(a.acl) WHERE grantee = d.refobjid GROUP BY grantor) e
    WHERE a.classid = d.classid AND a.objid = d.objid AND a.objsubid = d.objsubid
  ) p ON d.deptype = 'a'
  LEFT JOIN pg_namespace n ON d.deptype = 'o' AND quote_ident(n.nspname) = i.schema
    AND d.classid NOT IN ('pg_class'::regclass, 'pg_type'::regclass)
    AND NOT has_schema_privilege(n.oid, 'CREATE') AND NOT has_schema_privilege(r.oid, n.oid, 'CREATE')
  WHERE d.refclassid = 'pg_authid'::regclass AND r.rolname = ANY (%(roles)s)
    AND (d.dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) OR d.dbid = 0 AND %(shared)s)
    -- A temporary table ends with its session, which an update ends.
    AND NOT (coalesce(i.schema, '') LIKE 'pg\\_temp\\_%%'
             AND EXISTS (SELECT FROM pg_stat_activity s WHERE s.usesysid = r.oid AND s.datid = d.dbid))
)
SELECT role, owns, description, pg_get_userbyid(needed), CASE WHEN grantor <> owner THEN first_grantors END,
       coalesce(grantor <> owner OR NOT (pg_has_role(needed, 'USAGE') OR pg_has_role(needed, 'USAGE WITH ADMIN OPTION')),
                false),
       CASE WHEN owns THEN format('GRANT CREATE ON SCHEMA %%s TO %%I', schema, current_user)
            WHEN grantor <> owner
              THEN format('REVOKE GRANT OPTION FOR %%s ON %%s FROM %%s CASCADE', privileges, object, first_grantors)
            ELSE format('REVOKE %%s ON %%s FROM %%I CASCADE', privileges, object, role) END
FROM held ORDER BY role, owns DESC, description
"""
# The admin needs the privileges of a role to end its sessions, and to reassign and revoke what it owns and granted.
_INHERITABLE = """
SELECT rolname FROM pg_roles
WHERE rolname = ANY (%s) AND NOT pg_has_role(oid, 'USAGE') AND pg_has_role(oid, 'USAGE WITH ADMIN OPTION') ORDER BY 1
"""


@dataclass(frozen=True)
class _Holding:
    """An object that ``role`` owns, or its privileges on an object that it got from one grantor."""

    role: str
    owns: bool
    description: str
    needed: str | None  # the role whose privileges the admin needs to remove it
    grantors: str | None  # the roles with a grant option from which the privileges follow, if not from the owner
    is_left: bool  # if the admin runs REASSIGN OWNED and DROP OWNED
    statement: str  # with which a superuser removes what they leave

    def __str__(self) -> str:
        if self.owns:
            return f"owns {self.description}"
        through = f" (through the GRANT OPTION of {self.grantors}, which the command revokes)" if self.grantors else ""
        return f"has privileges on {self.description}{through}"


def obstacles(server: "PostgresServer", connection: Connection, roles: Collection[str]) -> list[str]:
    """Return a sentence with the remedy for each database that prevents one of ``roles`` from being dropped.

    ``connection`` is the admin's, to the stack's database. Temporary objects of a role with sessions do not count.
    """
    database = connection.info.dbname
    sentences = [
        _sentence(role, database, held, [item.statement for item in held])
        for role, held in _by_role(item for item in _held(connection, roles, shared=True) if item.is_left).items()
    ]
    for other, counts in used_elsewhere(connection, roles, database).items():
        try:
            with server.open(other) as elsewhere:
                found = _by_role(_held(elsewhere, roles))
        except psycopg.OperationalError:
            # The admin may not connect there. It sees only that there are objects, which may be temporary.
            unnamed = f"object(s) or privilege(s), which a preview names once {connection.info.user} has CONNECT on it"
            sentences += [
                _sentence(role, other, [f"has {count} {unnamed}"], _drop_owned(role))
                for role, count in counts.items()
                if not _has_session(connection, role, other)
            ]
            continue
        sentences += [
            _sentence(role, other, held, [*_drop_owned(role), *(item.statement for item in held if item.grantors)])
            for role, held in found.items()
        ]
    return sentences


def inherit_privileges(connection: Connection, roles: Collection[str]) -> None:
    """Let the admin inherit the privileges of ``roles``, and of the owners of objects on which they have privileges.

    It stays a member of those owners, as it is of every role that it creates with ``createrole_self_grant``.
    """
    needed = {item.needed for item in _held(connection, roles, shared=True) if item.needed}
    for (role,) in connection.execute(_INHERITABLE.encode(), ([*roles, *needed],)).fetchall():
        grant = sql.SQL("GRANT {} TO CURRENT_USER WITH INHERIT TRUE")
        connection.execute(grant.format(sql.Identifier(str(role))))


def _held(connection: Connection, roles: Collection[str], *, shared: bool = False) -> list[_Holding]:
    """Read what ``roles`` have in the connection's database and, with ``shared``, on objects of the whole server."""
    # So that objects are printed with their schemas, and no function of a schema hides one of the server's.
    connection.execute("SET search_path = ''")
    rows = connection.execute(_HELD.encode(), {"roles": list(roles), "shared": shared}).fetchall()
    return [_Holding(*row) for row in rows]


def _by_role(held: Iterable[_Holding]) -> dict[str, list[_Holding]]:
    found: dict[str, list[_Holding]] = defaultdict(list)
    for item in held:
        found[item.role].append(item)
    return found


def _drop_owned(role: str) -> list[str]:
    name = sql.Identifier(role).as_string()
    return [f"REASSIGN OWNED BY {name} TO CURRENT_USER", f"DROP OWNED BY {name}"]


def _sentence(role: str, database: str, held: Iterable[object], statements: Iterable[str]) -> str:
    texts = list(dict.fromkeys(map(str, held)))
    more = len(texts) - _SHOWN
    shown = ", ".join(texts[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
    return (
        f"role {role} cannot be dropped: in database {database} it {shown}; as a superuser in database {database}, run:"
        f" {'; '.join(dict.fromkeys(statements))}"
    )


def _has_session(connection: Connection, role: str, database: str) -> bool:
    query = "SELECT FROM pg_catalog.pg_stat_activity WHERE usename = %s AND datname = %s LIMIT 1"
    return connection.execute(query, (role, database)).fetchone() is not None
