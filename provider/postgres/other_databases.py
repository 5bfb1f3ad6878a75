"""The other databases of the server: which of them any login may connect to, because PUBLIC has CONNECT by default."""

from collections.abc import Collection
from dataclasses import dataclass

from psycopg import sql

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


def close(connection: Connection, names: Collection[str]) -> list[str]:
    """Revoke PUBLIC's CONNECT on those of ``names`` on which the session's role may. Return their names."""
    closed = []
    for database in open_databases(connection):
        if database.name in names and database.closable:
            for statement in database.commands(connection):
                connection.execute(statement.encode())
            closed.append(database.name)
    return closed


def drift(connection: Connection, accepted: Collection[str]) -> list[str]:
    """Return a sentence with the remedy for each database that any login may connect to."""
    return [
        f"every login may connect to database {database.name}, because PUBLIC may; as {database.owner} or a superuser, run:"
        f" {'; '.join(database.commands(connection))}; or accept it: add {database.name} to postgres:openDatabases"
        for database in open_databases(connection, accepted)
    ]
