"""Connect the day-two commands to a stack's Valkey, with the client that the jobs on Kubernetes use."""

from collections.abc import Iterator
from contextlib import contextmanager

from pods.valkey_upkeep.resp import Connection, Endpoint, MaintenanceError, UnreachableError
from provider.errors import ProviderError
from provider.valkey.server import CHECK_ADDRESS, CHECK_PERMISSIONS, CHECK_USER
from tools.operations.stack import Stack


@contextmanager
def connected(stack: Stack) -> Iterator[Connection]:
    """Connect as the admin. Raises ``ProviderError``, with a remedy, for every error of the connection."""
    server = stack.valkey
    endpoint = Endpoint(server.host, server.port, server.user, server.password, server.tls)
    try:
        with Connection(endpoint) as connection:
            yield connection
    except MaintenanceError as error:
        raise ProviderError(f"{error}{_remedy(error)}") from None


def _remedy(error: MaintenanceError) -> str:
    text = str(error)
    if isinstance(error, UnreachableError):
        return f"; {CHECK_ADDRESS}"
    if "WRONGPASS" in text or "NOAUTH" in text:
        return f"; {CHECK_USER}"
    return f"; {CHECK_PERMISSIONS}" if "NOPERM" in text else ""
