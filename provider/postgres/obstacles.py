"""What prevents roles from being dropped: objects and privileges that only another database's owner can remove.

Dropping a role reassigns and revokes what it has in the stack's own database, and in shared objects that the admin may
change. Nothing reaches into other databases.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

import psycopg
from psycopg import sql

from provider.postgres.session import Connection

if TYPE_CHECKING:
    from provider.postgres.server import PostgresServer

_SHOWN = 3  # objects of one role in one database

# Role and other database; the object only where this session sees its name.
_DEPENDENCIES = """
SELECT r.rolname, b.datname, d.classid, d.objid, d.objsubid
FROM pg_catalog.pg_shdepend d JOIN pg_catalog.pg_roles r ON r.oid = d.refobjid
JOIN pg_catalog.pg_database b ON b.oid = d.dbid
WHERE d.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND r.rolname = ANY (%s)
  AND b.datname <> pg_catalog.current_database() ORDER BY 1, 2, 3, 4, 5
"""
_SHARED = """
SELECT r.rolname, b.datname
FROM pg_catalog.pg_shdepend d JOIN pg_catalog.pg_roles r ON r.oid = d.refobjid
JOIN pg_catalog.pg_database b ON b.oid = d.objid
WHERE d.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND r.rolname = ANY (%s) AND d.dbid = 0
  AND d.classid = 'pg_catalog.pg_database'::pg_catalog.regclass AND d.deptype = 'a'
  AND NOT pg_catalog.pg_has_role(b.datdba, 'USAGE') ORDER BY 1, 2
"""


def obstacles(server: "PostgresServer", connection: Connection, roles: Collection[str]) -> list[str]:
    """Return a sentence with the remedy for each database that prevents one of ``roles`` from being dropped."""
    found: dict[tuple[str, str], list[tuple[int, int, int]]] = defaultdict(list)
    for role, database, *place in connection.execute(_DEPENDENCIES.encode(), (list(roles),)):
        found[str(role), str(database)].append((int(place[0]), int(place[1]), int(place[2])))
    sentences = []
    for (role, database), places in found.items():
        name = sql.Identifier(role).as_string(connection)
        sentences.append(
            f"role {role} cannot be dropped: it owns, or has privileges on, {_described(server, database, places)} in database"
            f" {database}; as a superuser in database {database}, run: REASSIGN OWNED BY {name} TO CURRENT_USER;"
            f" DROP OWNED BY {name}"
        )
    for role, database in connection.execute(_SHARED.encode(), (list(roles),)):
        grantee, name = (sql.Identifier(str(part)).as_string(connection) for part in (role, database))
        sentences.append(
            f"role {role} cannot be dropped: it has privileges on database {database}; as its owner or a superuser, run:"
            f" REVOKE ALL ON DATABASE {name} FROM {grantee}"
        )
    return sentences


def _described(server: "PostgresServer", database: str, places: list[tuple[int, int, int]]) -> str:
    """Name the first objects, or only count them if the admin cannot connect to their database."""
    try:
        with server.open(database) as connection:
            names = list(_names(connection, places[:_SHOWN]))
    except psycopg.Error:
        return f"{len(places)} object(s)"
    more = len(places) - len(names)
    return ", ".join(names) + (f" and {more} more" if more else "")


def _names(connection: Connection, places: list[tuple[int, int, int]]) -> Iterator[str]:
    for place in places:
        row = connection.execute("SELECT pg_catalog.pg_describe_object(%s, %s, %s)", place).fetchone()
        yield str(row[0]) if row and row[0] else "an object"
