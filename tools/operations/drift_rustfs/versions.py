"""Find objects of write-once buckets that were overwritten or deleted, while their first version is still kept.

All versions are listed page by page, so memory use does not depend on their number.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain, zip_longest
from typing import Any

from components.rustfs.inventory import DeclaredBucket
from provider.difference import Difference
from provider.rustfs.store import Client
from tools.operations.drift_rustfs import commands
from tools.operations.progress import ProgressLine
from tools.operations.stack import Stack

CHUNK_BYTES = 1 << 20
PAGE_SIZE = 1000  # versions; the maximum of one request


@dataclass(frozen=True)
class Version:
    """A version of a key; a delete marker if ``etag`` is None. ``size`` is in bytes."""

    id: str
    time: datetime
    latest: bool
    etag: str | None
    size: int

    @property
    def is_delete_marker(self) -> bool:
        return self.etag is None


def differences(stack: Stack, client: Client, bucket: DeclaredBucket) -> Iterator[Difference]:
    """Yield a difference for each key whose current content is not that of its first version."""
    for key, versions in _by_key(client, bucket.physical):
        first, current = versions[-1], versions[0]
        if first.is_delete_marker:
            continue  # nothing is left to restore, or only what was written after a delete
        if current.is_delete_marker:
            change = f"was deleted at {_at(current.time)}"
        elif _same_content(client, bucket.physical, key, first, current):
            continue
        else:
            change = f"was overwritten at {_at(_second(versions).time)}"
        yield Difference(
            f"object {bucket.physical}/{key} {change}: write-once; {_expiry(bucket, versions)}",
            commands.undelete(stack, bucket.name, key, first.id),
        )


def _by_key(client: Client, bucket: str) -> Iterator[tuple[str, list[Version]]]:
    """Yield each key that has several versions or a delete marker, with its versions, newest first."""
    progress, listed = ProgressLine(bucket, "versions"), 0
    key, versions = "", list[Version]()
    try:
        lister = client.get_paginator("list_object_versions")
        for page in lister.paginate(Bucket=bucket, PaginationConfig={"PageSize": PAGE_SIZE}):
            # Servers list versions and delete markers separately, each sorted by key.
            items = sorted(chain(page.get("Versions", []), page.get("DeleteMarkers", [])), key=lambda item: item["Key"])
            listed += len(items)
            progress(listed)
            for item in items:
                if item["Key"] != key:
                    yield from _several(key, versions)
                    key, versions = item["Key"], []
                versions.append(_version(item))
        yield from _several(key, versions)
    finally:
        progress.clear()


def _several(key: str, versions: list[Version]) -> Iterator[tuple[str, list[Version]]]:
    if len(versions) > 1:
        # A stable sort: within a second the server's order remains.
        yield key, sorted(versions, key=lambda version: (version.latest, version.time), reverse=True)


def _version(item: dict[str, Any]) -> Version:
    return Version(item["VersionId"], item["LastModified"], item["IsLatest"], item.get("ETag"), item.get("Size", 0))


def _second(versions: list[Version]) -> Version:
    """The version with content that followed the first one."""
    return next(version for version in reversed(versions[:-1]) if not version.is_delete_marker)


def _same_content(client: Client, bucket: str, key: str, first: Version, current: Version) -> bool:
    """Compare the contents if the sizes are equal and the ETags are not: a multipart upload has another ETag."""
    if first.size != current.size:
        return False
    if first.etag == current.etag:
        return True
    bodies = [client.get_object(Bucket=bucket, Key=key, VersionId=version.id)["Body"] for version in (first, current)]
    try:
        chunks = (body.iter_chunks(CHUNK_BYTES) for body in bodies)
        return all(one == other for one, other in zip_longest(*chunks))
    finally:
        for body in bodies:
            body.close()


def _expiry(bucket: DeclaredBucket, versions: list[Version]) -> str:
    """State until when the first version is kept: it became noncurrent with the one after it."""
    days = min(
        rule["NoncurrentVersionExpiration"]["NoncurrentDays"]
        for rule in bucket.rules.values()
        if "NoncurrentVersionExpiration" in rule
    )
    return f"its first version is kept until {versions[-2].time + timedelta(days=days):%Y-%m-%d}"


def _at(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M:%S} UTC"
