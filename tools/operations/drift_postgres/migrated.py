"""Compare indexes, constraints, views, functions and the like with what the migrations made.

The mapping does not declare them. ``SchemaMigrations`` records them in the stack's state after each run.
"""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from components.resources.postgres import MIGRATIONS
from provider.postgres.applied import Applied
from provider.postgres.history import applied_rows
from provider.postgres.object_definitions import RecordedDefinitions
from provider.postgres.problems import error_text
from provider.postgres.run_time_tables import pattern_of
from tools.operations.drift_postgres.catalog import EXTRA, Catalog


@dataclass(frozen=True)
class RecordedSchema:
    """What the state has of one schema's migrations. ``applied``: labels; ``definitions``: None in the state of an older
    release."""

    applied: tuple[str, ...]
    definitions: RecordedDefinitions | None


def recorded_schemas(state: Mapping[str, Any]) -> dict[str, RecordedSchema]:
    """Return schema -> record of every ``SchemaMigrations`` in an exported state."""
    resources = state.get("deployment", {}).get("resources") or []
    found = [item["outputs"] for item in resources if item["type"] == MIGRATIONS and not item.get("delete")]
    return {
        outputs["schema"]: RecordedSchema(tuple(outputs.get("applied") or ()), RecordedDefinitions.of(outputs))
        for outputs in found
    }


def differences(catalog: Catalog, recorded: Mapping[str, RecordedSchema]) -> Iterator[str]:
    """Yield a sentence for each object that differs from the record, or the reason why a schema cannot be compared."""
    for schema in sorted(catalog.schemas):
        record, owner = recorded.get(schema), catalog.mapping.access.owner(schema)
        if record is None or record.definitions is None:
            yield f"schema {schema}: the state has no record of what its migrations made; run pulumi up to make one"
            continue
        try:
            history = _history(catalog, schema, owner)
        except psycopg.Error as error:
            yield f"schema {schema}: its migrations cannot be read: {error_text(error)}"
            continue
        if not record.definitions.is_current(catalog.connection, record.applied, history):
            yield (
                f"schema {schema}: the state's record of what its migrations made is out of date (other migrations ran, or"
                " the server was upgraded); run pulumi up to renew it"
            )
            continue
        found = RecordedDefinitions.read(catalog.connection, schema)
        yield from _without_run_time_tables(catalog, schema, record.definitions).differences(
            _without_run_time_tables(catalog, schema, found), owner
        )
    for objects in RecordedDefinitions.read(catalog.connection, "public").objects.values():
        yield from (f"{name}: {EXTRA}" for name in objects if not name.startswith("column "))


def _history(catalog: Catalog, schema: str, owner: str) -> tuple[Applied, ...]:
    connection = catalog.connection
    with suppress(psycopg.errors.InsufficientPrivilege), connection.transaction():
        return applied_rows(connection, schema)
    # The rollback ends SET LOCAL ROLE.
    with connection.transaction(force_rollback=True):
        connection.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(owner)))
        return applied_rows(connection, schema)


def _without_run_time_tables(catalog: Catalog, schema: str, definitions: RecordedDefinitions) -> RecordedDefinitions:
    """Leave out objects of tables that functions create and drop at run time."""
    patterns = catalog.mapping.postgres.schemas[schema].runtime_tables
    objects = {table: named for table, named in definitions.objects.items() if not pattern_of(patterns, table)}
    return RecordedDefinitions(objects, definitions.server)
