"""Compare a server with the mapping."""

from collections.abc import Iterator

from pods.valkey_upkeep.resp import Connection
from provider.difference import Difference
from tools.operations.drift_finding import DriftFinding
from tools.operations.drift_valkey import keys, running, settings, streams, users
from tools.operations.stack import Stack
from tools.operations.upkeep import connected

STORE = "valkey"


def check(stack: Stack) -> list[DriftFinding]:
    """Return every difference. Raises ``ProviderError`` if the server or the stack's outputs cannot be read."""
    with connected(stack) as connection:
        return [DriftFinding(STORE, difference) for difference in _differences(connection, stack)]


def _differences(connection: Connection, stack: Stack) -> Iterator[Difference]:
    yield from running.differences(connection, stack)
    yield from users.differences(connection, stack)
    yield from settings.differences(connection, stack)
    yield from streams.differences(connection, stack)
    yield from keys.differences(connection, stack)
