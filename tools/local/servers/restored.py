"""What ``make restore`` needs to know of this machine, and the servers that it left running."""

import signal
from pathlib import Path

from tools.local import processes
from tools.local.servers import accounts
from tools.local.servers.base import STOP_SECONDS
from tools.local.servers.postgres import Postgres
from tools.local.servers.valkey import program

SIGNALS = ((signal.SIGINT, STOP_SECONDS), (signal.SIGKILL, 5.0))


def directory(postgres_home: Path) -> Path:
    """Where restored servers and WAL that was not shipped yet are: PostgreSQL's user must reach it."""
    return postgres_home / "recovery"


def environment(postgres: Postgres) -> dict[str, str]:
    """Variables of the day-two commands: the programs of the wheels, and who runs servers."""
    account = accounts.unprivileged()
    return {
        "STELLAOPS_POSTGRES_BIN": str(postgres.programs),
        "STELLAOPS_POSTGRES_ACCOUNT": account.name if account else "",
        "STELLAOPS_VALKEY_SERVER": str(program()),
        "STELLAOPS_RECOVERY_DIRECTORY": str(directory(postgres.home)),
    }


def stop_all(postgres_home: Path) -> int:
    """Stop every server that was restored; how many ran. Their data stay."""
    stopped = 0
    for place in sorted((directory(postgres_home) / "restored").glob("*")):
        for argument, name in ((place / "data", "postgres"), (place / "valkey.conf", "valkey-server")):
            pid = processes.find(str(argument), name)
            mark = processes.mark(pid) if pid else None
            if pid and mark:
                stopped += processes.stop(pid, mark, SIGNALS)
    return stopped
