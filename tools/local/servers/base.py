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


def ignore(_line: str) -> None:
    pass


class LocalServer(ABC):
    """One server in ``directory``. ``start`` and ``stop`` may be called at any time and in any state.

    ``server.json`` holds its port, pid and creation time; ``password`` the root password. Both have mode 0600.
    """

    name: str  # also the name of its directory
    title: str
    program: str  # the executable's name, to find a process whose pid is not recorded
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
        """Its data or configuration: the command-line argument that identifies its process."""

    @abstractmethod
    def _prepare(self) -> None:
        """Create data and configuration if they are missing."""

    @abstractmethod
    def _spawn(self) -> int:
        """Start the process and return its pid."""

    @abstractmethod
    def _log_in(self) -> None:
        """Log in once. Raises ``NotReady``, or ``UserError`` if the server refuses the login."""

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
        """A description of the process that ended, if ``status`` is ``died``."""
        return f"{self.title} (pid {read_json(self._record).get('pid')} is gone, see {short(self.log)})"

    def start(self, report: Report = ignore, *, reconfigure: bool = True) -> bool:
        """Start the server if it isn't running and wait until it accepts logins; True if it was started.

        A running server whose configuration changed is restarted, unless ``reconfigure`` is false.
        ``report`` receives unexpected events as text. Raises ``UserError`` with the end of the log if the start fails.
        """
        self.directory.mkdir(mode=PRIVATE_DIRECTORY, parents=True, exist_ok=True)
        if not self._record.exists() and self.stop():
            # The process has our data path but no record, so this directory replaced a deleted one at the same path.
            report("stopped a server whose state directory had been deleted")
        if self._running() is not None:
            self._wait_until_ready(None)
            if not (reconfigure and self._outdated()):
                return False
            report("its configuration changed; restarting it")
            self.stop()
        record = read_json(self._record)
        if record.get("pid"):
            report(f"it had ended unexpectedly (pid {record['pid']} is gone, see {short(self.log)}); restarting it")
        self._update_record(pid=None, created=None)
        self._prepare()
        self._choose_port(report)
        if self.log.exists() and self.log.stat().st_size > LOG_BYTES:
            self.log.unlink()
        self._launch(report)
        return True

    def stop(self) -> bool:
        """Stop the server and keep its data; True if it was running."""
        process = self._running()
        stopped = process is not None and processes.stop(*process, self.stop_signals)
        if self._record.exists():
            self._update_record(pid=None, created=None)
        return stopped

    def remove(self) -> None:
        """Stop the server and delete its directory."""
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    @property
    def _record(self) -> Path:
        return self.directory / "server.json"

    def _update_record(self, **values: object) -> None:
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
        created = processes.created(pid) if pid else None
        if pid is None or created is None:
            return None
        self._update_record(pid=pid, created=created)
        return pid, created

    def _choose_port(self, report: Report) -> None:
        port = self.port
        if port and not ports.is_free(port):
            chosen = ports.choose()
            report(f"port {port} is used by {ports.holder(port)}; the server now listens on port {chosen}")
            self._update_record(port=chosen)
        elif not port:
            self._update_record(port=ports.choose())

    def _launch(self, report: Report) -> None:
        for last in (False, False, True):
            length = self.log.stat().st_size if self.log.exists() else 0
            pid = self._spawn()
            created = processes.created(pid)
            self._update_record(pid=pid, created=created)
            try:
                self._wait_until_ready(pid)
            except UserError:
                if created:
                    processes.stop(pid, created, self.stop_signals)
                self._update_record(pid=None, created=None)
                # Another process may have bound the port since it was chosen.
                lost_port = any(text in self._tail(length).lower() for text in ADDRESS_IN_USE)
                if last or not lost_port:
                    raise
                self._update_record(port=0)
                self._choose_port(report)
            else:
                return

    def _wait_until_ready(self, pid: int | None) -> None:
        """Wait until the server accepts logins. ``pid`` is the process, if it was just started."""
        deadline = time.monotonic() + READY_SECONDS
        while True:
            try:
                self._log_in()
            except NotReady as error:
                if pid is not None and processes.created(pid) is None:
                    raise self._failure("ended right after its start") from None
                if time.monotonic() > deadline:
                    raise self._failure(f"did not answer within {READY_SECONDS:.0f} s ({error})") from None
                time.sleep(POLL_SECONDS)
            else:
                return

    def _failure(self, problem: str) -> UserError:
        remedy = f"the end of {short(self.log)} is above; run `make down`, then `make up` to restart it"
        return UserError(f"{self.title} {problem}", remedy, self._tail())

    def _tail(self, since: int = 0) -> str:
        try:
            with self.log.open("rb") as file:
                file.seek(max(since, self.log.stat().st_size - LOG_BYTES))
                return "\n".join(file.read().decode(errors="replace").splitlines()[-LOG_TAIL_LINES:])
        except OSError:
            return ""
