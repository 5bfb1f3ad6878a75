"""Settings of ``make restore`` on this machine, and the restored servers that are still running."""

import signal
from pathlib import Path

from tools import processes
from tools.local.servers import accounts
from tools.local.servers.base import STOP_SECONDS
from tools.local.servers.postgres import LocalPostgres
from tools.local.servers.valkey import program

SIGNALS = ((signal.SIGINT, STOP_SECONDS), (signal.SIGKILL, 5.0))


def directory(postgres_home: Path) -> Path:
    """The directory of restored servers and of WAL that is not archived yet; PostgreSQL's user can enter it."""
    return postgres_home / "recovery"


def environment(postgres: LocalPostgres) -> dict[str, str]:
    """Environment variables of the day-two commands: server programs, and PostgreSQL's user."""
    account = accounts.unprivileged()
    return {
        "STELLAOPS_POSTGRES_BIN": str(postgres.programs),
        "STELLAOPS_POSTGRES_ACCOUNT": account.name if account else "",
        "STELLAOPS_VALKEY_SERVER": str(program()),
        "STELLAOPS_RECOVERY_DIRECTORY": str(directory(postgres.home)),
    }


def stop_all(postgres_home: Path) -> int:
    """Stop all restored servers, keep their data, and return how many were running."""
    stopped = 0
    for server in sorted((directory(postgres_home) / "restored").glob("*")):
        for argument, name in ((server / "data", "postgres"), (server / "valkey.conf", "valkey-server")):
            pid = processes.find(str(argument), name)
            created = processes.created(pid) if pid else None
            if pid and created:
                stopped += processes.stop(pid, created, SIGNALS)
    return stopped
