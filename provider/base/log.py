"""Messages to the user while a resource is being worked on.

A plugin's standard output is not shown, so a message goes to the engine, which shows it beside the resource. Outside
of a plugin, as in tests and day-two commands, it goes to standard output.
"""

import threading
from contextlib import suppress
from contextvars import ContextVar
from typing import Any

# The resource that the running request is about; the engine shows a message beside it.
current_urn: ContextVar[str] = ContextVar("current_urn", default="")


class _Engine:
    """The engine's log service; connects at the first message."""

    def __init__(self) -> None:
        self._address = ""
        self._stub: Any = None
        self._lock = threading.Lock()

    def connect(self, address: str) -> None:
        """Send the messages to the engine at ``address`` from now on."""
        with self._lock:
            self._address, self._stub = address, None

    def send(self, text: str) -> bool:
        """Whether there is an engine to send to. A message that gets lost fails no operation."""
        import grpc

        from provider.base.protocol import engine_messages, engine_services

        with self._lock:
            if not self._address:
                return False
            if self._stub is None:
                self._stub = engine_services.EngineStub(grpc.insecure_channel(self._address))
            stub = self._stub
        request = engine_messages.LogRequest(severity=engine_messages.INFO, message=text, urn=current_urn.get())
        with suppress(grpc.RpcError):
            stub.Log(request, timeout=SECONDS)
        return True


SECONDS = 5.0
engine = _Engine()


def info(text: str) -> None:
    """Show a line to the user."""
    if not engine.send(text):
        print(text, flush=True)
