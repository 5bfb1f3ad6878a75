"""What the servers have in common: port, password and process are remembered in the server's directory."""

import json
import secrets
import shutil
import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path

from tools.local import processes
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
    """The server does not answer yet."""


def _ignore(_line: str) -> None:
    pass


class Server(ABC):
    """One server in ``directory``. ``start`` and ``stop`` may be called at any time and in any state.

    ``server.json`` holds port, pid and mark; ``password`` the root password. Both have mode 0600.
    """

    name: str  # also the name of its directory
    title: str
    program: str  # the executable's name, by which a lost process is found again
    host = ports.LOOPBACK
    user: str
    # Asked to end with the first; the last ends it in any case.
    stop_signals: Sequence[tuple[signal.Signals, float]] = ((signal.SIGTERM, STOP_SECONDS), (signal.SIGKILL, 5.0))

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.created = False  # whether start() made the data anew

    # What each server does its own way.

    @property
    @abstractmethod
    def endpoint(self) -> str:
        """The URL, without credentials."""

    @property
    @abstractmethod
    def data(self) -> Path:
        """Where its data are: the argument by which its process is told from others of that program."""

    @abstractmethod
    def _prepare(self) -> None:
        """Make data and configuration, as far as they are missing."""

    @abstractmethod
    def _spawn(self) -> int:
        """Start the process; its pid."""

    @abstractmethod
    def _ask(self) -> None:
        """Log in. Raises ``NotReady``, or ``UserError`` when the server answers and refuses us."""

    def _outdated(self) -> bool:
        """Whether the running process was started with another configuration than it would be now."""
        return False

    # The same for all.

    @property
    def log(self) -> Path:
        return self.directory / "log"

    @property
    def port(self) -> int:
        """The port; 0 before the first start."""
        return int(read_json(self._record).get("port", 0))

    @property
    def password(self) -> str:
        """The root password, made on first use."""
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
        """Who it was, when ``status`` is ``died``, and where to see why."""
        return f"{self.title} (pid {read_json(self._record).get('pid')} is gone, see {short(self.log)})"

    def start(self, report: Report = _ignore) -> bool:
        """Have it run and answer; whether it was started now. Tells ``report`` what the user did not expect.

        Raises ``UserError`` with the log's end when it does not come up.
        """
        self.directory.mkdir(mode=PRIVATE_DIRECTORY, parents=True, exist_ok=True)
        if self._running() is not None:
            self._await(None)
            if not self._outdated():
                return False
            report("its configuration changed; started again")
            self.stop()
        record = read_json(self._record)
        if record.get("pid"):
            report(f"had ended unexpectedly (pid {record['pid']} is gone, see {short(self.log)}); started again")
        self._remember(pid=None, mark=None)
        self._prepare()
        self._choose_port(report)
        if self.log.exists() and self.log.stat().st_size > LOG_BYTES:
            self.log.unlink()
        self._launch(report)
        return True

    def stop(self) -> bool:
        """End the process that ``start`` started, and no other; whether there was one. Data stay."""
        found = self._running()
        stopped = found is not None and processes.stop(*found, self.stop_signals)
        if self._record.exists():
            self._remember(pid=None, mark=None)
        return stopped

    def remove(self) -> None:
        """Stop it and delete its data."""
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    @property
    def _record(self) -> Path:
        return self.directory / "server.json"

    def _remember(self, **values: object) -> None:
        write_private(self._record, json.dumps({**read_json(self._record), **values}))

    def _running(self) -> tuple[int, str] | None:
        """Pid and mark of our process."""
        if not self.directory.exists():
            return None
        record = read_json(self._record)
        pid, known = record.get("pid"), record.get("mark")
        if pid and known and processes.mark(pid) == known:
            return pid, known
        # We may have been killed between its start and writing that down.
        pid = processes.find(str(self.data), self.program)
        found = processes.mark(pid) if pid else None
        if pid is None or found is None:
            return None
        self._remember(pid=pid, mark=found)
        return pid, found

    def _choose_port(self, report: Report) -> None:
        port = self.port
        if port and not ports.is_free(port):
            chosen = ports.choose()
            report(f"port {port} was taken by {ports.holder(port)}; it listens on {chosen} from now on")
            self._remember(port=chosen)
        elif not port:
            self._remember(port=ports.choose())

    def _launch(self, report: Report) -> None:
        for last in (False, False, True):
            length = self.log.stat().st_size if self.log.exists() else 0
            pid = self._spawn()
            mark = processes.mark(pid)
            self._remember(pid=pid, mark=mark)
            try:
                self._await(pid)
            except UserError:
                if mark:
                    processes.stop(pid, mark, self.stop_signals)
                self._remember(pid=None, mark=None)
                # Somebody may have taken the port since we looked.
                lost_port = any(text in self._tail(length).lower() for text in ADDRESS_IN_USE)
                if last or not lost_port:
                    raise
                self._remember(port=0)
                self._choose_port(report)
            else:
                return

    def _await(self, pid: int | None) -> None:
        """Until it answers. ``pid`` is None when it ran already; then its log's end says nothing."""
        deadline = time.monotonic() + READY_SECONDS
        while True:
            try:
                self._ask()
            except NotReady as problem:
                if pid is not None and processes.mark(pid) is None:
                    raise self._failure("ended right after its start") from None
                if time.monotonic() > deadline:
                    raise self._failure(f"did not answer within {READY_SECONDS:.0f} s ({problem})") from None
                time.sleep(POLL_SECONDS)
            else:
                return

    def _failure(self, what: str) -> UserError:
        todo = f"the end of {short(self.log)} is above; `make down`, then `make up` starts it again"
        return UserError(f"{self.title} {what}", todo, self._tail())

    def _tail(self, since: int = 0) -> str:
        try:
            with self.log.open("rb") as file:
                file.seek(max(since, self.log.stat().st_size - LOG_BYTES))
                return "\n".join(file.read().decode(errors="replace").splitlines()[-LOG_TAIL_LINES:])
        except OSError:
            return ""
