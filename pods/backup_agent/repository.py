"""Store, find, check and prune backups in the bucket.

A backup is a prefix ``<kind>/<time>/`` with a ``manifest.json``, which is written last. A prefix without a manifest is an
unfinished backup. ``<kind>/latest.json`` contains the time of the last successful backup.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from .errors import BackupError
from .kinds import BASE
from .s3 import CHUNK_BYTES, BucketClient, ListedObject, MissingError

FORMAT = 1
MANIFEST, LATEST = "manifest.json", "latest.json"
UNFINISHED_AFTER = timedelta(days=1)
_NAME = re.compile(r"\d{8}T\d{9}Z")


@dataclass(frozen=True)
class StoredBackup:
    """A backup with a valid manifest. ``name`` is its time, as formatted in the bucket."""

    kind: str
    name: str
    manifest: dict[str, Any]

    @property
    def time(self) -> datetime:
        return datetime.fromisoformat(self.manifest["time"])

    @property
    def prefix(self) -> str:
        return f"{self.kind}/{self.name}/"

    @property
    def size(self) -> int:
        return sum(int(file["size"]) for file in self.manifest["files"])


def name_of(moment: datetime) -> str:
    """Format a backup's name, such as ``20261125T101500123Z``; names sort by time and are unique within a kind."""
    return f"{moment:%Y%m%dT%H%M%S}{moment.microsecond // 1000:03d}Z"


def publish(
    bucket: BucketClient,
    kind: str,
    moment: datetime,
    sources: Mapping[str, Iterable[bytes]],
    facts: Mapping[str, Any],
) -> StoredBackup:
    """Upload ``sources`` (file name -> content), then the manifest with ``facts``, then ``latest.json``."""
    name = name_of(moment)
    files = []
    for file, chunks in sources.items():
        stored = bucket.put(f"{kind}/{name}/{file}", chunks)
        files.append({"name": file, "size": stored.size, "sha256": stored.sha256})
    manifest = {"format": FORMAT, "kind": kind, "time": moment.isoformat(), **facts, "files": files}
    bucket.put(f"{kind}/{name}/{MANIFEST}", [_json(manifest)])
    record_success(bucket, kind, {"name": name, "size": sum(int(str(file["size"])) for file in files)})
    return StoredBackup(kind, name, manifest)


def record_success(bucket: BucketClient, kind: str, details: Mapping[str, Any]) -> None:
    """Record the current time as the last success of this kind."""
    bucket.put(f"{kind}/{LATEST}", [_json({"time": datetime.now(UTC).isoformat(), **details})])


def last_success(bucket: BucketClient, kind: str) -> datetime | None:
    """Return the time of the last successful backup of this kind, or None."""
    try:
        return datetime.fromisoformat(json.loads(bucket.read(f"{kind}/{LATEST}"))["time"])
    except MissingError:
        return None
    except (ValueError, KeyError, TypeError):
        raise BackupError(f"{kind}/{LATEST} in bucket {bucket.name} is damaged; the next backup replaces it") from None


def file_chunks(path: Path) -> Iterable[bytes]:
    """Read a local file in chunks."""
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk


def find(bucket: BucketClient, kind: str) -> tuple[list[StoredBackup], dict[str, str]]:
    """Return all usable backups of a kind, oldest first, and name -> reason of the unusable ones."""
    usable, unusable = [], {}
    for name in _names(bucket, kind):
        try:
            usable.append(load(bucket, kind, name))
        except BackupError as error:
            unusable[name] = str(error)
    return usable, unusable


def load(bucket: BucketClient, kind: str, name: str) -> StoredBackup:
    """Load a backup by its name. Raises ``BackupError`` if it is unfinished or its manifest is invalid."""
    try:
        text = bucket.read(f"{kind}/{name}/{MANIFEST}")
    except MissingError:
        raise BackupError(f"backup {kind}/{name} is unfinished: it has no {MANIFEST}; choose another") from None
    try:
        manifest = json.loads(text)
        backup = StoredBackup(kind, name, manifest)
        problem = (
            f"has format {manifest['format']}, but this program supports {FORMAT}"
            if manifest["format"] != FORMAT
            else "belongs to another backup"
            if manifest["kind"] != kind or name_of(backup.time.astimezone(UTC)) != name
            else ""
        )
        for file in manifest["files"]:
            if not re.fullmatch(r"[0-9a-f]{64}", file["sha256"]) or Path(file["name"]).name != file["name"]:
                problem = "lists an invalid file name or SHA-256"
            int(file["size"])
    except (ValueError, KeyError, TypeError, AttributeError):
        problem = "is not readable"
    if problem:
        raise BackupError(f"backup {kind}/{name} is refused: its {MANIFEST} {problem}; it was tampered with or damaged")
    return backup


def check(
    bucket: BucketClient, backup: StoredBackup, retention: timedelta, now: datetime, *, even_expired: bool = False
) -> None:
    """Raise ``BackupError`` if the backup must not be restored. Only ``download`` checks the content of its files."""
    place = f"backup {backup.prefix[:-1]}"
    if backup.time > now + timedelta(minutes=5):
        raise BackupError(f"{place} is refused: its time {backup.time:%F %T} UTC is in the future")
    if now - backup.time > retention and not even_expired:
        age = (now - backup.time).days
        raise BackupError(
            f"{place} is refused: it expired: it is {age} days old and the retention in the mapping is"
            f" {retention.days} days; --even-expired restores it anyway"
        )
    actual = {item.key.removeprefix(backup.prefix): item.size for item in bucket.objects(backup.prefix)}
    expected = {file["name"]: int(file["size"]) for file in backup.manifest["files"]}
    for name, size in expected.items():
        if name not in actual:
            raise BackupError(f"{place} is refused: {name} is missing; choose another backup")
        if actual[name] != size:
            fault = "truncated" if actual[name] < size else "tampered with"
            raise BackupError(f"{place} is refused: {name} was {fault}, {actual[name]} bytes instead of {size}")
    unexpected = sorted(actual.keys() - expected.keys() - {MANIFEST})
    if unexpected:
        raise BackupError(f"{place} is refused: {unexpected[0]} was added after the backup was taken")


def download(bucket: BucketClient, backup: StoredBackup, directory: Path) -> None:
    """Download all files to ``directory``. Raises ``BackupError`` if a SHA-256 differs from the manifest's."""
    import hashlib

    for file in backup.manifest["files"]:
        digest = hashlib.sha256()
        path = directory / file["name"]
        with path.open("wb") as target:
            for chunk in bucket.get(backup.prefix + file["name"]):
                digest.update(chunk)
                target.write(chunk)
        if digest.hexdigest() != file["sha256"]:
            path.unlink()
            raise BackupError(
                f"backup {backup.prefix[:-1]} is refused: {file['name']} was tampered with, its SHA-256 differs from the manifest's"
            )


def prune(bucket: BucketClient, kind: str, retention: timedelta, now: datetime) -> list[str]:
    """Delete backups older than ``retention``, and unfinished ones after a day. Return their names.

    The newest backup is always kept. Of the base backups, the newest expired one is also kept, because a restore to a
    moment at the end of the retention needs it.
    """
    usable, _ = find(bucket, kind)
    names = _names(bucket, kind)
    expired = [backup.name for backup in usable if now - backup.time > retention]
    kept = {backup.name for backup in usable[-1:]} | (set(expired[-1:]) if kind == BASE else set())
    finished = {backup.name for backup in usable}
    unfinished = [
        name
        for name in names
        if name not in finished and name < name_of(now - UNFINISHED_AFTER) and not _has_manifest(bucket, kind, name)
    ]
    deleted = sorted({*expired, *unfinished} - kept)
    for name in deleted:
        # Delete the manifest first, so that a partly deleted backup counts as unfinished.
        objects = sorted(bucket.objects(f"{kind}/{name}/"), key=lambda item: not item.key.endswith(MANIFEST))
        for item in objects:
            bucket.delete(item.key)
    return deleted


def _has_manifest(bucket: BucketClient, kind: str, name: str) -> bool:
    return any(item.key.endswith(f"/{MANIFEST}") for item in bucket.objects(f"{kind}/{name}/"))


def _names(bucket: BucketClient, kind: str) -> list[str]:
    objects: Iterable[ListedObject] = bucket.objects(f"{kind}/")
    names = {item.key.removeprefix(f"{kind}/").partition("/")[0] for item in objects}
    return sorted(name for name in names if _NAME.fullmatch(name))


def _json(value: Any) -> bytes:
    return json.dumps(value, indent=1, sort_keys=False).encode()
