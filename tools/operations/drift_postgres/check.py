"""The comparison of PostgreSQL as a whole: one read-only snapshot, every difference in it."""

from collections.abc import Iterator

import psycopg

from components.mapping import roles as role_names
from provider.postgres import append_only, row_security
from provider.postgres.ownership import foreign_objects
from provider.postgres.server import MissingDatabaseError
from provider.postgres.session import prepare_connection
from provider.postgres.target import Target
from tools.operations.drift_finding import DriftFinding
from tools.operations.drift_postgres import objects, privileges, roles
from tools.operations.drift_postgres.catalog import Catalog
from tools.operations.stack import Stack

STORE = "postgres"


def check(stack: Stack) -> list[DriftFinding]:
    """Every difference, none twice. Reads only. Raises ``ProviderError`` when the server cannot be asked."""
    server = stack.postgres
    try:
        with server.connected() as connection:
            prepare_connection(connection)
            connection.read_only = True
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            with connection.transaction():
                # Names are printed with their schemas, whatever the admin's own path is.
                connection.execute("SET LOCAL search_path = ''")
                catalog = Catalog(connection, stack.mapping, server.database, server.user)
                sentences = set(_sentences(catalog, stack))
    except MissingDatabaseError:
        return [DriftFinding(STORE, f"database {server.database} does not exist: the mapping needs it")]
    return [DriftFinding(STORE, sentence) for sentence in sorted(sentences)]


def _sentences(catalog: Catalog, stack: Stack) -> Iterator[str]:
    yield from roles.differences(catalog)
    yield from objects.differences(catalog)
    yield from privileges.differences(catalog)
    for schema in catalog.schemas:
        connection = catalog.connection
        yield from append_only.drift(connection, schema, catalog.wanted[schema].append_only)
        yield from row_security.drift(connection, schema, stack.isolation(schema))
        owner = role_names.owner(schema)
        try:
            foreign = foreign_objects(connection, Target(schema, owner))
        except psycopg.errors.UndefinedObject:
            continue  # the owner role is gone, which is a sentence of its own
        yield from (f"{name} belongs to {other}: it must belong to {owner}" for name, other in foreign)
