"""``AccessRevisions``: for each schema a number that rises before its grants change.

``Privileges`` takes the number and so runs after every change of grants, also when the run that began the change did
not get that far and the mapping has been put back since. Contacts no server.
"""

from collections.abc import Mapping
from typing import Any

from provider.base.plugin import FoundResource
from provider.base.schema import Properties, Property, strings
from provider.postgres.kind import PostgresKind

PROPERTIES: Properties = {
    "access": strings("map", required=True, description="Schema to a digest of who may do what in it"),
    "revisions": Property(
        "map", item=Property("integer"), output=True, description="Schema to the number of its last change"
    ),
    "last": Property("integer", output=True, description="The highest number that was ever given"),
}


class AccessRevisions(PostgresKind):
    """Counts. The id is ``<database>.access``."""

    token = "stellaops:postgres:AccessRevisions"  # noqa: S105 - a type
    description = "For each schema a number that rises before its grants change. Import id: DATABASE.access"
    properties = PROPERTIES

    def planned(self, inputs: Mapping[str, Any], state: Mapping[str, Any] | None) -> dict[str, Any]:
        return _counted(inputs, state or {})

    def create(self, inputs: dict[str, Any]) -> FoundResource:
        return FoundResource(f"{self._settings.text('postgresDatabase')}.access", inputs | _counted(inputs, {}))

    def update(self, id_: str, state: dict[str, Any], inputs: dict[str, Any]) -> FoundResource:
        return FoundResource(id_, inputs | _counted(inputs, state))

    def read(self, id_: str, state: dict[str, Any]) -> FoundResource:
        """The state itself; an import begins to count anew, so that all privileges are looked at."""
        return FoundResource(id_, {"access": {}, "revisions": {}, "last": 0} | state)

    def delete(self, id_: str, state: dict[str, Any]) -> None:
        """There is nothing but the state."""


def _counted(inputs: Mapping[str, Any], state: Mapping[str, Any]) -> dict[str, Any]:
    """A number that was given to a schema is never given to it again, even if it leaves and comes back."""
    before, revisions, last = state.get("access") or {}, dict(state.get("revisions") or {}), int(state.get("last") or 0)
    changed = [schema for schema, digest in inputs["access"].items() if before.get(schema) != digest]
    last += bool(changed)
    revisions |= dict.fromkeys(changed, last)
    return {"revisions": {schema: int(revisions[schema]) for schema in inputs["access"]}, "last": last}
