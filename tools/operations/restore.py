"""``restore``: restore to a new database or server beside the running one, which does not change, and compare."""

import argparse
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime

from pods.backup_agent import repository
from pods.backup_agent.kinds import DUMP, RDB
from pods.backup_agent.repository import StoredBackup
from provider.errors import ProviderError
from provider.postgres.server import PostgresServer
from tools.operations.recovery import logical, point_in_time, servers, snapshot
from tools.operations.recovery.context import RecoveryContext, as_provider_errors, say
from tools.operations.recovery.verify import Check
from tools.operations.stack import Stack

LATEST = "latest"
DIFFERS = 2


def run(stack: Stack, options: argparse.Namespace) -> int:
    """Restore a store. Exit code 0, 1 for an error, 2 if the restored data differ from the backup."""
    context = RecoveryContext.of(stack)
    if options.discard:
        return _discard(context, options.discard)
    target = None if options.to == LATEST else moment(options.to)
    if options.store == "valkey":
        return _valkey(context, target, options)
    if not options.dump and (context.continuous or target):
        return _point_in_time(context, target, options)
    backup = choose_backup(context, DUMP, target, options.name)
    database, checks = logical.restore(context, backup, say, even_expired=options.even_expired)
    running = stack.postgres.database
    return _report(
        checks,
        f"database {database} is beside {running} and has the state of {backup.time:%F %T} UTC",
        f"switch over   stop the services, then: ALTER DATABASE {running} RENAME TO {running}_before;"
        f" ALTER DATABASE {database} RENAME TO {running}",
        f"discard it    {_discard_command(stack.name, database)}",
    )


def moment(text: str) -> datetime:
    """Parse a time in ISO 8601; UTC unless it has an offset. Raises ``ProviderError``."""
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ProviderError(
            f"{text!r} is not a time; write latest, or a time like '2026-11-25 10:15:00' (UTC)"
        ) from None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def choose_backup(context: RecoveryContext, kind: str, target: datetime | None, name: str | None) -> StoredBackup:
    """Return the backup ``name``, or the newest one (before ``target``, if given). Raises ``ProviderError``."""
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
        raise ProviderError(
            f"there is no backup in {context.bucket.name}/{kind}{before}; run python3 -m tools backup --stack {context.stack.name} first"
        )
    return good[-1]


def _point_in_time(context: RecoveryContext, target: datetime | None, options: argparse.Namespace) -> int:
    backup = point_in_time.choose(context, target, options.name)
    running, server, checks = point_in_time.restore(context, backup, target, say, even_expired=options.even_expired)
    state = f"with the state of {target:%F %T} UTC" if target else "with all WAL in the bucket"
    return _report(
        checks,
        f"a PostgreSQL {state} runs at {url(server)}, beside the running one; logins are the same",
        f"switch over   stop the services, set postgresHost and postgresPort, run {context.stack.up}; or copy the lost rows back:"
        f" pg_dump -h {server.host} -p {server.port} ... | psql",
        f"discard it    {_discard_command(context.stack.name, running.directory.name)}",
    )


def _valkey(context: RecoveryContext, target: datetime | None, options: argparse.Namespace) -> int:
    backup = choose_backup(context, RDB, target, options.name)
    running, server, checks = snapshot.restore(context, backup, say, even_expired=options.even_expired)
    return _report(
        checks,
        f"a Valkey with the state of {backup.time:%F %T} UTC runs at valkey://{server.host}:{server.port}, beside the running one;"
        f" log in as {server.user}",
        "switch over   stop the services and Valkey; put its dump.rdb into Valkey's directory, without appendonlydir; start"
        " it with appendonly no, then CONFIG SET appendonly yes",
        f"discard it    {_discard_command(context.stack.name, running.directory.name)}",
    )


def _discard_command(stack: str, name: str) -> str:
    return f"python3 -m tools restore --stack {stack} --discard {name}"


def url(server: PostgresServer) -> str:
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
        say("the restored data differ, as listed above; they are kept so that you can examine them")
    return DIFFERS if differs else 0


def _discard(context: RecoveryContext, name: str) -> int:
    """Remove a restored server or database. Raises ``ProviderError`` for any other name."""
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
        raise ProviderError(
            f"{name} is not a restored server or database; servers: {there}; databases: {database}_restored_*"
        )
    return 0
