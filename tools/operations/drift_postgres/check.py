"""Compare a whole PostgreSQL database with the mapping, in one read-only snapshot."""

from collections.abc import Iterator, Mapping
from typing import Any

import psycopg

from provider.difference import Difference
from provider.postgres import append_only, other_databases, row_security
from provider.postgres.ownership import foreign_objects
from provider.postgres.server import MissingDatabaseError
from provider.postgres.session import prepare_connection
from provider.postgres.target import SchemaTarget
from tools.operations.drift_finding import DriftFinding
from tools.operations.drift_postgres import migrated, objects, privileges, roles
from tools.operations.drift_postgres.catalog import Catalog
from tools.operations.stack import Stack

STORE = "postgres"


def check(stack: Stack, state: Mapping[str, Any] | None) -> list[DriftFinding]:
    """Return every difference, without duplicates. Reads only. Raises ``ProviderError`` if the server cannot be read.

    ``state`` is the stack's exported state. Without it, what only migrations declare is not compared: a restored
    database may be older than the state.
    """
    server = stack.postgres
    try:
        with server.connected() as connection:
            prepare_connection(connection)
            connection.read_only = True
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            with connection.transaction():
                # With an empty search_path, names are printed with their schemas.
                connection.execute("SET LOCAL search_path = ''")
                catalog = Catalog(connection, stack.mapping, server.database, server.user)
                sentences = set(_sentences(catalog, stack))
                accepted = stack.settings.postgres.open_databases
                sentences |= set(other_databases.drift(connection, accepted, catalog.roles.names))
                if state is not None:
                    sentences |= set(migrated.differences(catalog, migrated.recorded_schemas(state)))
    except MissingDatabaseError:
        return [DriftFinding(STORE, Difference(f"database {server.database} does not exist; run pulumi up"))]
    return [DriftFinding(STORE, Difference(sentence)) for sentence in sorted(sentences)]


def _sentences(catalog: Catalog, stack: Stack) -> Iterator[str]:
    yield from roles.differences(catalog)
    yield from objects.differences(catalog)
    yield from privileges.differences(catalog)
    for schema in catalog.schemas:
        connection = catalog.connection
        yield from append_only.drift(connection, schema, catalog.wanted[schema].append_only)
        yield from row_security.drift(connection, schema, stack.isolation(schema))
        owner = catalog.mapping.access.owner(schema)
        try:
            foreign = foreign_objects(connection, SchemaTarget(schema, owner))
        except psycopg.errors.UndefinedObject:
            continue  # the owner role is missing, which is reported separately
        yield from (
            f"{item.name} is owned by {item.owner}, not by {owner}; as {item.owner} or a superuser, run: {item.statement}"
            for item in foreign
            if item.statement
        )
