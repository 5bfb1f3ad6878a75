"""Servers beside the running ones, for what was restored: on the loopback address, on a free port, as no root."""

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from provider.errors import ProviderError
from tools.operations.recovery.context import Programs

HOST = "127.0.0.1"
STOP_SECONDS = 30.0
TAIL_LINES = 5


@dataclass(frozen=True)
class Running:
    """A server in ``directory`` (its log beside its data), found again by its pid file."""

    directory: Path
    port: int

    def stop(self) -> None:
        """End it; its data stay."""
        stop(self.directory)

    def remove(self) -> None:
        """End it and delete its data."""
        stop(self.directory)
        shutil.rmtree(self.directory, ignore_errors=True)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def account(programs: Programs) -> "pwd.struct_passwd | None":
    """Who servers run as: None when we are not root. Raises ``ProviderError``."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam(programs.account)
    except KeyError:
        what = f"PostgreSQL does not run as root, and there is no user {programs.account}"
        raise ProviderError(f"{what}; set STELLAOPS_POSTGRES_ACCOUNT") from None


def hand_over(directory: Path, programs: Programs) -> None:
    """Give all below ``directory`` to whom servers run as."""
    owner = account(programs)
    if owner is not None:
        for path in (directory, *directory.rglob("*")):
            os.chown(path, owner.pw_uid, owner.pw_gid, follow_symlinks=False)


def spawn(directory: Path, command: Sequence[str], programs: Programs) -> int:
    """Start a server that outlives us; its pid, which also stands in ``pid``. Its output goes to ``log``."""
    owner = account(programs)
    identity = {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []} if owner else {}
    with (directory / "log").open("ab") as log:
        process = subprocess.Popen(
            list(command), cwd=directory, env={"PATH": os.defpath, "LC_ALL": "C"}, stdin=subprocess.DEVNULL,
            stdout=log, stderr=log, start_new_session=True, umask=0o077, **identity,  # type: ignore[call-overload]
        )  # fmt: skip
    process.returncode = 0  # it goes on without us: nobody waits for it
    (directory / "pid").write_text(str(process.pid), encoding="ascii")
    return int(process.pid)


def is_alive(pid: int) -> bool:
    """Whether it runs; a child of ours that ended is buried."""
    with contextlib.suppress(ChildProcessError):
        if os.waitpid(pid, os.WNOHANG)[0] == pid:
            return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def wait_for(directory: Path, pid: int, answers: Callable[[], bool], progress: Callable[[], None]) -> None:
    """Until it answers. Raises ``ProviderError`` with the end of its log when it ended instead."""
    told = time.monotonic()
    while not answers():
        if not is_alive(pid):
            raise ServerEndedError(tail(directory))
        if time.monotonic() - told > 10:
            told = time.monotonic()
            progress()
        time.sleep(0.2)


class ServerEndedError(ProviderError):
    """It ended by itself; the text is the end of its log."""


def tail(directory: Path) -> str:
    """The end of its log on one line."""
    lines = (directory / "log").read_text(encoding="utf-8", errors="replace").splitlines()
    return "; ".join(line.strip() for line in lines[-TAIL_LINES:])


def stop(directory: Path) -> bool:
    """End the server of that directory, if its pid is still a server of that directory; whether it was."""
    try:
        pid = int((directory / "pid").read_text(encoding="ascii"))
        command = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace") if Path("/proc").exists() else ""
    except (OSError, ValueError):
        return False
    # A pid alone proves nothing: by now it may be somebody else's.
    if command and str(directory) not in command:
        return False
    for number, seconds in ((signal.SIGINT, STOP_SECONDS), (signal.SIGKILL, 5.0)):
        deadline = time.monotonic() + seconds
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        while is_alive(pid) and time.monotonic() < deadline:
            time.sleep(0.05)
        if not is_alive(pid):
            return True
    return True


def existing(restored: Path) -> list[Path]:
    """Every server directory below ``restored``, running or not."""
    return sorted(path for path in restored.iterdir() if path.is_dir()) if restored.exists() else []
