"""What guards the tables of a schema besides grants: append-only triggers, row-level security, nothing for PUBLIC.

All follow from the mapping and the stack's config; one place to put them right, and one to say what is off.
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
    """Put them right; call it in a transaction as the owner. Returns what it did. Raises ``MigrationError``.

    Without ``complete`` a named append-only table may not exist yet.
    """
    return [
        *triggers.reconcile(connection, target, append_only, complete=complete),
        *row_security.reconcile(connection, target, isolation),
        *public_access.reconcile(connection, target),
    ]


def drift(
    connection: Connection, target: SchemaTarget, append_only: Collection[str], isolation: Isolation
) -> list[str]:
    """What is off, a sentence each. Reads the catalog only."""
    return [
        *triggers.drift(connection, target.schema, append_only),
        *row_security.drift(connection, target.schema, isolation),
        *public_access.drift(connection, target),
    ]
