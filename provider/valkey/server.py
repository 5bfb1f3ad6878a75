"""Connect to a running Valkey, and turn failures into one line for the user."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from provider.errors import ProviderError

# The client library is imported when a connection is opened. Most previews open none and save 0.2 s.
if TYPE_CHECKING:
    from valkey.exceptions import ValkeyError

# The library types every reply as "value or awaitable", which a type checker cannot use.
Client = Any

TIMEOUT_SECONDS = 10
RETRIES = 3  # after 0.1, 0.2 and 0.4 s, enough for a short restart; no retries after a time-out

CHECK_USER = "set stellaops-storage:valkeyAdminUser and valkeyAdminPassword to a user that exists on the server"
CHECK_PERMISSIONS = "the admin user needs allkeys and allcommands"
CHECK_ADDRESS = "check that it runs and that stellaops-storage:valkeyHost, valkeyPort and valkeyTls are right"


@dataclass(frozen=True)
class ValkeyServer:
    """The address of Valkey and its admin's credentials, from the provider's inputs (never from a resource's)."""

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
        """Yield a connection and close it afterwards. Raises ``ProviderError`` for errors of server and network."""
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
    """Format the server's message on one line."""
    return " ".join(str(error).split()) or type(error).__name__


def _remedy(error: "ValkeyError") -> str:
    from valkey import exceptions

    text = str(error)
    if isinstance(error, exceptions.AuthenticationError) or text.startswith(
        ("WRONGPASS", "NOAUTH", "invalid username")
    ):
        return CHECK_USER
    if isinstance(error, exceptions.NoPermissionError):
        return CHECK_PERMISSIONS
    if isinstance(error, exceptions.ConnectionError | exceptions.TimeoutError):
        return CHECK_ADDRESS
    if isinstance(error, exceptions.OutOfMemoryError):
        return "raise maxmemory in schema-mapping.yaml, or delete keys without a TTL"
    return "see the server's log"
