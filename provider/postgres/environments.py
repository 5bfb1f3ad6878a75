"""Roles belong to the whole server: the roles of a second stack on it must not be those of the first."""

from collections.abc import Collection
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from provider.postgres.server import PostgresServer

_SHOWN = 3
_PREFIX_LENGTH = 20  # of the prefix in the remedy; a role name has at most 63 characters

# Each role that exists, and the other database in which it owns objects or has privileges.
_USED_ELSEWHERE = """
SELECT DISTINCT b.datname, r.rolname FROM pg_catalog.pg_shdepend d
JOIN pg_catalog.pg_roles r ON r.oid = d.refobjid
JOIN pg_catalog.pg_database b ON b.oid = d.dbid
WHERE d.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND r.rolname = ANY (%s) AND b.datname <> %s
ORDER BY 1, 2
"""


def conflicts(server: "PostgresServer", roles: Collection[str]) -> list[str]:
    """Return a sentence with the remedy for each other database that uses roles of a new stack.

    Raises ``psycopg.Error`` if the server cannot be read.
    """
    with server.open(server.maintenance_database) as connection:
        rows = connection.execute(_USED_ELSEWHERE.encode(), (list(roles), server.database)).fetchall()
    used: dict[str, list[str]] = {}
    for database, role in rows:
        used.setdefault(str(database), []).append(str(role))
    prefix = f"{server.database[:_PREFIX_LENGTH]}_"
    return [
        f"database {database} on this server uses the roles {_listed(names)} already, as another environment does. Roles"
        " belong to the whole server, so give this stack's roles a prefix; run: pulumi config set postgres:rolePrefix"
        f" {prefix}"
        for database, names in used.items()
    ]


def is_foreign_database(server: "PostgresServer", roles: Collection[str]) -> bool:
    """Whether the stack's database exists, but none of its roles: an interrupted run would have left roles.

    Raises ``psycopg.Error`` if the server cannot be read.
    """
    with server.open(server.maintenance_database) as connection:
        query = """SELECT EXISTS (SELECT FROM pg_catalog.pg_database WHERE datname = %s)
                   AND NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = ANY (%s))"""
        row = connection.execute(query, (server.database, list(roles))).fetchone()
    return bool(row and row[0])


def _listed(names: list[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
