"""``undelete``: make the last version before a delete or an overwrite current again. Deletes nothing.

The version is copied. Removing the delete marker would need permission to delete, which some buckets grant to nobody.
"""

import argparse
from dataclasses import dataclass
from typing import Any

from components.mapping.printable import printable
from provider.errors import ProviderError
from provider.rustfs.store import Client, code
from tools.operations import buckets
from tools.operations.stack import Stack

# Metadata that a multipart copy would lose, by the names that HeadObject and CopyObject share.
COPIED_METADATA = (
    "CacheControl",
    "ContentDisposition",
    "ContentEncoding",
    "ContentLanguage",
    "ContentType",
    "Metadata",
)


@dataclass(frozen=True)
class Version:
    """A version of an object; a delete marker if ``size`` is None."""

    id: str
    time: str
    size: int | None
    latest: bool

    def __str__(self) -> str:
        content = "delete marker" if self.size is None else f"{self.size:,} bytes"
        return f"{self.id}  {self.time}  {content}{'  (current)' if self.latest and self.size is not None else ''}"


def run(stack: Stack, options: argparse.Namespace) -> int:
    """Restore or list versions. Exit code 0. Raises ``ProviderError``."""
    name, _, key = options.key.partition("/")
    if not key:
        raise ProviderError(f"{options.key!r} is not an object; write BUCKET/KEY, like evidence/bundle-1/manifest.json")
    bucket = stack.bucket_prefix + buckets.known_or_backups(stack, name)
    with stack.object_store.client() as client:
        versions = _versions(client, bucket, key)
        if options.list:
            print("\n".join(str(version) for version in versions))
            return 0
        chosen = _chosen(versions, options.version_id, f"{bucket}/{key}")
        restored = _restore(client, bucket, key, chosen)
    print(
        f"{printable(f'{bucket}/{key}')}: version {chosen.id} of {chosen.time} ({chosen.size:,} bytes) is current again,"
        f" as version {restored}"
    )
    return 0


def _versions(client: Client, bucket: str, key: str) -> list[Version]:
    """Return all versions and delete markers of ``key``, newest first. Raises ``ProviderError`` if there is none."""
    from botocore.exceptions import ClientError

    found: list[dict[str, Any]] = []
    try:
        for page in client.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=key):
            items = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
            found += [item for item in items if item["Key"] == key]
            # Keys are sorted: the rest are longer keys with this prefix.
            if any(item["Key"] > key for item in items):
                break
    except ClientError as error:
        if code(error) != "NoSuchBucket":
            raise
        raise ProviderError(f"bucket {bucket} does not exist; run pulumi up") from None
    if not found:
        raise ProviderError(f"{bucket}/{key} has no versions: it never existed, or its versions have expired")
    # A stable sort: within a second the server's order remains, except that it lists delete markers separately.
    found.sort(key=lambda item: (item["IsLatest"], item["LastModified"]), reverse=True)
    return [
        Version(item["VersionId"], f"{item['LastModified']:%Y-%m-%d %H:%M:%S} UTC", item.get("Size"), item["IsLatest"])
        for item in found
    ]


def _chosen(versions: list[Version], wanted: str | None, name: str) -> Version:
    contents = [version for version in versions if version.size is not None]
    if wanted is not None:
        for version in contents:
            if version.id == wanted:
                return version
        raise ProviderError(f"{name} has no version {wanted!r} with content; --list shows its versions")
    earlier = [version for version in contents if not version.latest]
    if not earlier:
        raise ProviderError(
            f"{name} has no earlier version: it was neither deleted nor overwritten, or its earlier versions have expired"
        )
    return earlier[0]


def _restore(client: Client, bucket: str, key: str, version: Version) -> str:
    """Copy the version, in parts if it is large, and return the new version's ID."""
    source = {"Bucket": bucket, "Key": key, "VersionId": version.id}
    described = client.head_object(**source)
    kept = {name: described[name] for name in COPIED_METADATA if described.get(name)}
    client.copy(source, bucket, key, ExtraArgs={**kept, "MetadataDirective": "REPLACE"})
    return str(client.head_object(Bucket=bucket, Key=key).get("VersionId", "the current version"))
