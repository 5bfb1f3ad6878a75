"""The backup jobs, for pods and for ``make backup``. Each raises ``BackupError``."""

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path

from . import facts, kinds, rdb, repository, wal
from .errors import BackupError
from .kinds import BASE, DUMP, RDB
from .repository import StoredBackup
from .s3 import BucketClient

Say = Callable[[str], None]
SCHEMA_FILES = ("server.tsv", "tables.tsv", "versions.tsv", facts.CATALOG)


def publish(
    bucket: BucketClient, kind: str, directory: Path, stack: str, retention: timedelta, say: Say
) -> StoredBackup:
    """Upload a dump or a base backup from ``directory``, then delete expired backups. The directory is not changed."""
    about = facts.read(directory)
    if kind == BASE:
        about |= {**facts.base_facts(directory), "finished": datetime.now(UTC).isoformat()}
    moment = datetime.fromisoformat((directory / "time").read_text(encoding="ascii").strip()).astimezone(UTC)
    paths = sorted(path for path in directory.iterdir() if path.is_file() and path.name != "time")
    if kind == DUMP and not any(path.suffix == ".dump" for path in paths):
        raise BackupError(f"there is no dump in {directory}")
    total = sum(path.stat().st_size for path in paths)
    say(f"{kind}: uploading {len(paths)} files, {megabytes(total)}")
    sources = {path.name: repository.file_chunks(path) for path in paths}
    backup = repository.publish(bucket, kind, moment, sources, {"stack": stack, **about})
    say(f"{kind}: {backup.name} is in bucket {bucket.name}")
    _prune(bucket, kind, retention, say)
    if kind == BASE:
        _prune_wal(bucket, say)
    return backup


def snapshot(
    bucket: BucketClient, server: rdb.SnapshotSource, stack: str, retention: timedelta, say: Say
) -> StoredBackup:
    """Stream a snapshot of Valkey to the bucket, without writing it to a local disk."""
    moment = datetime.now(UTC)
    with server.snapshot() as (size, chunks):
        say(f"{RDB}: reading a snapshot of {megabytes(size)}")
        start, whole = _beginning(chunks)
        about = rdb.describe(start)
        backup = repository.publish(bucket, RDB, moment, {"dump.rdb": whole}, {"stack": stack, **about})
    if backup.size != size:
        raise BackupError(f"{RDB}: {backup.size} bytes were stored of a snapshot of {size}; run again")
    say(f"{RDB}: {backup.name} is in bucket {bucket.name}, {about['keys']} keys")
    _prune(bucket, RDB, retention, say)
    return backup


def _beginning(chunks: Iterator[bytes]) -> tuple[bytes, Iterable[bytes]]:
    """Return the first bytes, and an iterable of all bytes."""
    start = b""
    for chunk in chunks:
        start += chunk
        if len(start) >= rdb.HEADER_BYTES:
            break
    return start, chain([start], chunks)


def _prune(bucket: BucketClient, kind: str, retention: timedelta, say: Say) -> None:
    gone = repository.prune(bucket, kind, retention, datetime.now(UTC))
    if gone:
        say(f"{kind}: deleted {len(gone)} older than {retention.days} days, the last of them {gone[-1]}")


def _prune_wal(bucket: BucketClient, say: Say) -> None:
    """Delete WAL from before the oldest base backup, which no restore needs."""
    bases, _ = repository.find(bucket, BASE)
    gone = wal.prune(bucket, min(facts.first_segment(base.manifest) for base in bases)) if bases else 0
    if gone:
        say(f"{kinds.WAL}: deleted {gone} segments from before the oldest base backup")


def megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
