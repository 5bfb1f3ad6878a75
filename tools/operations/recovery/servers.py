"""Run servers with restored data beside the running ones: on the loopback address, on a free port, never as root."""

import os
import pwd
import shutil
import signal
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from provider.errors import ProviderError
from tools import processes
from tools.operations.recovery.context import Programs
from tools.processes import Account

HOST = "127.0.0.1"
SIGNALS = ((signal.SIGINT, 30.0), (signal.SIGKILL, 5.0))
TAIL_LINES = 5


@dataclass(frozen=True)
class Running:
    """A restored server in ``directory``, which contains its data, log and pid file."""

    directory: Path
    port: int

    def stop(self) -> None:
        """Stop the server and keep its data."""
        stop(self.directory)

    def remove(self) -> None:
        """Stop the server and delete its data."""
        stop(self.directory)
        shutil.rmtree(self.directory, ignore_errors=True)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def account(programs: Programs) -> Account | None:
    """Return the user that servers run as; None if the current user is not root. Raises ``ProviderError``."""
    if os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwnam(programs.account)
    except KeyError:
        raise ProviderError(
            f"PostgreSQL does not run as root, and there is no user {programs.account};"
            " set STELLAOPS_POSTGRES_ACCOUNT to an existing user"
        ) from None
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def change_owner(directory: Path, programs: Programs) -> None:
    """Change the owner of ``directory`` and its content to the user that servers run as."""
    owner = account(programs)
    if owner is not None:
        for path in (directory, *directory.rglob("*")):
            os.chown(path, owner.uid, owner.gid, follow_symlinks=False)


def spawn(directory: Path, command: Sequence[str], programs: Programs) -> int:
    """Start a server with its output in ``log``. Write its pid to ``pid`` and return it."""
    environment = {"PATH": os.defpath, "LC_ALL": "C"}
    pid = processes.spawn(command, directory, environment, directory / "log", account(programs))
    (directory / "pid").write_text(str(pid), encoding="ascii")
    return pid


def is_alive(pid: int) -> bool:
    """Whether the process runs."""
    processes.reap(pid)
    return processes.created(pid) is not None


def wait_for(directory: Path, pid: int, is_ready: Callable[[], bool], progress: Callable[[], None]) -> None:
    """Wait until ``is_ready`` returns True. Raises ``ServerEndedError`` if the server exits first."""
    reported = time.monotonic()
    while not is_ready():
        if not is_alive(pid):
            raise ServerEndedError(tail(directory))
        if time.monotonic() - reported > 10:
            reported = time.monotonic()
            progress()
        time.sleep(0.2)


class ServerEndedError(ProviderError):
    """The server exited; the text is the end of its log."""


def tail(directory: Path) -> str:
    """Return the end of the server's log in one line."""
    lines = (directory / "log").read_text(encoding="utf-8", errors="replace").splitlines()
    return "; ".join(line.strip() for line in lines[-TAIL_LINES:])


def stop(directory: Path) -> bool:
    """Stop the server in ``directory``. Return whether one was running."""
    try:
        pid = int((directory / "pid").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return False
    created = processes.created(pid)
    # The pid may belong to another process now.
    if created is None or str(directory) not in processes.command_line(pid):
        return False
    return processes.stop(pid, created, SIGNALS)


def existing(restored: Path) -> list[Path]:
    """Return all server directories below ``restored``, running or not."""
    return sorted(path for path in restored.iterdir() if path.is_dir()) if restored.exists() else []
