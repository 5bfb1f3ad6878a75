"""The base of the local servers; each stores its port, password and process in its directory."""

import json
import secrets
import shutil
import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path

from tools import processes
from tools.local.errors import UserError
from tools.local.paths import PRIVATE_DIRECTORY, read_json, short, write_private
from tools.local.servers import ports

PASSWORD_BYTES = 24
READY_SECONDS = 60.0
POLL_SECONDS = 0.05
STOP_SECONDS = 30.0
LOG_TAIL_LINES = 12
LOG_BYTES = 10_000_000
ADDRESS_IN_USE = ("address already in use", "port is already in use", "could not bind")

Report = Callable[[str], None]


class NotReady(Exception):  # noqa: N818 - a state, not a failure
    """The server does not accept logins yet."""


def _ignore(_line: str) -> None:
    pass


class LocalServer(ABC):
    """One server in ``directory``. ``start`` and ``stop`` may be called at any time and in any state.

    ``server.json`` holds its port, pid and creation time; ``password`` the root password. Both have mode 0600.
    """

    name: str  # also the name of its directory
    title: str
    program: str  # the executable's name, by which a process is found whose pid is not recorded
    host = ports.LOOPBACK
    user: str
    # Sent in this order, each with the seconds to wait; the last one can't be ignored.
    stop_signals: Sequence[tuple[signal.Signals, float]] = ((signal.SIGTERM, STOP_SECONDS), (signal.SIGKILL, 5.0))

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.created = False  # whether start() created the data

    # Each server implements these.

    @property
    @abstractmethod
    def endpoint(self) -> str:
        """The URL, without credentials."""

    @property
    @abstractmethod
    def data(self) -> Path:
        """Its data or configuration: the argument that distinguishes its process from others of the same program."""

    @abstractmethod
    def _prepare(self) -> None:
        """Create data and configuration where they are missing."""

    @abstractmethod
    def _spawn(self) -> int:
        """Start the process; its pid."""

    @abstractmethod
    def _log_in(self) -> None:
        """Log in once. Raises ``NotReady``, or ``UserError`` when the server refuses the login."""

    def _outdated(self) -> bool:
        """Whether the configuration changed since the process was started."""
        return False

    # Shared by all servers.

    @property
    def log(self) -> Path:
        return self.directory / "log"

    @property
    def port(self) -> int:
        """The port; 0 before the first start."""
        return int(read_json(self._record).get("port", 0))

    @property
    def password(self) -> str:
        """The root password, created on first use."""
        path = self.directory / "password"
        if not path.exists():
            self.directory.mkdir(mode=PRIVATE_DIRECTORY, parents=True, exist_ok=True)
            write_private(path, secrets.token_urlsafe(PASSWORD_BYTES))
        return path.read_text(encoding="utf-8").strip()

    @property
    def status(self) -> str:
        """``running``, ``stopped``, or ``died`` when it ended without ``stop``."""
        if self._running() is not None:
            return "running"
        return "died" if read_json(self._record).get("pid") else "stopped"

    @property
    def ended(self) -> str:
        """A description of the process that ended, for when ``status`` is ``died``."""
        return f"{self.title} (pid {read_json(self._record).get('pid')} is gone, see {short(self.log)})"

    def start(self, report: Report = _ignore) -> bool:
        """Start it unless it runs, and wait until it accepts logins; whether it was started now.

        ``report`` receives unexpected events as text. Raises ``UserError`` with the end of the log when the start fails.
        """
        self.directory.mkdir(mode=PRIVATE_DIRECTORY, parents=True, exist_ok=True)
        if not self._record.exists() and self.stop():
            # A process with our data, but no record of ever starting one: the directory is a new one at the same path.
            report("stopped a server whose state directory had been deleted")
        if self._running() is not None:
            self._await(None)
            if not self._outdated():
                return False
            report("its configuration changed; restarting it")
            self.stop()
        record = read_json(self._record)
        if record.get("pid"):
            report(f"it had ended unexpectedly (pid {record['pid']} is gone, see {short(self.log)}); restarting it")
        self._remember(pid=None, created=None)
        self._prepare()
        self._choose_port(report)
        if self.log.exists() and self.log.stat().st_size > LOG_BYTES:
            self.log.unlink()
        self._launch(report)
        return True

    def stop(self) -> bool:
        """Stop the process that ``start`` started and keep its data; whether there was one."""
        found = self._running()
        stopped = found is not None and processes.stop(*found, self.stop_signals)
        if self._record.exists():
            self._remember(pid=None, created=None)
        return stopped

    def remove(self) -> None:
        """Stop it and delete its directory."""
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    @property
    def _record(self) -> Path:
        return self.directory / "server.json"

    def _remember(self, **values: object) -> None:
        write_private(self._record, json.dumps({**read_json(self._record), **values}))

    def _running(self) -> tuple[int, float] | None:
        """Pid and creation time of our process."""
        if not self.directory.exists():
            return None
        record = read_json(self._record)
        pid, created = record.get("pid"), record.get("created")
        if pid and created and processes.is_running(pid, created):
            return pid, created
        # A command may have been killed after it started the process and before it wrote the record.
        pid = processes.find(str(self.data), self.program)
        found = processes.created(pid) if pid else None
        if pid is None or found is None:
            return None
        self._remember(pid=pid, created=found)
        return pid, found

    def _choose_port(self, report: Report) -> None:
        port = self.port
        if port and not ports.is_free(port):
            chosen = ports.choose()
            report(f"port {port} was taken by {ports.holder(port)}; it listens on port {chosen} from now on")
            self._remember(port=chosen)
        elif not port:
            self._remember(port=ports.choose())

    def _launch(self, report: Report) -> None:
        for last in (False, False, True):
            length = self.log.stat().st_size if self.log.exists() else 0
            pid = self._spawn()
            created = processes.created(pid)
            self._remember(pid=pid, created=created)
            try:
                self._await(pid)
            except UserError:
                if created:
                    processes.stop(pid, created, self.stop_signals)
                self._remember(pid=None, created=None)
                # Another process may have taken the port since it was chosen.
                lost_port = any(text in self._tail(length).lower() for text in ADDRESS_IN_USE)
                if last or not lost_port:
                    raise
                self._remember(port=0)
                self._choose_port(report)
            else:
                return

    def _await(self, pid: int | None) -> None:
        """Wait until it accepts logins. ``pid`` is that of a process that was just started, else None."""
        deadline = time.monotonic() + READY_SECONDS
        while True:
            try:
                self._log_in()
            except NotReady as problem:
                if pid is not None and processes.created(pid) is None:
                    raise self._failure("ended right after its start") from None
                if time.monotonic() > deadline:
                    raise self._failure(f"did not answer within {READY_SECONDS:.0f} s ({problem})") from None
                time.sleep(POLL_SECONDS)
            else:
                return

    def _failure(self, what: str) -> UserError:
        todo = f"the end of {short(self.log)} is above; run `make down`, then `make up` to restart it"
        return UserError(f"{self.title} {what}", todo, self._tail())

    def _tail(self, since: int = 0) -> str:
        try:
            with self.log.open("rb") as file:
                file.seek(max(since, self.log.stat().st_size - LOG_BYTES))
                return "\n".join(file.read().decode(errors="replace").splitlines()[-LOG_TAIL_LINES:])
        except OSError:
            return ""
