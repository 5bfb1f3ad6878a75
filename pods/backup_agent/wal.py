"""Upload WAL from the directory that ``pg_receivewal`` writes, and download it for recovery.

Finished segments are uploaded and then deleted locally. The current segment is uploaded repeatedly, so that only the WAL
since the last upload is lost if this machine fails.
"""

import hashlib
import re
import zlib
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

from .errors import BackupError
from .kinds import WAL
from .repository import record_success
from .s3 import CHUNK_BYTES, BucketClient, ListedObject

PARTIAL, SUFFIX = ".partial", ".gz"
_FINISHED = re.compile(r"[0-9A-F]{24}|[0-9A-F]{8}\.history")
_SEGMENT = re.compile(r"[0-9A-F]{24}(\.partial)?")
GZIP = 31  # zlib's window bits for a gzip header
LEVEL = 1  # WAL contains many zeros; higher levels gain little
# Maximum difference between the clocks of the database and the object store.
CLOCK_MARGIN = timedelta(minutes=5)


class Shipper:
    """Upload new WAL in ``directory`` when ``ship`` is called."""

    def __init__(self, bucket: BucketClient, directory: Path) -> None:
        self._bucket = bucket
        self._directory = directory
        self._partial: tuple[str, int] | None = None  # name and modification time of the last upload

    def ship(self) -> list[str]:
        """Upload new files and return their names. Raises ``BackupError``."""
        uploaded = []
        for path in sorted(self._directory.iterdir()):
            if _FINISHED.fullmatch(path.name):
                self._upload(path, path.name)
                self._bucket.delete(f"{WAL}/{path.name}{PARTIAL}{SUFFIX}")
                path.unlink()
                uploaded.append(path.name)
        for path in sorted(self._directory.glob(f"*{PARTIAL}")):
            try:
                version = path.name, path.stat().st_mtime_ns
                if version != self._partial and _SEGMENT.fullmatch(path.name):
                    self._upload(path, path.name)
                    self._partial = version
                    uploaded.append(path.name)
            except FileNotFoundError:
                pass  # it was finished meanwhile; the next call uploads it
        # Without an upload, record nothing: pg_receivewal may have stopped.
        if uploaded:
            record_success(self._bucket, WAL, {"uploaded": uploaded[-1]})
        return uploaded

    def _upload(self, path: Path, name: str) -> None:
        content = path.read_bytes()  # one segment: 16 MiB by default
        digest = hashlib.sha256(content).hexdigest()
        compressor = zlib.compressobj(LEVEL, zlib.DEFLATED, GZIP)
        compressed = (compressor.compress(content), compressor.flush())
        self._bucket.put(f"{WAL}/{name}{SUFFIX}", compressed, {"sha256": digest, "size": str(len(content))})


def segments(bucket: BucketClient) -> list[ListedObject]:
    """List every segment and history file in the bucket, sorted by name."""
    files = (item for item in bucket.objects(f"{WAL}/") if item.key.endswith(SUFFIX))
    return sorted(files, key=lambda item: item.key)


def file_name(item: ListedObject) -> str:
    """Return the file name, such as ``00000001000000000000000A``, with ``.partial`` if the segment is unfinished."""
    return item.key.removeprefix(f"{WAL}/").removesuffix(SUFFIX)


def number(name: str, segment_bytes: int) -> int:
    """Return a segment's position in the WAL, independent of its timeline."""
    return int(name[8:16], 16) * ((1 << 32) // segment_bytes) + int(name[16:24], 16)


def needed(
    items: Iterable[ListedObject], first: str, segment_bytes: int, target: datetime | None
) -> list[ListedObject]:
    """Select the files that recovery from segment ``first`` to ``target`` (None: to the end) must read.

    Raises ``BackupError`` if a segment is missing between two others.
    """
    start, past_target = number(first, segment_bytes), False
    numbers: set[int] = set()
    files = [(file_name(item), item) for item in items]
    selected = [item for name, item in files if name.endswith(".history")]
    # Sort by position, not by name, because names start with the timeline.
    numbered = ((number(name, segment_bytes), name, item) for name, item in files if _SEGMENT.fullmatch(name))
    for position, name, item in sorted(numbered, key=lambda entry: entry[:2]):
        if position < start or (past_target and position not in numbers):
            continue
        selected.append(item)
        numbers.add(position)
        # A segment that was stored well after the target contains the target or later WAL.
        past_target = past_target or bool(
            target and item.modified > target + CLOCK_MARGIN and not name.endswith(PARTIAL)
        )
    missing = sorted(set(range(start, max(numbers, default=start) + 1)) - numbers)
    if missing:
        per_file = (1 << 32) // segment_bytes
        shown = f"{missing[0] // per_file:08X}{missing[0] % per_file:08X}"
        raise BackupError(
            f"the WAL in the bucket is not continuous: segment ...{shown} is missing; restore to an earlier time,"
            " or take a new base backup for later ones"
        )
    return selected


def fetch(bucket: BucketClient, items: Iterable[ListedObject], directory: Path) -> Iterator[str]:
    """Download and decompress ``items`` into ``directory`` for ``restore_command``. Yield each name when it is ready.

    Raises ``BackupError`` if a file is damaged or was tampered with.
    """
    finished = {file_name(item) for item in items if not item.key.endswith(PARTIAL + SUFFIX)}
    for item in items:
        name = file_name(item)
        if name.removesuffix(PARTIAL) in finished and name.endswith(PARTIAL):
            continue
        expected = bucket.metadata(item.key).get("sha256")
        digest, decompressor = hashlib.sha256(), zlib.decompressobj(GZIP)
        path = directory / name.removesuffix(PARTIAL)
        try:
            with path.open("wb") as target:
                for chunk in bucket.get(item.key):
                    while chunk:
                        content = decompressor.decompress(chunk, CHUNK_BYTES)
                        digest.update(content)
                        target.write(content)
                        chunk = decompressor.unconsumed_tail  # noqa: PLW2901 - zlib's way to limit its output
                rest = decompressor.flush()
                digest.update(rest)
                target.write(rest)
        except zlib.error:
            expected = None
        if digest.hexdigest() != expected:
            path.unlink(missing_ok=True)
            raise BackupError(
                f"WAL file {item.key} is refused: it was tampered with or damaged; restore to a time before it"
            )
        yield name


def prune(bucket: BucketClient, first: str) -> int:
    """Delete segments before ``first``, which no base backup needs. Keep history files. Return the number deleted."""
    deleted = 0
    for item in segments(bucket):
        name = file_name(item)
        if _SEGMENT.fullmatch(name) and name[8:24] < first[8:24]:
            bucket.delete(item.key)
            deleted += 1
    return deleted
