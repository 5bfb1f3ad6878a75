"""Progress messages for the user.

The engine does not show a plugin's standard output, so a plugin sends messages to the engine, which shows them next to
the resource. Outside a plugin, as in tests and day-two commands, messages go to standard output.
"""

import threading
from contextlib import suppress
from contextvars import ContextVar
from typing import Any

# The resource of the current request; the engine shows messages next to it.
current_urn: ContextVar[str] = ContextVar("current_urn", default="")


class _Engine:
    """The engine's log service. Connects when the first message is sent."""

    def __init__(self) -> None:
        self._address = ""
        self._stub: Any = None
        self._lock = threading.Lock()

    def connect(self, address: str) -> None:
        """Send all further messages to the engine at ``address``."""
        with self._lock:
            self._address, self._stub = address, None

    def send(self, text: str, severity: str = "INFO") -> bool:
        """Send a message and return True, or return False without an engine. Errors while sending are ignored."""
        import grpc

        from provider.base.protocol import engine_messages, engine_services

        with self._lock:
            if not self._address:
                return False
            if self._stub is None:
                self._stub = engine_services.EngineStub(grpc.insecure_channel(self._address))
            stub = self._stub
        request = engine_messages.LogRequest(
            severity=engine_messages.LogSeverity.Value(severity), message=text, urn=current_urn.get()
        )
        with suppress(grpc.RpcError):
            stub.Log(request, timeout=TIMEOUT_SECONDS)
        return True


TIMEOUT_SECONDS = 5.0
engine = _Engine()


def info(text: str) -> None:
    """Show a message to the user."""
    if not engine.send(text):
        print(text, flush=True)


def warning(text: str) -> None:
    """Show a warning to the user, also in a preview and its review."""
    if not engine.send(text, "WARNING"):
        print(f"warning: {text}", flush=True)
