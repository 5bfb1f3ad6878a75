"""A small client for Valkey's protocol (RESP2), with pipelining and address parsing."""

import contextlib
import socket
import ssl
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self, TypeVar

TIMEOUT_SECONDS = 10.0
RETRY_SECONDS = 1.0
# Error replies of a server that will be ready soon.
TRANSIENT_ERRORS = ("LOADING", "MASTERDOWN", "BUSY ", "CLUSTERDOWN", "NOREPLICAS")
BOOLEANS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False, "": False}

Word = str | bytes | int
Result = TypeVar("Result")


class MaintenanceError(Exception):
    """An error with its remedy, in one line."""


class UnreachableError(MaintenanceError):
    """The server does not run or is not ready. A later attempt may succeed."""


class ServerError(MaintenanceError):
    """The server refused a command. The text is the server's error message."""


@dataclass(frozen=True)
class Endpoint:
    """Address and user of a server. ``ca_file``: certificate authorities for TLS; the system's by default."""

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    tls: bool = False
    ca_file: str | None = None

    def __str__(self) -> str:
        return f"Valkey at {self.host}:{self.port}, as {self.user}"

    def at(self, host: str) -> "Endpoint":
        """Return the same endpoint on another host, or on ``host:port``."""
        name, colon, port = host.rpartition(":")
        if not colon or ":" in name:
            return replace(self, host=host)
        return replace(self, host=name, port=_number(port, host))


def endpoints(environment: Mapping[str, str]) -> list[Endpoint]:
    """Read ``VALKEY_HOST`` (one host, or a comma-separated list), ``VALKEY_PORT``, ``VALKEY_TLS``,
    ``VALKEY_CA_FILE``, ``VALKEY_USER`` and ``VALKEY_PASSWORD_FILE`` or ``VALKEY_PASSWORD``.

    Raises ``MaintenanceError``, which names the variable.
    """
    hosts = [host.strip() for host in environment.get("VALKEY_HOST", "").split(",") if host.strip()]
    if not hosts:
        raise MaintenanceError("VALKEY_HOST is not set; set it to the server's name or address")
    tls = environment.get("VALKEY_TLS", "").lower()
    if tls not in BOOLEANS:
        raise MaintenanceError(f"VALKEY_TLS is {tls!r}; it must be true or false")
    first = Endpoint(
        host=hosts[0],
        port=_number(environment.get("VALKEY_PORT") or "6379", "VALKEY_PORT"),
        user=environment.get("VALKEY_USER") or "default",
        password=_password(environment),
        tls=BOOLEANS[tls],
        ca_file=environment.get("VALKEY_CA_FILE") or None,
    )
    return [first.at(host) for host in hosts]


def _number(text: str, where: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 1 << 16:
        raise MaintenanceError(f"{where}: {text!r} is not a port")
    return int(text)


def _password(environment: Mapping[str, str]) -> str:
    path = environment.get("VALKEY_PASSWORD_FILE")
    if not path:
        return environment.get("VALKEY_PASSWORD", "")
    try:
        return Path(path).read_text(encoding="utf-8").rstrip("\r\n")
    except OSError as error:
        raise MaintenanceError(f"VALKEY_PASSWORD_FILE: {path} can't be read: {error.strerror}") from None


def encoded(words: Sequence[Word]) -> bytes:
    """Encode one command."""
    parts = [word if isinstance(word, bytes) else str(word).encode(errors="surrogateescape") for word in words]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)


class Connection:
    """An authenticated connection. Replies are str (invalid UTF-8 is preserved), int, None or list."""

    def __init__(self, endpoint: Endpoint) -> None:
        """Connect. Raises ``UnreachableError``, or ``ServerError`` if the server refuses the user."""
        self.endpoint = endpoint
        with self._connection_errors():
            raw = socket.create_connection((endpoint.host, endpoint.port), timeout=TIMEOUT_SECONDS)
            self._socket = _with_tls(raw, endpoint) if endpoint.tls else raw
            self._replies = self._socket.makefile("rb")
        try:
            if endpoint.password:
                self.call("AUTH", endpoint.user, endpoint.password)
            self.call("PING")
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._replies.close()
            self._socket.close()

    def set_timeout(self, seconds: float) -> None:
        """Set how long to wait for a reply."""
        self._socket.settimeout(seconds)

    def call(self, *words: Word) -> Any:
        """Send one command and return its reply. Raises ``ServerError`` or ``UnreachableError``."""
        (reply,) = self.pipeline([words])
        return self.checked(reply)

    def pipeline(self, commands: Sequence[Sequence[Word]]) -> list[Any]:
        """Send commands and return their replies; a ``ServerError`` is returned in its place, not raised."""
        with self._connection_errors():
            self._socket.sendall(b"".join(map(encoded, commands)))
            return [self._reply() for _ in commands]

    def transaction(self, commands: Sequence[Sequence[Word]]) -> list[Any]:
        """Run commands in a transaction and return their replies. Raises the first ``ServerError``."""
        replies = [self.checked(reply) for reply in self.pipeline([("MULTI",), *commands, ("EXEC",)])]
        return [self.checked(reply) for reply in replies[-1]]

    def exchange(self, request: bytes, lines: int, replies: int) -> tuple[list[bytes], list[Any]]:
        """Send encoded commands together. The first ``lines`` replies are single lines and returned unparsed; the other
        ``replies`` are parsed as in ``pipeline``."""
        with self._connection_errors():
            self._socket.sendall(request)
            unparsed = [self._replies.readline() for _ in range(lines)]
            if unparsed and not unparsed[-1].endswith(b"\n"):
                raise EOFError
            return unparsed, [self._reply() for _ in range(replies)]

    def checked(self, reply: Any) -> Any:
        """Return ``reply``. If it is an error, raise it with the server's address."""
        if not isinstance(reply, ServerError):
            return reply
        text = str(reply)
        if text.startswith(TRANSIENT_ERRORS):
            raise UnreachableError(f"{self.endpoint}: {text}")
        raise ServerError(f"{self.endpoint}: {text}")

    def _reply(self) -> Any:
        line = self._replies.readline()
        if not line.endswith(b"\r\n"):
            raise EOFError
        kind, rest = line[:1], line[1:-2]
        if kind == b"+":
            return _text(rest)
        if kind == b"-":
            return ServerError(_text(rest))
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return None if rest == b"-1" else _text(self._read_exactly(int(rest) + 2)[:-2])
        if kind == b"*":
            return None if rest == b"-1" else [self._reply() for _ in range(int(rest))]
        raise ValueError(f"{line[:40]!r} is not a RESP2 reply")

    def _read_exactly(self, count: int) -> bytes:
        data = self._replies.read(count)
        if len(data) < count:
            raise EOFError
        return data

    @contextlib.contextmanager
    def _connection_errors(self) -> Iterator[None]:
        try:
            yield
        except EOFError:
            raise UnreachableError(f"{self.endpoint}: it closed the connection; see the server's log") from None
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
            raise UnreachableError(f"{self.endpoint}: {reason}") from None


def _with_tls(raw: socket.socket, endpoint: Endpoint) -> socket.socket:
    try:
        try:
            context = ssl.create_default_context(cafile=endpoint.ca_file)
        except OSError as error:
            reason = error.strerror or str(error)
            raise MaintenanceError(f"VALKEY_CA_FILE: {endpoint.ca_file} can't be read: {reason}") from None
        return context.wrap_socket(raw, server_hostname=endpoint.host)
    except BaseException:
        raw.close()
        raise


def _text(value: bytes) -> str:
    return value.decode(errors="surrogateescape")


def pairs(flat: Iterable[Any]) -> dict[str, Any]:
    """Convert a flat list of names and values, as RESP2 sends maps, to a dictionary."""
    items = iter(flat)
    return dict(zip(items, items, strict=True))


def primary(servers: Sequence[Endpoint]) -> Connection:
    """Connect to the only server, or to the primary of several. Raises ``MaintenanceError``."""
    if len(servers) == 1:
        return Connection(servers[0])
    problems = []
    for endpoint in servers:
        try:
            connection = Connection(endpoint)
        except UnreachableError as error:
            problems.append(str(error))
            continue
        if connection.call("ROLE")[0] == "master":
            return connection
        connection.close()
        problems.append(f"{endpoint}: a replica")
    raise UnreachableError(f"no primary found: {'; '.join(problems)}")


def retry_until_ready(seconds: float, attempt: Callable[[], Result]) -> Result:
    """Call ``attempt()`` until it does not raise ``UnreachableError``, or ``seconds`` have passed."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return attempt()
        except UnreachableError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(RETRY_SECONDS)
