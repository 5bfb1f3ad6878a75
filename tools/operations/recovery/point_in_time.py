"""Restore a base backup and WAL to a new server beside the running one, to a point in time or to the end of WAL."""

import shutil
import tarfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import psycopg

from pods.backup_agent import facts, jobs, repository, wal
from pods.backup_agent.errors import BackupError
from pods.backup_agent.kinds import BASE, WAL
from pods.backup_agent.repository import StoredBackup
from provider.errors import ProviderError
from provider.postgres.server import PostgresServer
from tools.operations.recovery import servers, verify
from tools.operations.recovery.context import RecoveryContext, Say, allow_traversal, as_provider_errors
from tools.operations.recovery.servers import HOST, Running, ServerEndedError
from tools.operations.recovery.verify import Check

TOO_SHORT = "recovery ended before configured recovery target was reached"


def choose(context: RecoveryContext, target: datetime | None, name: str | None) -> StoredBackup:
    """Choose the base backup to restore: ``name``, or the newest that was complete before ``target``.

    Raises ``ProviderError`` if the target cannot be restored.
    """
    now = datetime.now(UTC)
    with as_provider_errors():
        if name:
            return repository.load(context.bucket, BASE, name)
        good, _ = repository.find(context.bucket, BASE)
    if not good:
        raise ProviderError(
            f"there is no base backup in the bucket; run python3 -m tools backup --stack {context.stack.name} first"
        )
    if target is None:
        return good[-1]
    if target > now:
        raise ProviderError(
            f"{target:%F %T} UTC is in the future; TO is in UTC unless it ends with an offset like +02:00"
        )
    if now - target > context.retention(BASE):
        days = context.retention(BASE).days
        raise ProviderError(
            f"{target:%F %T} UTC is refused: it is older than the retention of {days} days for PostgreSQL in the mapping"
        )
    before = [backup for backup in good if _end(backup) <= target]
    if not before:
        raise ProviderError(
            f"{target:%F %T} UTC is before the end of the oldest base backup, {_end(good[0]):%F %T} UTC; choose a later time"
        )
    return before[-1]


def _end(backup: StoredBackup) -> datetime:
    return datetime.fromisoformat(backup.manifest["finished"])


def restore(
    context: RecoveryContext, backup: StoredBackup, target: datetime | None, say: Say, *, even_expired: bool = False
) -> tuple[Running, PostgresServer, list[Check]]:
    """Restore and return the new server, its address with the admin login, and its checks. Raises ``ProviderError``.

    After an error nothing is left.
    """
    context.programs.require("postgres", backup.manifest["server"], exactly=True)
    label = f"{target:%Y%m%dT%H%M%S}" if target else "latest"
    directory = context.restored / f"postgres-{backup.name}-{label}"
    if directory.exists():
        raise ProviderError(
            f"{directory} exists already; to restore again, discard it first: python3 -m tools restore"
            f" --stack {context.stack.name} --discard {directory.name}"
        )
    directory.mkdir()
    try:
        with context.scratch() as work:
            _prepare(context, backup, work, directory, target, say, even_expired=even_expired)
            running = _start(context, directory, target, say)
            admin = replace(context.stack.postgres, host=HOST, port=running.port, ssl_mode="disable")
            reader = replace(context.reader, host=HOST, port=running.port, ssl_mode="disable")
            say(f"{BASE}: comparing the restored server with the backup and the mapping")
            checks = verify.after_recovery(context, reader, backup, work)
    except BaseException:
        servers.stop(directory)
        shutil.rmtree(directory, ignore_errors=True)
        raise
    return running, admin, checks


def _prepare(
    context: RecoveryContext,
    backup: StoredBackup,
    work: Path,
    directory: Path,
    target: datetime | None,
    say: Say,
    *,
    even_expired: bool,
) -> None:
    """Create data directory, WAL archive and configuration of the new server."""
    data, archive = directory / "data", directory / "wal"
    data.mkdir(mode=0o700)
    archive.mkdir(mode=0o700)
    # A target within the retention may need a base backup that is older than the retention.
    even_expired = even_expired or target is not None
    with as_provider_errors():
        now = datetime.now(UTC)
        repository.check(context.bucket, backup, context.retention(BASE), now, even_expired=even_expired)
        say(f"{BASE}: downloading {backup.name}, {jobs.megabytes(backup.size)}")
        repository.download(context.bucket, backup, work)
        spaces = [path.name for path in work.glob("*.tar.gz") if path.name not in ("base.tar.gz", "pg_wal.tar.gz")]
        if spaces:
            raise BackupError(f"{backup.name} has tablespaces ({', '.join(spaces)}), which must be restored manually")
        for archive_file, place in (("base.tar.gz", data), ("pg_wal.tar.gz", data / "pg_wal")):
            with tarfile.open(work / archive_file) as tar:
                tar.extractall(place, filter="data")
        first, size = facts.first_segment(backup.manifest), int(backup.manifest["segment_bytes"])
        items = wal.needed(wal.segments(context.bucket), first, size, target)
        for number, _ in enumerate(wal.fetch(context.bucket, items, archive), 1):
            if number % 50 == 0:
                say(f"{WAL}: {number} of {len(items)} files")
        say(f"{WAL}: {len(items)} files from {first} on")
    _configure(data, directory, archive, target)
    servers.change_owner(directory, context.programs)
    allow_traversal(directory)


def _configure(data: Path, directory: Path, archive: Path, target: datetime | None) -> None:
    """Write a new configuration: with the source's, the server could archive to, replicate from or listen on the wrong place."""
    (data / "postgresql.auto.conf").write_text("", encoding="utf-8")
    (data / "recovery.signal").touch()
    (data / "standby.signal").unlink(missing_ok=True)
    lines = {
        "listen_addresses": HOST,
        "unix_socket_directories": "",
        "hba_file": str(directory / "pg_hba.conf"),
        "ident_file": str(directory / "pg_ident.conf"),
        "hot_standby": "off",
        "archive_mode": "off",
        "restore_command": f'cp "{archive}/%f" "%p"',
        "recovery_target_timeline": "latest",
        "recovery_target_action": "promote",
        "timezone": "UTC",
        "log_timezone": "UTC",
    }
    if target is not None:
        lines["recovery_target_time"] = target.isoformat()
    quoted = {key: value.replace("'", "''") for key, value in lines.items()}
    text = "".join(f"{key} = '{value}'\n" for key, value in quoted.items())
    (directory / "postgresql.conf").write_text(text, encoding="utf-8")
    (directory / "pg_hba.conf").write_text(f"host all all {HOST}/32 scram-sha-256\n", encoding="utf-8")
    (directory / "pg_ident.conf").write_text("", encoding="utf-8")


def _start(context: RecoveryContext, directory: Path, target: datetime | None, say: Say) -> Running:
    port = servers.free_port()
    command = [
        context.programs.find("postgres"), "-D", str(directory / "data"),
        "-c", f"config_file={directory / 'postgresql.conf'}", "-c", f"port={port}",
    ]  # fmt: skip
    say(f"{BASE}: recovering {'to ' + format(target, '%F %T.%f') + ' UTC' if target else 'to the end of WAL'}")
    pid = servers.spawn(directory, command, context.programs)
    admin = replace(context.stack.postgres, host=HOST, port=port, ssl_mode="disable")
    refused: list[str] = []

    def is_ready() -> bool:
        try:
            with admin.open(admin.database) as session:
                row = session.execute("SELECT pg_catalog.pg_is_in_recovery()").fetchone()
                return row is not None and not row[0]
        except psycopg.OperationalError as error:
            if "password authentication failed" in str(error):
                refused.append(str(error))
                return True
            return False

    try:
        servers.wait_for(directory, pid, is_ready, lambda: say(f"{BASE}: {servers.tail(directory)[-100:]}"))
    except ServerEndedError as error:
        if TOO_SHORT in str(error):
            raise ProviderError(
                f"the WAL in the bucket ends before {target:%F %T} UTC; restore to an earlier time, or to the latest"
            ) from None
        raise ProviderError(f"the restored server exited: {error}") from None
    if refused:
        raise ProviderError(
            "the restored server refuses the admin password of the stack's config, which was changed since; restore a later time"
        )
    return Running(directory, port)
