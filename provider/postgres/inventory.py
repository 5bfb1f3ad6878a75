"""``Inventory``: the logins and schemas that the stack manages; a preview shows which ones leave and what is kept.

A preview also refuses new logins and extensions that the server cannot have.

An update of this resource disables each login that left the mapping and ends its sessions, unless something prevents a
role from being dropped, which the preview names. The engine drops roles after all updates, so a role that is dropped has
no sessions. If the run fails in between and the login is in the mapping again, the next update enables it. Schemas are
only listed here: the schema resource itself keeps or drops its tables.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from components.postgres.fates import KEPT
from provider.base import log
from provider.base.plugin import FoundResource
from provider.base.schema import Failure, Properties, Property, strings
from provider.errors import ProviderError
from provider.postgres.kind import PostgresKind
from provider.postgres.server import MissingDatabaseError

if TYPE_CHECKING:
    from provider.postgres.session import Connection

SESSIONS_END_SECONDS = 30
_POLL_SECONDS = 0.1

PROPERTIES: Properties = {
    "logins": strings("map", required=True, description="Login to the display name of its module"),
    "schemas": strings("map", required=True, description="Schema to what happens when it leaves the mapping"),
    "dropSchemas": strings(
        "list", description="Schemas that may be dropped with their tables, as in the stack's config"
    ),
    "adoptsDatabase": Property(
        "boolean",
        ignore_changes=True,
        description="Whether the stack adopts an existing database, as in the stack's config",
    ),
    "extensions": strings("list", description="Extensions that the stack installs"),
    "mappingFile": Property(ignore_changes=True, description="The mapping, for the places that messages name"),
    "rolePrefix": Property(description="Beginning of the name of every role, as in the stack's config"),
}


class Inventory(PostgresKind):
    """Retires logins. The id is ``<database>.inventory``, also for an import."""

    token = "stellaops:postgres:Inventory"  # noqa: S105 - a type
    description = "The logins and schemas that the stack manages. Import id: DATABASE.inventory"
    properties = PROPERTIES

    def validate(self, inputs: Mapping[str, Any], old: Mapping[str, Any]) -> Iterator[Failure]:
        """Refuse to drop a schema that leaves the mapping in the same run in which ``dropSchemas`` first names it."""
        if "schemas" not in inputs:
            return
        droppable, schemas = inputs.get("dropSchemas") or [], inputs["schemas"]
        for schema, fate in (old.get("schemas") or {}).items():
            if schema not in schemas and fate == KEPT and ("*" in droppable or schema in droppable):
                yield Failure(
                    "",
                    f"schema {schema} leaves the mapping in the same run in which dropSchemas first names it; to drop "
                    f"it, put it back into the mapping, run up, then remove it from the mapping; to keep it, remove it "
                    f"from dropSchemas",
                )
        yield from self._conflicts(old, inputs)
        yield from self._unavailable_extensions(old, inputs)
        leaving = _roles_only_in(old, inputs)
        if leaving:
            # Without a server the update reports them, before it changes anything.
            with suppress(ProviderError), self._server.connected() as connection:
                from provider.postgres.obstacles import obstacles

                for sentence in obstacles(self._server, connection, leaving):
                    yield Failure("", sentence)

    def _conflicts(self, old: Mapping[str, Any], inputs: Mapping[str, Any]) -> Iterator[Failure]:
        """Refuse new roles that belong to another environment on the server, if the server is reachable."""
        added, prefix = _roles_only_in(inputs, old), inputs.get("rolePrefix") or ""
        if not added:
            return
        import psycopg

        from provider.postgres.environments import conflicts, is_foreign_database

        with suppress(ProviderError, psycopg.Error):
            server = self._server
            roles = added if old else [*added, *database_roles(server.database, prefix)]
            for sentence in conflicts(server, roles, prefix, is_new=not old):
                yield Failure("", sentence)
            if not old and not inputs.get("adoptsDatabase") and is_foreign_database(server, roles):
                log.warning(
                    f"database {server.database} exists already, and none of this stack's roles does; up cannot create it. To"
                    " adopt it, run: pulumi config set stellaops-storage:adoptDatabase true"
                )

    def _unavailable_extensions(self, old: Mapping[str, Any], inputs: Mapping[str, Any]) -> Iterator[Failure]:
        """Refuse new extensions that the server does not have, if it is reachable."""
        extensions = inputs.get("extensions") or []
        added = [name for name in extensions if name not in (old.get("extensions") or ())]
        if not added:
            return
        import psycopg

        from provider.postgres.extensions import unavailable
        from provider.postgres.mapping_places import MappingPlaces

        places = MappingPlaces(inputs.get("mappingFile") or "")
        with suppress(ProviderError, psycopg.Error):
            for name, remedy in unavailable(self._server, added).items():
                place = places.describe("postgres", "extensions", extensions.index(name))
                yield Failure("", f'{place}: the PostgreSQL server has no extension "{name}"; {remedy}')

    def create(self, inputs: dict[str, Any]) -> FoundResource:
        self._enable(sorted(inputs["logins"]))
        return FoundResource(f"{self._server.database}.inventory", inputs)

    def read(self, id_: str, state: dict[str, Any]) -> FoundResource | None:
        """Return the state or, for an import, the logins and schemas of the database."""
        if state:
            return FoundResource(id_, {name: state.get(name) for name in PROPERTIES})
        server = self._server
        if id_ != f"{server.database}.inventory":
            raise ProviderError(f"{id_!r} is not the id of an inventory; it is {server.database}.inventory")
        try:
            with server.connected() as connection:
                return FoundResource(id_, _imported(connection, server.database))
        except MissingDatabaseError:
            return None

    def update(self, id_: str, state: dict[str, Any], inputs: dict[str, Any]) -> FoundResource:
        self._retire(sorted(set(state["logins"]) - set(inputs["logins"])), _roles_only_in(state, inputs))
        self._enable(sorted(inputs["logins"]))
        return FoundResource(id_, inputs)

    def delete(self, id_: str, state: dict[str, Any]) -> None:
        self._retire(
            sorted(state["logins"]),
            [*_roles_only_in(state, {}), *database_roles(self._server.database, state.get("rolePrefix") or "")],
        )

    def _retire(self, logins: list[str], roles: list[str]) -> None:
        """Retire ``logins``, if nothing prevents ``roles``, which include them, from being dropped.

        If the database was dropped by hand, nobody can log in to it.
        """
        if not roles:
            return
        with suppress(MissingDatabaseError), self._server.connected() as connection:
            from provider.postgres.obstacles import inherit_privileges

            self._require_droppable(connection, roles)
            inherit_privileges(connection, roles)
            with retired(connection, logins):
                # Again, because what may have been temporary while there were sessions is not.
                self._require_droppable(connection, roles)

    def _require_droppable(self, connection: "Connection", roles: list[str]) -> None:
        from provider.postgres.obstacles import obstacles

        if sentences := obstacles(self._server, connection, roles):
            raise ProviderError("; ".join(sentences))

    def _enable(self, logins: list[str]) -> None:
        with self._server.connected() as connection:
            enable(connection, logins)


def database_roles(database: str, prefix: str) -> tuple[str, str]:
    """Names of the connect role and of the backup login."""
    from components.mapping.roles import BackupRole, ConnectRole

    return ConnectRole(database, prefix).name, BackupRole(database, prefix).name


def _roles_only_in(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """Return the logins, and the group roles of schemas, that are in ``one`` and not in ``other``."""
    from components.mapping.roles import groups_of

    logins, schemas = (sorted(set(one.get(key) or ()) - set(other.get(key) or ())) for key in ("logins", "schemas"))
    prefix = one.get("rolePrefix") or ""
    return [*logins, *(role.name for schema in schemas for role in groups_of(schema, prefix))]


def _imported(connection: "Connection", database: str) -> dict[str, Any]:
    """Return the logins that may connect to the database, and the schemas that belong to an owner role of this stack.

    The database has no display names, so each login's name is used; every schema is listed as kept.
    """
    from components.mapping.roles import owner

    prefix = _prefix_in(connection, database)
    connect, backup = database_roles(database, prefix)
    logins = connection.execute(
        """SELECT login.rolname FROM pg_catalog.pg_auth_members member
           JOIN pg_catalog.pg_roles login ON login.oid = member.member
           JOIN pg_catalog.pg_roles granted ON granted.oid = member.roleid
           WHERE granted.rolname = %s AND login.rolcanlogin AND login.rolname NOT IN (%s, CURRENT_USER) ORDER BY 1""",
        (connect, backup),
    ).fetchall()
    schemas = connection.execute(
        "SELECT nspname, pg_catalog.pg_get_userbyid(nspowner) FROM pg_catalog.pg_namespace ORDER BY 1"
    ).fetchall()
    return {
        "logins": {str(name): str(name) for (name,) in logins},
        "schemas": {str(name): KEPT for name, role in schemas if role == owner(str(name), prefix)},
        "dropSchemas": [],
        **({"rolePrefix": prefix} if prefix else {}),
    }


def _prefix_in(connection: "Connection", database: str) -> str:
    """Return the prefix of the database's roles: that of the connect role, which has CONNECT on the database."""
    suffix, _ = database_roles(database, "")
    row = connection.execute(
        """SELECT r.rolname FROM pg_catalog.pg_database d, pg_catalog.aclexplode(d.datacl) a
           JOIN pg_catalog.pg_roles r ON r.oid = a.grantee
           WHERE d.datname = %s AND a.privilege_type = 'CONNECT'
             AND pg_catalog.right(r.rolname, pg_catalog.length(%s)) = %s ORDER BY pg_catalog.length(r.rolname) LIMIT 1""",
        (database, suffix, suffix),
    ).fetchone()
    return str(row[0]).removesuffix(suffix) if row else ""


@contextmanager
def retired(connection: "Connection", logins: list[str]) -> Iterator[None]:
    """Retire all logins. After a failure enable them: the state still lists them all, so no later update would."""
    try:
        for login in logins:
            retire(connection, login)
        yield
    except Exception:
        enable(connection, logins)
        raise


def retire(connection: "Connection", login: str) -> None:
    """Disable ``login`` and end its sessions. Do nothing if it does not exist.

    Raises ``ProviderError`` if a session does not end within ``SESSIONS_END_SECONDS``.
    """
    if connection.execute("SELECT FROM pg_catalog.pg_roles WHERE rolname = %s", (login,)).fetchone() is None:
        return
    from psycopg import sql

    connection.execute(sql.SQL("ALTER ROLE {} NOLOGIN").format(sql.Identifier(login)))
    deadline = time.monotonic() + SESSIONS_END_SECONDS
    is_logged = False
    while sessions := _sessions(connection, login):
        if not is_logged:
            is_logged = True
            log.info(f"{login}: disabled; ending {len(sessions)} session(s)")
        if time.monotonic() > deadline:
            raise ProviderError(
                f"{len(sessions)} session(s) of {login} did not end within {SESSIONS_END_SECONDS} s; see "
                f"pg_stat_activity for server process(es) {', '.join(map(str, sessions))}, then run up again"
            )
        for pid in sessions:
            connection.execute("SELECT pg_catalog.pg_terminate_backend(%s)", (pid,))
        time.sleep(_POLL_SECONDS)


def enable(connection: "Connection", logins: list[str]) -> None:
    """Enable those of ``logins`` that an earlier run disabled before it failed."""
    from psycopg import sql

    query = "SELECT rolname FROM pg_catalog.pg_roles WHERE rolname = ANY (%s) AND NOT rolcanlogin ORDER BY 1"
    for (login,) in connection.execute(query, (logins,)).fetchall():
        connection.execute(sql.SQL("ALTER ROLE {} LOGIN").format(sql.Identifier(login)))
        log.info(f"{login}: enabled again; a failed run had disabled it")


def _sessions(connection: "Connection", login: str) -> list[int]:
    rows = connection.execute("SELECT pid FROM pg_catalog.pg_stat_activity WHERE usename = %s", (login,)).fetchall()
    return [int(row[0]) for row in rows]
