"""The connection of the dynamic resources to a running Valkey, with failures as one line for the user."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import valkey
from pulumi.dynamic import ConfigureRequest
from valkey.backoff import ExponentialBackoff
from valkey.exceptions import ConnectionError as ValkeyConnectionError
from valkey.exceptions import TimeoutError as ValkeyTimeoutError
from valkey.exceptions import ValkeyError
from valkey.retry import Retry

from provider.dynamic_config import number, setting, switch
from provider.errors import ProviderError

# The library's own types give every reply as "value or awaitable of it", which says nothing.
Client = Any

TIMEOUT_SECONDS = 10
RETRIES = 3  # after 0.1, 0.2 and 0.4 s: bridges a server that restarts, not one that is gone; never after a time-out

CHECK_USER = "set stellaops-storage:valkeyAdminUser and valkeyAdminPassword to a user that the server knows"
CHECK_RIGHTS = "the admin user needs allkeys and allcommands"
CHECK_PLACE = "see that it runs and that stellaops-storage:valkeyHost, valkeyPort and valkeyTls are right"


@dataclass(frozen=True)
class Server:
    """Where Valkey is and who provisions it; from stack config, never from a resource's inputs."""

    host: str
    port: int
    user: str
    password: str
    tls: bool

    @staticmethod
    def configured(req: ConfigureRequest) -> "Server":
        """From the stack's config. Raises ``ProviderError`` naming a missing key."""
        return Server(
            host=setting(req, "valkeyHost"),
            port=number(req, "valkeyPort", 6379),
            user=setting(req, "valkeyAdminUser", "admin"),
            password=setting(req, "valkeyAdminPassword"),
            tls=switch(req, "valkeyTls"),
        )

    @property
    def place(self) -> str:
        return f"Valkey at {self.host}:{self.port}, as {self.user}"

    @contextmanager
    def connection(self) -> Iterator[Client]:
        """A connection, closed afterwards. Whatever the server or the network says becomes a ``ProviderError``."""
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


def error_text(error: ValkeyError) -> str:
    """The server's words on one line."""
    return " ".join(str(error).split()) or type(error).__name__


def _remedy(error: ValkeyError) -> str:
    text = str(error)
    if isinstance(error, valkey.AuthenticationError) or text.startswith(("WRONGPASS", "NOAUTH", "invalid username")):
        return CHECK_USER
    if isinstance(error, valkey.exceptions.NoPermissionError):
        return CHECK_RIGHTS
    if isinstance(error, ValkeyConnectionError | ValkeyTimeoutError):
        return CHECK_PLACE
    if isinstance(error, valkey.exceptions.OutOfMemoryError):
        return "raise maxmemory in schema-mapping.yaml, or delete keys that do not expire"
    return "see the server's log"
