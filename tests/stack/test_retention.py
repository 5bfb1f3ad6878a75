"""Retention watched on a server of the test's own: old versions are there before the limit and gone after it.

RustFS can make a day some seconds long. MinIO cannot, but takes a version's date from a replicating client, so that
versions are written as if long ago and the days stay real ones.
"""

import os
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from components.mapping import load
from components.rustfs.lifecycle import retention_rules
from provider.rustfs.store import Store
from tests.provider.base.harness import stellaops
from tests.support.provider import settings
from tests.support.stack import PROJECT
from tests.support.watchdog import Watchdog
from tools.local.console import Console
from tools.local.engine import tools
from tools.local.servers.objects import LocalObjectStore

MAPPING = load(PROJECT / "schema-mapping.yaml")
LIMIT_DAYS = MAPPING.backups.rustfs.retention.days
PATIENCE_SECONDS = 300  # until a server's scanner has come by
RUSTFS_DAY_SECONDS = 2
TUNING = {
    "minio": {"MINIO_SCANNER_SPEED": "fastest"},
    "rustfs": {
        "RUSTFS_ILM_DEBUG_DAY_SECS": str(RUSTFS_DAY_SECONDS),
        "RUSTFS_SCANNER_ENABLED": "true",
        "RUSTFS_SCANNER_CYCLE": "2",
    },
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, watchdog: Watchdog) -> Iterator[LocalObjectStore]:
    if os.environ.get("RUSTFS_ENDPOINT"):
        pytest.skip(
            "the days of a server that somebody else runs can't be made short; put rustfs on the PATH for this one"
        )
    program = tools.object_store_program(Console())
    directory = tmp_path_factory.mktemp("retention")
    watchdog.watch(directory)
    made = LocalObjectStore(directory / LocalObjectStore.name, program, TUNING[program.name])
    try:
        made.start()
        yield made
    finally:
        made.remove()


@pytest.fixture(scope="module")
def s3(server: LocalObjectStore) -> Iterator[Any]:
    client = server.client()
    yield client
    client.close()


@pytest.fixture
def bucket(server: LocalObjectStore, s3: Any) -> str:
    """As the stack makes it, with the mapping's own limit."""
    store = Store(server.endpoint, "us-east-1", server.access_key, server.secret_key)
    rules = retention_rules(LIMIT_DAYS, 1, {"short/": 30})
    with stellaops(**settings(store=store)) as provider:
        provider.create("stellaops:objectstore:Bucket", {"bucket": "kept", "rules": rules})
    s3.put_bucket_versioning(Bucket="kept", VersioningConfiguration={"Status": "Enabled"})
    return "kept"


def put(s3: Any, bucket: str, key: str, body: bytes, days_ago: int) -> None:
    """Write a version as if so many days ago."""
    then = datetime.now(UTC) - timedelta(days=days_ago)

    def back_date(request: Any, **_: Any) -> None:
        request.headers["x-minio-source-mtime"] = f"{then:%Y-%m-%dT%H:%M:%S.%f}Z"
        request.headers["x-minio-source-replication-request"] = "true"

    s3.meta.events.register("before-sign.s3.PutObject", back_date)
    try:
        s3.put_object(Bucket=bucket, Key=key, Body=body)
    finally:
        s3.meta.events.unregister("before-sign.s3.PutObject", back_date)


def versions(s3: Any, bucket: str) -> dict[str, int]:
    """Key -> how many versions of it there are."""
    found: dict[str, int] = {}
    for item in s3.list_object_versions(Bucket=bucket).get("Versions", []):
        found[item["Key"]] = found.get(item["Key"], 0) + 1
    return found


def wait_until(condition: Callable[[], bool]) -> bool:
    end = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(1)
    return condition()


def test_old_versions_vanish_after_the_limit_and_not_before_and_current_ones_never(
    server: LocalObjectStore, s3: Any, bucket: str
) -> None:
    if server.program != "minio":
        pytest.skip("RustFS makes days short instead: see the next test")
    # A version is old since the next one was written.
    for key, first, second in (("past", 400, LIMIT_DAYS + 5), ("within", 400, LIMIT_DAYS - 5), ("short/past", 400, 40)):
        put(s3, bucket, key, b"first", first)
        put(s3, bucket, key, b"second", second)
    put(s3, bucket, "untouched", b"only", 1000)
    assert wait_until(lambda: versions(s3, bucket).get("past") == 1 and versions(s3, bucket).get("short/past") == 1)
    assert versions(s3, bucket) == {"past": 1, "within": 2, "short/past": 1, "untouched": 1}
    assert s3.get_object(Bucket=bucket, Key="past")["Body"].read() == b"second", "a current version was deleted"
    # The scanner has come by again: what is within the limit is still there.
    put(s3, bucket, "later", b"first", 400)
    put(s3, bucket, "later", b"second", LIMIT_DAYS + 5)
    assert wait_until(lambda: versions(s3, bucket).get("later") == 1)
    assert versions(s3, bucket)["within"] == 2 and versions(s3, bucket)["untouched"] == 1


def test_with_short_days_old_versions_vanish_after_the_limit_and_current_ones_never(
    server: LocalObjectStore, s3: Any, bucket: str
) -> None:
    if server.program != "rustfs":
        pytest.skip("MinIO's days are real ones: it is shown with versions of long ago, see the test before")
    for body in (b"first", b"second"):
        s3.put_object(Bucket=bucket, Key="past", Body=body)
    s3.put_object(Bucket=bucket, Key="untouched", Body=b"only")
    time.sleep(LIMIT_DAYS * RUSTFS_DAY_SECONDS / 3)
    assert versions(s3, bucket) == {"past": 2, "untouched": 1}, "gone before the limit"
    assert wait_until(lambda: versions(s3, bucket)["past"] == 1)
    assert s3.get_object(Bucket=bucket, Key="past")["Body"].read() == b"second", "a current version was deleted"
    assert versions(s3, bucket)["untouched"] == 1
