"""Server processes that outlive the command that starts them: start, find again, stop.

The system reuses pids, so a process is identified by its pid and its creation time together.
"""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

POLL_SECONDS = 0.05
# The creation time is computed from the boot time, which moves a little when the system's clock is adjusted.
CLOCK_TOLERANCE_SECONDS = 2.0


@dataclass(frozen=True)
class Account:
    """The user that a process runs as, where that is not the current user."""

    name: str
    uid: int
    gid: int


def created(pid: int) -> float | None:
    """When the process was created, in seconds since the epoch; None when there is none, or only a zombie."""
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else float(process.create_time())
    except psutil.Error:
        return None


def is_running(pid: int, created_at: float) -> bool:
    """Whether the process with that pid is the one that was created at that time."""
    found = created(pid)
    return found is not None and abs(found - created_at) <= CLOCK_TOLERANCE_SECONDS


def spawn(
    command: Sequence[str | Path],
    directory: Path,
    environment: Mapping[str, str],
    log: Path,
    account: Account | None = None,
) -> int:
    """Start a server in a session of its own, so that Ctrl-C does not reach it; its pid.

    Its output is appended to ``log``.
    """
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        process = subprocess.Popen(
            [str(part) for part in command],
            cwd=directory,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=descriptor,
            stderr=descriptor,
            start_new_session=True,
            umask=0o077,
            **_identity(account),
        )
        # The server outlives this process: without a return code, Popen would warn that nobody waited for it.
        process.returncode = 0
        return process.pid
    finally:
        os.close(descriptor)


def _identity(account: Account | None) -> dict[str, Any]:
    return {"user": account.uid, "group": account.gid, "extra_groups": []} if account else {}


def run_as(
    account: Account | None, command: Sequence[str | Path], directory: Path
) -> "subprocess.CompletedProcess[str]":
    """Run a command as another user and capture its output."""
    return subprocess.run(
        [str(part) for part in command],
        cwd=directory,
        env={"PATH": os.defpath, "LC_ALL": "C"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        **_identity(account),
    )


def stop(pid: int, created_at: float, signals: Sequence[tuple[signal.Signals, float]]) -> bool:
    """Send each signal in turn and wait its seconds for the process to end.

    Returns False when there was no process with that pid and creation time.
    """
    if not is_running(pid, created_at):
        return False
    for number, seconds in signals:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            reap(pid)
            # Not psutil's wait(): it waits for zombies, which stay where no init process reaps them.
            if not is_running(pid, created_at):
                return True
            time.sleep(POLL_SECONDS)
    return True


def reap(pid: int) -> None:
    """Remove the zombie of a child that ended; does nothing for other processes."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


def find(argument: str, program: str) -> int | None:
    """The pid of a process of that program with ``argument`` on its command line."""
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if argument in words[1:] and Path(words[0]).name == program:
            return int(process.pid)
    return None


def command_line(pid: int) -> str:
    """The command line of a process, its words joined by spaces; empty when it can't be read."""
    try:
        return " ".join(psutil.Process(pid).cmdline())
    except psutil.Error:
        return ""
