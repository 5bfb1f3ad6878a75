"""``Privileges``: the exact privileges of every role on the tables of one schema.

Each Grant of the postgresql plugin manages only its own privileges; replacing or removing one may revoke what another
granted. This resource runs after them and corrects the whole schema.
"""

from collections.abc import Mapping
from typing import Any

from provider.base import log
from provider.base.plugin import FoundResource
from provider.base.schema import Properties, Property, strings
from provider.errors import ProviderError
from provider.postgres.kind import PostgresKind
from provider.postgres.server import MissingDatabaseError
from provider.postgres.target import SchemaTarget

PROPERTIES: Properties = {
    "schema": Property(required=True, force_new=True, description="The schema; its tables exist already"),
    "owner": Property(required=True, description="The role that owns everything in the schema"),
    "access": Property(
        "map",
        required=True,
        item=Property("map", item=strings("set")),
        description="Role to table, or pattern of run-time tables, to privileges like SELECT and UPDATE (state, note)",
    ),
    "migration": Property(
        "integer", description="Version of the schema's last migration; the resource runs after each migration"
    ),
    "revision": Property(
        "integer", description="Number of the last change of grants; the resource runs after each change"
    ),
    "drift": strings("list", output=True, description="Manual changes that a refresh found; the next up corrects them"),
}
INPUTS = tuple(name for name, item in PROPERTIES.items() if not item.output)


class Privileges(PostgresKind):
    """Grants and revokes. The id, also for an import, is ``<database>.<schema>.privileges``."""

    token = "stellaops:postgres:Privileges"  # noqa: S105 - a type
    description = "The privileges of every role on the tables of one schema. Import id: DATABASE.SCHEMA.privileges"
    properties = PROPERTIES
    delete_before_replace = True
    drift_output = "drift"

    def create(self, inputs: dict[str, Any]) -> FoundResource:
        return FoundResource(f"{self._server.database}.{inputs['schema']}.privileges", self._reconcile(inputs))

    def update(self, id_: str, state: dict[str, Any], inputs: dict[str, Any]) -> FoundResource:
        return FoundResource(id_, self._reconcile(inputs))

    def read(self, id_: str, state: dict[str, Any]) -> FoundResource | None:
        """Return None if the schema is gone; otherwise ``drift`` has a sentence for each difference."""
        from provider.postgres import relation_privileges
        from provider.postgres.history import has_schema, schema_owner

        schema = state["schema"] if state else self._schema_of(id_)
        try:
            with self._server.connected() as connection:
                if not has_schema(connection, schema):
                    return None
                if state:
                    sentences = relation_privileges.differences(connection, _target(state), state["access"])
                    return FoundResource(id_, _outputs(state, sentences))
                target = SchemaTarget(schema, schema_owner(connection, schema))
                access = relation_privileges.table_access(connection, target)
                return FoundResource(id_, _outputs({"schema": schema, "owner": target.owner, "access": access}, []))
        except MissingDatabaseError:
            return None

    def delete(self, id_: str, state: dict[str, Any]) -> None:
        """Revoke all privileges except the owner's, if the schema is kept."""
        from provider.postgres.history import is_managed

        try:
            with self._server.connected() as connection:
                if not is_managed(connection, _target(state)):
                    return
        except MissingDatabaseError:
            return
        self._reconcile({**state, "access": {}})

    def _reconcile(self, inputs: dict[str, Any]) -> dict[str, Any]:
        from provider.postgres import relation_privileges
        from provider.postgres.migrations import locked_schema
        from provider.postgres.session import Limits, as_owner, with_retries

        target, limits = _target(inputs), Limits()

        def in_transaction() -> list[str]:
            with as_owner(connection, target, limits):
                return relation_privileges.reconcile(connection, target, inputs["access"])

        with self._server.connected() as connection, locked_schema(connection, target, limits, log.info):
            changes = with_retries(f"{target.schema}: privileges", in_transaction, limits, log.info)
        for line in changes:
            log.info(f"{target.schema}: {line}")
        return _outputs(inputs, [])

    def _schema_of(self, id_: str) -> str:
        database = self._server.database
        schema = id_.removeprefix(f"{database}.").removesuffix(".privileges")
        if id_ != f"{database}.{schema}.privileges":
            raise ProviderError(
                f"{id_!r} is not the id of a schema's privileges; write it like {database}.vuln.privileges"
            )
        return schema


def _target(inputs: Mapping[str, Any]) -> SchemaTarget:
    return SchemaTarget(inputs["schema"], inputs["owner"])


def _outputs(inputs: Mapping[str, Any], drift: list[str]) -> dict[str, Any]:
    return {**{name: inputs[name] for name in INPUTS if name in inputs}, "drift": drift}
