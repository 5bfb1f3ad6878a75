"""Read a snapshot of Valkey as a replica does, with ``SYNC``. Needs no file access to the server."""

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from pods.valkey_upkeep.resp import encoded

from .errors import BackupError
from .s3 import CHUNK_BYTES, trusted

TIMEOUT_SECONDS = 60  # without any data; while a server saves a snapshot, it sends newlines
MAGIC = (b"REDIS", b"VALKEY")
AUX, RESIZE, SELECT = 0xFA, 0xFB, 0xFE
HEADER_BYTES = 4096  # far more than the fields before the first key


@dataclass(frozen=True)
class SnapshotSource:
    """Address and user of Valkey; the user needs ``+ping +replconf +sync`` and no keys."""

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    tls: bool = False
    ca_file: str = ""

    @contextmanager
    def snapshot(self) -> Iterator[tuple[int, Iterator[bytes]]]:
        """Yield the size and the content of the RDB file. Raises ``BackupError``, also if the connection breaks."""
        place = f"Valkey at {self.host}:{self.port}"
        try:
            with self._connected() as connection:
                reader = connection.makefile("rb")
                _call(connection, reader, place, "AUTH", self.user, self.password)
                # Request only the snapshot, so that the server keeps no replication buffer for this connection.
                _call(connection, reader, place, "REPLCONF", "rdb-only", "1")
                connection.sendall(encoded(["SYNC"]))
                reply = b""
                while not reply.strip():
                    reply = reader.readline()
                    if not reply:
                        raise BackupError(f"{place} closed the connection before its snapshot; see its log")
                if not reply.startswith(b"$"):
                    raise BackupError(
                        f"{place} refuses SYNC: {reply.decode(errors='replace').strip().lstrip('-')}; see its log"
                    )
                size = int(reply[1:])
                yield size, _exactly(reader, size, place)
        except (OSError, ValueError) as error:
            raise BackupError(f"{place}: {error}; check that it runs and that host, port and TLS are right") from None

    def _connected(self) -> socket.socket:
        connection = socket.create_connection((self.host, self.port), timeout=TIMEOUT_SECONDS)
        if not self.tls:
            return connection
        context: ssl.SSLContext = trusted(self.ca_file)
        return context.wrap_socket(connection, server_hostname=self.host)


def _call(connection: socket.socket, reader: Any, place: str, *words: str) -> None:
    connection.sendall(encoded(words))
    reply = reader.readline().decode(errors="replace").strip()
    if not reply.startswith("+"):
        raise BackupError(f"{place} refuses {words[0]}: {reply.lstrip('-') or 'it closed the connection'}")


def _exactly(reader: Any, size: int, place: str) -> Iterator[bytes]:
    left = size
    while left:
        chunk = reader.read(min(CHUNK_BYTES, left))
        if not chunk:
            raise BackupError(f"{place} closed the connection {left} bytes before the end of its snapshot; run again")
        left -= len(chunk)
        yield chunk


def describe(start: bytes) -> dict[str, Any]:
    """Read the header of an RDB file: its format, the server's version, the number of ``keys``, and how many of them
    have a TTL (``expiring``). Raises ``BackupError`` if it is not an RDB file."""
    magic = next((word for word in MAGIC if start.startswith(word)), None)
    if magic is None:
        raise BackupError("this is not an RDB file: it does not start with REDIS or VALKEY")
    position = 9  # after the magic and the format's digits
    header: dict[str, Any] = {"rdb_format": int(start[len(magic) : position]), "server": "", "keys": 0, "expiring": 0}
    try:
        while True:
            opcode = start[position]
            position += 1
            if opcode == AUX:
                name, position = _text(start, position)
                value, position = _text(start, position)
                if name in ("valkey-ver", "redis-ver"):
                    header["server"] = value
            elif opcode == SELECT:
                _, position = _length(start, position)
            elif opcode == RESIZE:
                keys, position = _length(start, position)
                expiring, position = _length(start, position)
                return {**header, "keys": keys, "expiring": expiring}
            else:
                return header  # an empty database has no RESIZE field
    except (IndexError, ValueError):
        raise BackupError("the header of this RDB file is damaged") from None


def _length(data: bytes, position: int) -> tuple[int, int]:
    """Decode a length of 6, 14, 32 or 64 bits. Return it and the next position."""
    first = data[position]
    kind = first >> 6
    if kind == 0:
        return first & 0x3F, position + 1
    if kind == 1:
        return (first & 0x3F) << 8 | data[position + 1], position + 2
    if first == 0x80:
        return int.from_bytes(data[position + 1 : position + 5], "big"), position + 5
    if first == 0x81:
        return int.from_bytes(data[position + 1 : position + 9], "big"), position + 9
    raise ValueError(first)


def _text(data: bytes, position: int) -> tuple[str, int]:
    """Decode a string, which may be stored as an integer. Return it and the next position."""
    first = data[position]
    if first >> 6 == 3:
        width = {0xC0: 1, 0xC1: 2, 0xC2: 4}[first] if first in (0xC0, 0xC1, 0xC2) else 0
        if not width:
            raise ValueError(first)
        end = position + 1 + width
        return str(int.from_bytes(data[position + 1 : end], "little", signed=True)), end
    length, position = _length(data, position)
    if position + length > len(data):
        raise IndexError
    return data[position : position + length].decode(errors="replace"), position + length
