"""``ClosedDatabases``: maintenance databases that PUBLIC, and so every module's login, may no longer connect to.

PostgreSQL has no privilege that denies one role the connection, so PUBLIC loses it. A database on which the admin may not
revoke it stays open; ``drift`` reports it.
"""

from typing import TYPE_CHECKING, Any

from provider.base import log
from provider.base.plugin import FoundResource
from provider.base.schema import Properties, strings
from provider.errors import ProviderError
from provider.postgres.kind import PostgresKind
from provider.postgres.server import MissingDatabaseError

if TYPE_CHECKING:
    from provider.postgres.session import Connection

PROPERTIES: Properties = {
    "databases": strings("set", required=True, description="Databases on which PUBLIC must not have CONNECT"),
    "reopened": strings(
        "list", output=True, description="Databases that a refresh found open again; the next up closes them"
    ),
}


class ClosedDatabases(PostgresKind):
    """Revokes PUBLIC's CONNECT. The id is ``<database>.closed-databases``, also for an import."""

    token = "stellaops:postgres:ClosedDatabases"  # noqa: S105 - a type
    description = "Databases that PUBLIC must not connect to. Import id: DATABASE.closed-databases"
    properties = PROPERTIES
    drift_output = "reopened"

    def create(self, inputs: dict[str, Any]) -> FoundResource:
        return self.update(self._id, {}, inputs)

    def update(self, id_: str, state: dict[str, Any], inputs: dict[str, Any]) -> FoundResource:
        from provider.postgres import other_databases

        with self._server.connected() as connection:
            for name, keepers in other_databases.close(connection, inputs["databases"]).items():
                kept = f"; granted it to {', '.join(keepers)}" if keepers else ""
                log.info(f"revoked CONNECT on database {name} from PUBLIC{kept}")
        return FoundResource(id_, {"databases": inputs["databases"], "reopened": []})

    def read(self, id_: str, state: dict[str, Any]) -> FoundResource | None:
        """Return the state with the databases that are open again or, for an import, the maintenance databases that are
        closed."""
        if id_ != self._id:
            raise ProviderError(f"{id_!r} is not the id of closed databases; it is {self._id}")
        try:
            with self._server.connected() as connection:
                databases = state["databases"] if state else _closed(connection)
                reopened = _closable(connection, databases)
        except MissingDatabaseError:
            return None
        return FoundResource(id_, {"databases": databases, "reopened": reopened})

    def delete(self, id_: str, state: dict[str, Any]) -> None:
        """Change nothing: to open the databases again would be a surprise for others on the server."""

    @property
    def _id(self) -> str:
        return f"{self._server.database}.closed-databases"


def _closable(connection: "Connection", databases: list[str]) -> list[str]:
    from provider.postgres.other_databases import open_databases

    return [found.name for found in open_databases(connection) if found.closable and found.name in databases]


def _closed(connection: "Connection") -> list[str]:
    from components.config.model import MAINTENANCE_DATABASES
    from provider.postgres.other_databases import open_databases

    found = {database.name for database in open_databases(connection)}
    return [name for name in MAINTENANCE_DATABASES if name not in found]
