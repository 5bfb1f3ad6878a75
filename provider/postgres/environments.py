"""Roles belong to the whole server: the roles of a stack must not be those of another environment on it."""

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from components.mapping.names import POSTGRES_NAME_BYTES
from provider.postgres.other_databases import used_elsewhere

if TYPE_CHECKING:
    from provider.postgres.server import PostgresServer
    from provider.postgres.session import Connection

_SHOWN = 3
_LONGEST_PREFIX = 21  # of the prefix in the remedy
_SHORTEST_PREFIX = 2  # a letter and an underscore
_CANDIDATES = 100


def conflicts(server: "PostgresServer", roles: Collection[str], prefix: str, is_new: bool) -> list[str]:
    """Return a sentence with the remedy for each other database that uses ``roles``, which the stack is to create.

    ``prefix`` is the beginning of each of them. ``is_new``: the stack has no roles yet, so it may get another prefix.
    Raises ``psycopg.Error`` if the server cannot be read.
    """
    with server.open(server.maintenance_database) as connection:
        used = used_elsewhere(connection, roles, server.database)
        if not used:
            return []
        remedy = "give the module or schema another name in the mapping"
        if is_new:
            remedy = _prefix_remedy(connection, server.database, [role.removeprefix(prefix) for role in roles])
    return [
        f"database {database} on this server uses the roles {_listed(list(names))} already, as another environment does. Roles"
        f" belong to the whole server, so {remedy}"
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


def _prefix_remedy(connection: "Connection", database: str, names: Collection[str]) -> str:
    """Return the command that sets a prefix with which no role of ``names`` exists and none is too long."""
    longest = max(names, key=len)
    for prefix in _prefixes(database, POSTGRES_NAME_BYTES - len(longest)):
        roles = [prefix + name for name in names]
        query = "SELECT FROM pg_catalog.pg_roles WHERE rolname = ANY (%s) LIMIT 1"
        if connection.execute(query, (roles,)).fetchone() is None:
            return f"give this stack's roles a prefix; run: pulumi config set postgres:rolePrefix {prefix}"
    return (
        f"this stack's roles need a prefix (postgres:rolePrefix), and a role name has at most {POSTGRES_NAME_BYTES}"
        f" characters; first shorten the name from which the role {longest} of {len(longest)} characters follows"
    )


def _prefixes(database: str, room: int) -> Iterator[str]:
    """Yield prefixes of at most ``room`` characters that begin as the database does, without and with a number."""
    room = min(room, _LONGEST_PREFIX)
    for number in range(1, _CANDIDATES):
        ending = f"{number}_" if number > 1 else "_"
        prefix = database[: max(room - len(ending), 0)] + ending
        if _SHORTEST_PREFIX <= len(prefix) <= room and prefix[0].isalpha() and not prefix.startswith("pg_"):
            yield prefix


def _listed(names: list[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
