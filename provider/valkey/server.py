"""Connections to a running Valkey, with failures as one line for the user."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from provider.errors import ProviderError

# The client is imported where a connection is opened: a preview opens none and would pay 0.2 s for it.
if TYPE_CHECKING:
    from valkey.exceptions import ValkeyError

# The library's own types give every reply as "value or awaitable of it", which says nothing.
Client = Any

TIMEOUT_SECONDS = 10
RETRIES = 3  # after 0.1, 0.2 and 0.4 s: bridges a server that restarts, not one that is gone; never after a time-out

CHECK_USER = "set stellaops-storage:valkeyAdminUser and valkeyAdminPassword to a user that the server knows"
CHECK_RIGHTS = "the admin user needs allkeys and allcommands"
CHECK_PLACE = "see that it runs and that stellaops-storage:valkeyHost, valkeyPort and valkeyTls are right"


@dataclass(frozen=True)
class ValkeyServer:
    """Where Valkey is and its admin's login: configuration of the provider, never a resource's inputs."""

    host: str
    port: int
    user: str
    password: str
    tls: bool

    @property
    def place(self) -> str:
        return f"Valkey at {self.host}:{self.port}, as {self.user}"

    @contextmanager
    def connection(self) -> Iterator[Client]:
        """A connection, closed afterwards. Raises ``ProviderError`` for whatever the server or the network reports."""
        import valkey
        from valkey.backoff import ExponentialBackoff
        from valkey.exceptions import ConnectionError as ValkeyConnectionError
        from valkey.exceptions import ValkeyError
        from valkey.retry import Retry

        client = valkey.Valkey(
            host=self.host,
            port=self.port,
            username=self.user,
            password=self.password,
            ssl=self.tls,
            socket_timeout=TIMEOUT_SECONDS,
            socket_connect_timeout=TIMEOUT_SECONDS,
            retry=Retry(ExponentialBackoff(cap=1, base=0.05), RETRIES, supported_errors=(ValkeyConnectionError,)),
            retry_on_error=[ValkeyConnectionError],
            decode_responses=True,
            client_name="stellaops-storage",
        )
        try:
            with client:
                yield client
        except ValkeyError as error:
            raise ProviderError(f"{self.place}: {error_text(error)}; {_remedy(error)}") from None


def error_text(error: "ValkeyError") -> str:
    """The server's words on one line."""
    return " ".join(str(error).split()) or type(error).__name__


def _remedy(error: "ValkeyError") -> str:
    from valkey import exceptions

    text = str(error)
    if isinstance(error, exceptions.AuthenticationError) or text.startswith(
        ("WRONGPASS", "NOAUTH", "invalid username")
    ):
        return CHECK_USER
    if isinstance(error, exceptions.NoPermissionError):
        return CHECK_RIGHTS
    if isinstance(error, exceptions.ConnectionError | exceptions.TimeoutError):
        return CHECK_PLACE
    if isinstance(error, exceptions.OutOfMemoryError):
        return "raise maxmemory in schema-mapping.yaml, or delete keys that do not expire"
    return "see the server's log"
