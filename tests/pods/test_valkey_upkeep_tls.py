"""The upkeep client over TLS, through a small terminator: the server of the tests has no TLS of its own."""

import contextlib
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from components.mapping import load
from pods.valkey_upkeep.resp import Connection, Endpoint, MaintenanceError, UnreachableError
from tests.support.own_valkey import own_valkey

ROOT = Path(__file__).parents[2]
MAPPING = load(ROOT / "schema-mapping.yaml")

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")


def forward(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65_536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


def serve(listener: socket.socket, context: ssl.SSLContext, port: int) -> None:
    while True:
        try:
            raw, _ = listener.accept()
        except OSError:
            return
        try:
            client = context.wrap_socket(raw, server_side=True)
        except OSError:
            raw.close()
            continue
        server = socket.create_connection(("127.0.0.1", port))
        threading.Thread(target=forward, args=(client, server), daemon=True).start()
        forward(server, client)
        client.close()
        server.close()


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    """A server behind TLS as ``localhost``, with a certificate of its own authority."""
    home = tmp_path_factory.mktemp("tls")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out", "ca.pem", "-days", "1",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"],
        cwd=home, check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(home / "ca.pem", home / "key.pem")
    with own_valkey(MAPPING, []) as own, socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, args=(listener, context, own.port), daemon=True).start()
        port = listener.getsockname()[1]
        yield replace(own.endpoint, host="localhost", port=port, tls=True, ca_file=str(home / "ca.pem"))


def test_with_its_authority_the_server_is_trusted(secured: Endpoint) -> None:
    with Connection(secured) as connection:
        assert connection.call("PING") == "PONG"


def test_a_server_of_an_unknown_authority_gets_no_password(secured: Endpoint) -> None:
    with pytest.raises(UnreachableError, match=r"(?i)certificate"):
        Connection(replace(secured, ca_file=None))


def test_a_server_with_another_name_gets_no_password(secured: Endpoint) -> None:
    with pytest.raises(UnreachableError, match=r"(?i)certificate"):
        Connection(replace(secured, host="127.0.0.1"))


def test_an_authority_that_cannot_be_read_is_named(secured: Endpoint) -> None:
    with pytest.raises(MaintenanceError, match=r"VALKEY_CA_FILE: /no/ca.pem can't be read"):
        Connection(replace(secured, ca_file="/no/ca.pem"))
