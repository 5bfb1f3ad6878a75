"""Stop what a test run started, even if pytest is killed: the watchdog waits for the end of its standard input.

``python -m tests.support.watchdog`` reads directories, one per line, in which servers have their ``server.json``.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from tests.faults import disks
from tools import locks, processes
from tools.local.paths import read_json
from tools.local.servers import restored
from tools.local.servers.postgres import LocalPostgres

PROJECT = Path(__file__).parents[2]
# All three servers stop at once and keep their data on this signal.
SIGNALS = ((signal.SIGINT, 20.0), (signal.SIGKILL, 5.0))


class Watchdog:
    """Register directories with ``watch``; ``close`` cleans up now."""

    def __init__(self) -> None:
        # A separate session, so that a Ctrl-C in pytest does not stop the watchdog.
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.watchdog"],
            cwd=PROJECT, stdin=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip

    def watch(self, directory: Path) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{directory}\n")
        self._process.stdin.flush()

    def close(self) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait()


def clean(directory: Path) -> None:
    """Stop every server with a record below ``directory``, and remove PostgreSQL's files outside it."""
    lock = directory / "lock"
    # A `make up` that is still running may start more servers: wait until it ends.
    with locks.lock(lock, lambda _pid: None) if lock.exists() else contextlib.nullcontext():
        for record in directory.rglob("server.json"):
            known = read_json(record)
            if known.get("pid") and known.get("created"):
                processes.stop(known["pid"], known["created"], SIGNALS)
            if record.parent.name == LocalPostgres.name:
                postgres = LocalPostgres(record.parent)
                restored.stop_all(postgres.home)
                if postgres.home != record.parent:
                    shutil.rmtree(postgres.home, ignore_errors=True)
    disks.unmount(directory.parent)


def main() -> None:
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, signal.SIG_IGN)
    directories = [Path(line.rstrip("\n")) for line in sys.stdin]
    os.chdir(PROJECT)
    for directory in directories:
        clean(directory)


if __name__ == "__main__":
    main()
