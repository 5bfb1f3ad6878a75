"""``objects``: compare the buckets' content with the mapping's layout and describe each finding. Changes nothing.

Every key is compared. Content types and digests need a request for each object, so they are checked for a random
sample, unless the option is ``all``. Memory use does not depend on the number of keys.
"""

import argparse
import hashlib
import random
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from components.mapping.printable import printable
from components.rustfs.layout import Layout
from provider.rustfs.store import Client, code
from tools.operations import buckets
from tools.operations.progress import ProgressLine
from tools.operations.stack import Stack

FINDINGS = 2
WORKERS = 8
CHUNK_BYTES = 1 << 20
VANISHED = ("404", "NoSuchKey")  # deleted since it was listed


@dataclass
class Sample:
    """A random sample of at most ``size`` keys, each with the same probability; all keys if ``size`` is None."""

    size: int | None
    seen: int = 0
    kept: list[str] = field(default_factory=list)
    # A fixed seed: a second run checks the same objects, so that a finding can be reproduced.
    _random: random.Random = field(default_factory=lambda: random.Random(0))  # noqa: S311 - no secret

    def offer(self, key: str) -> None:
        self.seen += 1
        if self.size is None or len(self.kept) < self.size:
            self.kept.append(key)
        elif (place := self._random.randrange(self.seen)) < self.size:
            self.kept[place] = key

    def take(self) -> list[str]:
        """Return the sampled keys and empty the sample."""
        taken, self.kept = self.kept, []
        return taken


@dataclass
class BucketAudit:
    """The audit of one bucket. ``keys``, ``findings``, ``types_checked`` and ``digests_checked`` are counts."""

    client: Client
    bucket: str
    layout: Layout
    types: Sample
    digests: Sample
    keys: int = 0
    findings: int = 0
    types_checked: int = 0
    digests_checked: int = 0

    def run(self, progress: Callable[[int], None]) -> Iterator[str]:
        """Yield each finding as ``bucket/key: fault``, while the bucket is listed."""
        with ThreadPoolExecutor(WORKERS) as pool:
            for page in self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket):
                for item in page.get("Contents", []):
                    yield from self._key(item["Key"])
                progress(self.keys)
                # If all objects are checked, check them after each page, so that memory use stays constant.
                yield from self._contents(pool, only_if_all=True)
            yield from self._contents(pool, only_if_all=False)

    def _key(self, key: str) -> Iterator[str]:
        self.keys += 1
        fault = self.layout.fault(key)
        if fault:
            yield self._finding(key, fault)
        if self.layout.content_type(key):
            self.types.offer(key)
        if self.layout.digest(key):
            self.digests.offer(key)

    def _contents(self, pool: ThreadPoolExecutor, *, only_if_all: bool) -> Iterator[str]:
        checks = ((self.types, self._content_type), (self.digests, self._digest))
        for sample, check in checks:
            if only_if_all and sample.size is not None:
                continue
            keys = sample.take()
            yield from self._findings(keys, pool.map(check, keys))

    def _findings(self, keys: list[str], faults: Iterable[str | None]) -> Iterator[str]:
        for key, fault in zip(keys, faults, strict=True):
            if fault:
                yield self._finding(key, fault)

    def _finding(self, key: str, fault: str) -> str:
        self.findings += 1
        return f"{self.bucket}/{key}: {fault}"

    def _content_type(self, key: str) -> str | None:
        from botocore.exceptions import ClientError

        try:
            found = str(self.client.head_object(Bucket=self.bucket, Key=key).get("ContentType", ""))
        except ClientError as error:
            if code(error) in VANISHED:
                return None
            raise
        self.types_checked += 1
        wanted = self.layout.content_type(key)
        same = found.partition(";")[0].strip().lower() == wanted
        return None if same else f"its content type is {found or 'missing'}, not {wanted}"

    def _digest(self, key: str) -> str | None:
        from botocore.exceptions import ClientError

        digest = hashlib.sha256()
        try:
            for chunk in self.client.get_object(Bucket=self.bucket, Key=key)["Body"].iter_chunks(CHUNK_BYTES):
                digest.update(chunk)
        except ClientError as error:
            if code(error) in VANISHED:
                return None
            raise
        self.digests_checked += 1
        wanted = self.layout.digest(key)
        return None if digest.hexdigest() == wanted else f"its SHA-256 is {digest.hexdigest()}, not the one in its key"


def run(stack: Stack, options: argparse.Namespace) -> int:
    """Audit the selected buckets. Exit code 0 without a finding, 2 with one."""
    names = [buckets.known(stack, name) for name in options.bucket or stack.mapping.rustfs.buckets]
    wrong = 0
    for name in dict.fromkeys(names):
        layout = Layout.of(stack.mapping, name)
        with stack.object_store.client() as client:
            audit = BucketAudit(
                client, stack.bucket_prefix + name, layout, Sample(options.content_types), Sample(options.digests)
            )
            progress = ProgressLine(audit.bucket, "keys")
            for finding in audit.run(progress):
                if options.limit is None or audit.findings <= options.limit:
                    progress.clear()
                    print(printable(finding), flush=True)
            progress.clear()
        print(_summary(audit, options.limit))
        wrong += audit.findings
    return FINDINGS if wrong else 0


def _summary(audit: BucketAudit, limit: int | None) -> str:
    more = audit.findings - limit if limit is not None and audit.findings > limit else 0
    hidden = f" ({more:,} not shown; --limit all shows them)" if more else ""
    checked = f"checked {audit.types_checked:,} content types and {audit.digests_checked:,} digests"
    return f"{audit.bucket}: {audit.keys:,} keys, {audit.findings:,} findings{hidden}; {checked}"
