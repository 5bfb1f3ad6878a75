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
    details = facts.read(directory)
    if kind == BASE:
        details |= {**facts.base_facts(directory), "finished": datetime.now(UTC).isoformat()}
    moment = datetime.fromisoformat((directory / "time").read_text(encoding="ascii").strip()).astimezone(UTC)
    paths = sorted(path for path in directory.iterdir() if path.is_file() and path.name != "time")
    if kind == DUMP and not any(path.suffix == ".dump" for path in paths):
        raise BackupError(f"there is no dump in {directory}")
    total = sum(path.stat().st_size for path in paths)
    say(f"{kind}: uploading {len(paths)} files, {megabytes(total)}")
    sources = {path.name: repository.file_chunks(path) for path in paths}
    backup = repository.publish(bucket, kind, moment, sources, {"stack": stack, **details})
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
        header, content = _peek_header(chunks)
        details = rdb.describe(header)
        backup = repository.publish(bucket, RDB, moment, {"dump.rdb": content}, {"stack": stack, **details})
    if backup.size != size:
        raise BackupError(f"{RDB}: only {backup.size} of the snapshot's {size} bytes were stored; run again")
    say(f"{RDB}: {backup.name} is in bucket {bucket.name}, {details['keys']} keys")
    _prune(bucket, RDB, retention, say)
    return backup


def _peek_header(chunks: Iterator[bytes]) -> tuple[bytes, Iterable[bytes]]:
    """Return the first bytes, and an iterable of all bytes including them."""
    header = b""
    for chunk in chunks:
        header += chunk
        if len(header) >= rdb.HEADER_BYTES:
            break
    return header, chain([header], chunks)


def _prune(bucket: BucketClient, kind: str, retention: timedelta, say: Say) -> None:
    deleted = repository.prune(bucket, kind, retention, datetime.now(UTC))
    if deleted:
        say(f"{kind}: deleted {len(deleted)} expired or unfinished backups, the newest of them {deleted[-1]}")


def _prune_wal(bucket: BucketClient, say: Say) -> None:
    """Delete WAL that is older than the oldest base backup, because no restore needs it."""
    bases, _ = repository.find(bucket, BASE)
    deleted = wal.prune(bucket, min(facts.first_segment(base.manifest) for base in bases)) if bases else 0
    if deleted:
        say(f"{kinds.WAL}: deleted {deleted} segments from before the oldest base backup")


def megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
