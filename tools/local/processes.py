"""Processes that outlive us: started, found again, stopped. Never a foreign one: a pid alone proves nothing.

A process is known by its pid and its ``mark``: when it started, which no later process with that pid shares.
"""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

STEP_SECONDS = 0.05


@dataclass(frozen=True)
class Account:
    """The user that a process runs as, when it is not ours."""

    name: str
    uid: int
    gid: int


def mark(pid: int) -> str | None:
    """When the process started, for comparison only; None when there is none, or only its remains (a zombie)."""
    if Path("/proc/self/stat").exists():
        try:
            stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return None
        # The name in parentheses may hold anything; state is the first field after it, start time the 20th.
        fields = stat.rpartition(")")[2].split()
        return None if fields[0] in "ZX" else f"{_boot()}/{fields[19]}"
    shown = subprocess.run(["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    state, _, started = shown.stdout.strip().partition(" ")
    return None if not state or state.startswith("Z") else started.strip()


@cache
def _boot() -> str:
    # Ticks count from boot: after a restart of the machine the same pair could come up again.
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def spawn(
    command: Sequence[str | Path],
    directory: Path,
    environment: Mapping[str, str],
    log: Path,
    account: Account | None = None,
) -> int:
    """Start a server that outlives us and does not see our Ctrl-C; its pid. Its output is appended to ``log``."""
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
        # It goes on without us, so Popen need not warn that nobody waited for it.
        process.returncode = 0
        return process.pid
    finally:
        os.close(descriptor)


def _identity(account: Account | None) -> dict[str, Any]:
    return {"user": account.uid, "group": account.gid, "extra_groups": []} if account else {}


def run_as(
    account: Account | None, command: Sequence[str | Path], directory: Path
) -> "subprocess.CompletedProcess[str]":
    """Run a command to its end as another user; its output is captured."""
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


def stop(pid: int, expected: str, signals: Sequence[tuple[signal.Signals, float]]) -> bool:
    """Stop the process with that mark: each signal gets its seconds. False when it was not there (any more)."""
    if mark(pid) != expected:
        return False
    for number, seconds in signals:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            # Our own child stays a zombie until somebody waits for it.
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
            if mark(pid) != expected:
                return True
            time.sleep(STEP_SECONDS)
    return True


def find(argument: str, program: str) -> int | None:
    """The pid of a process of that program name with ``argument`` on its command line."""
    import psutil

    for process in psutil.process_iter(["cmdline", "ppid"]):
        words = process.info["cmdline"] or []
        if argument in words[1:] and Path(words[0]).name == program:
            return int(process.pid)
    return None
