"""Empty a bucket: delete every version, delete marker and unfinished upload. Only for stacks that allow data loss."""

import re
from typing import Any

from provider.base import log
from provider.errors import ProviderError
from provider.rustfs.store import Client

REPORT_EVERY = 10_000  # versions
_NOT_XML = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")  # characters that XML 1.0 does not allow
PAGE_SIZE = 1000  # versions; the maximum of one delete request


def is_empty(client: Client, bucket: str) -> bool:
    """Whether the bucket has no versions and no delete markers."""
    answer = client.list_object_versions(Bucket=bucket, MaxKeys=1)
    return not answer.get("Versions") and not answer.get("DeleteMarkers")


def empty(client: Client, bucket: str, *, bypass_governance: bool, page_size: int = PAGE_SIZE) -> int:
    """Delete everything in the bucket, page by page. Return the number of deleted versions and delete markers.

    Raises ``ProviderError``.
    """
    options = {"BypassGovernanceRetention": True} if bypass_governance else {}
    deleted = 0
    for page in client.get_paginator("list_object_versions").paginate(
        Bucket=bucket, PaginationConfig={"PageSize": page_size}
    ):
        versions = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
        if not versions:
            continue
        objects = [{"Key": item["Key"], "VersionId": item["VersionId"]} for item in versions]
        _delete(client, bucket, objects, options)
        if deleted // REPORT_EVERY != (deleted + len(objects)) // REPORT_EVERY:
            log.info(f"bucket {bucket}: {deleted + len(objects)} versions deleted so far")
        deleted += len(objects)
    for page in client.get_paginator("list_multipart_uploads").paginate(Bucket=bucket):
        for upload in page.get("Uploads", []):
            client.abort_multipart_upload(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])
    return deleted


def _delete(client: Client, bucket: str, objects: list[dict[str, str]], options: dict[str, Any]) -> None:
    """Delete versions in one request; those that its XML cannot name, one by one."""
    together = [item for item in objects if not _NOT_XML.search(item["Key"])]
    if together:
        answer = client.delete_objects(Bucket=bucket, Delete={"Objects": together, "Quiet": True}, **options)
        _raise_errors(bucket, answer.get("Errors", []))
    for item in objects:
        if _NOT_XML.search(item["Key"]):
            client.delete_object(Bucket=bucket, **item, **options)


def _raise_errors(bucket: str, errors: list[dict[str, Any]]) -> None:
    if errors:
        first = errors[0]
        raise ProviderError(
            f"bucket {bucket}: {len(errors)} versions cannot be deleted, the first is {first.get('Key')}:"
            f" {first.get('Code')}, {first.get('Message')}; a legal hold must be removed first, and COMPLIANCE retention must end"
        )
