"""A TCP proxy in front of a real server that makes one call fail: before the server receives it, or after it ran.

A call is one request of HTTP, or what a client of Valkey sends at once. Its answer is replaced by an error that clients do
not retry, so that a failed run takes no longer than a successful one.
"""

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

CHUNK = 1 << 16
TIMEOUT_SECONDS = 20
_ERROR = b"<Error><Code>InjectedFault</Code><Message>injected fault</Message></Error>"
_HTTP = b"HTTP/1.1 400 Bad Request\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (len(_ERROR), _ERROR)
_VALKEY = b"-ERR injected fault\r\n"


@dataclass(frozen=True)
class Fault:
    """The ``nth`` call that contains ``text`` fails; if ``ran``, the server has executed it."""

    nth: int = 1
    text: bytes = b""
    ran: bool = False

    def __str__(self) -> str:
        return (
            f"call {self.nth}{' of ' + self.text.decode() if self.text else ''} {'ran' if self.ran else 'did not run'}"
        )


@dataclass
class FaultyProxy:
    """``port`` is the proxy's own. ``calls`` counts all calls since ``arm``."""

    port: int
    calls: int = 0
    _left: dict[Fault, int] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def arm(self, *faults: Fault) -> None:
        """Count from zero, and let each fault happen once."""
        with self._lock:
            self._left, self.calls = {fault: fault.nth for fault in faults}, 0

    @property
    def struck(self) -> bool:
        """Whether each fault has happened."""
        return not self._left

    def judge(self, call: bytes) -> Literal["pass", "refuse", "run and fail"]:
        with self._lock:
            self.calls += 1
            for fault in [fault for fault in self._left if fault.text in call]:
                self._left[fault] -= 1
                if not self._left[fault]:
                    del self._left[fault]
                    return "run and fail" if fault.ran else "refuse"
        return "pass"


@contextmanager
def faulty_proxy(target: int) -> Iterator[FaultyProxy]:
    """Start a proxy in front of the server at the loopback port ``target``."""
    open_connections: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0), backlog=100) as listener:
        proxy = FaultyProxy(int(listener.getsockname()[1]))

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    client = listener.accept()[0]
                    open_connections.append(client)
                    threading.Thread(target=_serve, args=[proxy, client, target], daemon=True).start()

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield proxy
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(timeout=TIMEOUT_SECONDS)
            for connection in open_connections:
                connection.close()


def _serve(proxy: FaultyProxy, client: socket.socket, target: int) -> None:
    """Pass calls on one after the other, until either side closes the connection."""
    with contextlib.suppress(OSError), client, socket.create_connection(("127.0.0.1", target)) as server:
        pump = threading.Thread(target=_answers, args=[server, client, held := threading.Event()], daemon=True)
        pump.start()
        while call := _call(client):
            verdict = proxy.judge(call)
            if verdict == "pass":
                server.sendall(call)
                continue
            if verdict == "run and fail":
                held.set()
                server.sendall(call)
                pump.join(timeout=TIMEOUT_SECONDS)
            client.sendall(_HTTP if _is_http(call) else _VALKEY)
            client.shutdown(socket.SHUT_RDWR)
            return


def _answers(server: socket.socket, client: socket.socket, held: threading.Event) -> None:
    """Pass answers on; once ``held`` is set, end at the first one and drop it."""
    with contextlib.suppress(OSError):
        while answer := server.recv(CHUNK):
            if held.is_set():
                return
            client.sendall(answer)
        client.shutdown(socket.SHUT_RDWR)


def _call(client: socket.socket) -> bytes:
    """Read one call; empty at the end of the connection."""
    call = client.recv(CHUNK)
    if not _is_http(call):
        return call
    while b"\r\n\r\n" not in call:
        call += client.recv(CHUNK)
    head, _, body = call.partition(b"\r\n\r\n")
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            while len(body) < int(line.partition(b":")[2]):
                body += client.recv(CHUNK)
    return head + b"\r\n\r\n" + body


def _is_http(call: bytes) -> bool:
    return call.partition(b"\r\n")[0].endswith(b" HTTP/1.1")
