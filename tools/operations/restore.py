"""``restore``: into a new database or a new server beside the running one, which is never touched; then a comparison."""

import argparse
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime

from pods.backup_agent import repository
from pods.backup_agent.kinds import DUMP, RDB
from pods.backup_agent.repository import StoredBackup
from provider.errors import ProviderError
from provider.postgres.server import Server
from tools.operations.recovery import logical, point_in_time, servers, snapshot
from tools.operations.recovery.context import RecoveryContext, as_provider_errors, say
from tools.operations.recovery.verify import Check
from tools.operations.stack import Stack

LATEST = "latest"
DIFFERS = 2


def run(stack: Stack, options: argparse.Namespace) -> int:
    """Exit code 0, 1 for an error, 2 when what was restored is not as the backup says."""
    context = RecoveryContext.of(stack)
    if options.discard:
        return _discard(context, options.discard)
    target = None if options.to == LATEST else moment(options.to)
    if options.store == "valkey":
        return _valkey(context, target, options)
    if not options.dump and (context.continuous or target):
        return _point_in_time(context, target, options)
    backup = chosen(context, DUMP, target, options.name)
    database, checks = logical.restore(context, backup, say, even_expired=options.even_expired)
    running = stack.postgres.database
    return _report(
        checks,
        f"database {database} is as of {backup.time:%F %T} UTC, beside {running}",
        f"switch over   stop the services, then: ALTER DATABASE {running} RENAME TO {running}_before;"
        f" ALTER DATABASE {database} RENAME TO {running}",
        f"discard it    restore --discard {database}",
    )


def moment(text: str) -> datetime:
    """A time as the user writes it; UTC unless it has an offset. Raises ``ProviderError``."""
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ProviderError(f"{text!r} is no time; write latest, or one like '2026-11-25 10:15:00' (UTC)") from None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def chosen(context: RecoveryContext, kind: str, target: datetime | None, name: str | None) -> StoredBackup:
    """The backup of that name, or the newest, or the newest before ``target``. Raises ``ProviderError``."""
    with as_provider_errors():
        if name:
            return repository.load(context.bucket, kind, name)
        good, bad = repository.find(context.bucket, kind)
    for reason in bad.values():
        say(f"note: {reason}")
    if target is not None:
        good = [backup for backup in good if backup.time <= target]
    if not good:
        before = f" from before {target:%F %T} UTC" if target else ""
        raise ProviderError(f"there is no backup in {context.bucket.name}/{kind}{before}; run backup first")
    return good[-1]


def _point_in_time(context: RecoveryContext, target: datetime | None, options: argparse.Namespace) -> int:
    backup = point_in_time.choose(context, target, options.name)
    running, server, checks = point_in_time.restore(context, backup, target, say, even_expired=options.even_expired)
    when = f"as of {target:%F %T} UTC" if target else "as far as WAL reaches"
    return _report(
        checks,
        f"a PostgreSQL {when} runs at {url(server)}, beside the running one; log in as before",
        f"switch over   stop the services, set postgresHost and postgresPort, run pulumi up; or copy back what was lost:"
        f" pg_dump -h {server.host} -p {server.port} ... | psql",
        f"discard it    restore --discard {running.directory.name}",
    )


def _valkey(context: RecoveryContext, target: datetime | None, options: argparse.Namespace) -> int:
    backup = chosen(context, RDB, target, options.name)
    running, server, checks = snapshot.restore(context, backup, say, even_expired=options.even_expired)
    return _report(
        checks,
        f"a Valkey as of {backup.time:%F %T} UTC runs at valkey://{server.host}:{server.port}, beside the running one;"
        f" log in as {server.user}",
        "switch over   stop the services and Valkey; put its dump.rdb into Valkey's directory, without appendonlydir; start"
        " it with appendonly no, then CONFIG SET appendonly yes",
        f"discard it    restore --store valkey --discard {running.directory.name}",
    )


def url(server: Server) -> str:
    return f"postgresql://{server.host}:{server.port}/{server.database}"


def _report(checks: Sequence[Check], *lines: str) -> int:
    say("")
    for check in checks:
        say(f"  {check.line}")
    say("")
    for line in lines:
        say(f"  {line}" if line is not lines[0] else line)
    differs = [check for check in checks if check.differences]
    if differs:
        say("")
        say("what was restored is not as it should be, see above; it stays, so that you can look at it")
    return DIFFERS if differs else 0


def _discard(context: RecoveryContext, name: str) -> int:
    """Only what a restore made."""
    directories = {path.name: path for path in servers.existing(context.restored)}
    database = context.stack.postgres.database
    if name in directories:
        servers.stop(directories[name])
        shutil.rmtree(directories[name])
        say(f"stopped and removed {name}")
    elif name.startswith(f"{database}_restored_"):
        logical.discard(context, name)
        say(f"dropped database {name}")
    else:
        there = ", ".join(directories) or "none"
        raise ProviderError(f"{name} is nothing that was restored; servers: {there}; databases: {database}_restored_*")
    return 0
