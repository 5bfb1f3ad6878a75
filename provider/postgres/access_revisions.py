"""``AccessRevisions``: for each schema, a number that rises before its grants change.

``Privileges`` has this number as an input, so it runs after every change of grants, even if the run that began the
change failed before it reached ``Privileges`` and the mapping has been changed back since. Contacts no server.
"""

import time
from collections.abc import Mapping
from typing import Any

from provider.base.plugin import FoundResource
from provider.base.schema import Properties, Property, strings
from provider.postgres.kind import PostgresKind

PROPERTIES: Properties = {
    "access": strings("map", required=True, description="Schema to a digest of the privileges on its tables"),
    "revisions": Property(
        "map", item=Property("integer"), output=True, description="Schema to the number of its last change"
    ),
    "last": Property("integer", output=True, description="The highest number so far"),
}


class AccessRevisions(PostgresKind):
    """Counts changes of grants. The id is ``<database>.access``."""

    token = "stellaops:postgres:AccessRevisions"  # noqa: S105 - a type
    description = "For each schema, a number that rises before its grants change. Import id: DATABASE.access"
    properties = PROPERTIES

    def planned(self, inputs: Mapping[str, Any], state: Mapping[str, Any] | None) -> dict[str, Any]:
        return _next_revisions(inputs, state or {})

    def create(self, inputs: dict[str, Any]) -> FoundResource:
        return FoundResource(f"{self._settings.text('postgresDatabase')}.access", inputs | _next_revisions(inputs, {}))

    def update(self, id_: str, state: dict[str, Any], inputs: dict[str, Any]) -> FoundResource:
        return FoundResource(id_, inputs | _next_revisions(inputs, state))

    def read(self, id_: str, state: dict[str, Any]) -> FoundResource:
        """Return the state. An import counts on from the time, so that no schema gets a number that it had before and the
        next ``up`` checks all privileges."""
        return FoundResource(id_, {"access": {}, "revisions": {}, "last": int(time.time())} | state)

    def delete(self, id_: str, state: dict[str, Any]) -> None:
        """Do nothing: the resource exists only in the state."""


def _next_revisions(inputs: Mapping[str, Any], state: Mapping[str, Any]) -> dict[str, Any]:
    """A schema never gets the same number twice, even if it leaves the mapping and returns."""
    digests, revisions = state.get("access") or {}, dict(state.get("revisions") or {})
    last = int(state.get("last") or 0)
    changed = [schema for schema, digest in inputs["access"].items() if digests.get(schema) != digest]
    last += bool(changed)
    revisions |= dict.fromkeys(changed, last)
    return {"revisions": {schema: int(revisions[schema]) for schema in inputs["access"]}, "last": last}
