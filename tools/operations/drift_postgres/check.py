"""Compare a whole PostgreSQL database with the mapping, in one read-only snapshot."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import psycopg

from provider.difference import Difference
from provider.postgres import append_only, other_databases, row_security
from provider.postgres.one_line import one_line
from provider.postgres.ownership import foreign_objects
from provider.postgres.server import MissingDatabaseError
from provider.postgres.session import prepare_connection
from provider.postgres.target import SchemaTarget
from tools.operations.drift_finding import DriftFinding
from tools.operations.drift_postgres import migrated, objects, passwords, privileges, roles, server
from tools.operations.drift_postgres.catalog import Catalog, Differences
from tools.operations.drift_postgres.record import recorded_schemas
from tools.operations.stack import Stack

STORE = "postgres"


def check(stack: Stack, state: Mapping[str, Any] | None) -> list[DriftFinding]:
    """Return every difference, without duplicates. Reads only. Raises ``ProviderError`` if the server cannot be read.

    ``state`` is the stack's exported state. Without it, what only migrations declare and passwords are not compared: a
    restored database may be older than the state.
    """
    postgres = stack.postgres
    try:
        with postgres.connected() as connection:
            prepare_connection(connection)
            # Somebody may have set these for every session of the database.
            connection.execute("SET ROLE NONE")
            connection.execute("SET statement_timeout = 0")
            connection.read_only = True
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            with connection.transaction():
                # With an empty search_path, names are printed with their schemas.
                connection.execute("SET LOCAL search_path = ''")
                found = set(_differences(Catalog(connection, stack), state))
    except MissingDatabaseError:
        return [DriftFinding(STORE, Difference(f"database {postgres.database} does not exist"))]
    # Names in a remedy may have characters that a terminal does not show.
    return [DriftFinding(STORE, replace(item, remedy=one_line(item.remedy))) for item in sorted(found)]


def _differences(catalog: Catalog, state: Mapping[str, Any] | None) -> Differences:
    postgres = catalog.stack.settings.postgres
    recorded = recorded_schemas(state) if state is not None else {}
    yield from roles.differences(catalog)
    yield from server.differences(catalog)
    yield from objects.differences(catalog, recorded)
    yield from privileges.differences(catalog)
    yield from _guards(catalog)
    yield from _owners(catalog)
    yield from other_databases.drift(
        catalog.connection, catalog.roles, accepted=postgres.open_databases, closed=postgres.closed_databases
    )
    if state is not None:
        yield from migrated.differences(catalog, recorded)
        yield from passwords.differences(catalog)


def _guards(catalog: Catalog) -> Differences:
    """Compare append-only triggers and tenant isolation. A run corrects them."""
    for schema in sorted(catalog.schemas):
        # ``objects`` reports missing tables.
        entries, connection = catalog.wanted[schema].append_only, catalog.connection
        yield from map(Difference, append_only.drift(connection, schema, entries, complete=False))
        yield from map(Difference, row_security.drift(connection, schema, catalog.stack.isolation(schema)))


def _owners(catalog: Catalog) -> Differences:
    for schema in sorted(catalog.schemas):
        owner = catalog.mapping.access.owner(schema)
        if owner not in catalog.existing_roles:
            continue  # reported separately
        for item in foreign_objects(catalog.connection, SchemaTarget(schema, owner)):
            if item.statement:
                yield Difference(
                    f"{item.name} is owned by {item.owner}, not by {owner} (only {item.owner} or a superuser can change it)",
                    item.statement,
                )
