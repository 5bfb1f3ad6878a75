"""Protect the tables of a schema beyond grants: append-only triggers, row-level security, no privileges for PUBLIC.

The mapping and the stack's config define all three.
"""

from collections.abc import Collection

from provider.postgres import append_only as triggers
from provider.postgres import public_access, row_security
from provider.postgres.row_security import Isolation
from provider.postgres.session import Connection
from provider.postgres.target import SchemaTarget


def reconcile(
    connection: Connection,
    target: SchemaTarget,
    append_only: Collection[str],
    isolation: Isolation,
    *,
    complete: bool = True,
) -> list[str]:
    """Correct all three; return a sentence for each change. Call it in a transaction as the owner.

    Raises ``MigrationError``, if ``complete`` also for a named append-only table that does not exist.
    """
    return [
        *triggers.reconcile(connection, target, append_only, complete=complete),
        *row_security.reconcile(connection, target, isolation),
        *public_access.reconcile(connection, target),
    ]


def drift(
    connection: Connection, target: SchemaTarget, append_only: Collection[str], isolation: Isolation
) -> list[str]:
    """Return a sentence for each difference from the mapping. Reads only the catalog."""
    return [
        *triggers.drift(connection, target.schema, append_only),
        *row_security.drift(connection, target.schema, isolation),
        *public_access.drift(connection, target),
    ]
