"""``objects``: what lies in the buckets against the mapping's layout, each finding in words. Nothing is changed.

Every key is compared. Content types and digests cost a request for each object, so that a random sample of them is
looked at, unless ``all`` is asked for. Memory stays the same however many keys there are.
"""

import argparse
import hashlib
import random
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from components.rustfs.layout import Layout
from provider.rustfs.store import Client, code
from tools.operations import buckets
from tools.operations.stack import Stack

WRONG = 2
WORKERS = 8
CHUNK_BYTES = 1 << 20
REPORT_EVERY = 100_000  # keys
VANISHED = ("404", "NoSuchKey")  # deleted since it was listed


@dataclass
class Sample:
    """At most ``size`` of all that is offered, each with the same chance; of all, when ``size`` is None."""

    size: int | None
    seen: int = 0
    kept: list[str] = field(default_factory=list)
    # The same objects each time, so that a finding can be looked at again.
    _random: random.Random = field(default_factory=lambda: random.Random(0))  # noqa: S311 - no secret

    def offer(self, key: str) -> None:
        self.seen += 1
        if self.size is None or len(self.kept) < self.size:
            self.kept.append(key)
        elif (place := self._random.randrange(self.seen)) < self.size:
            self.kept[place] = key

    def take(self) -> list[str]:
        """What is kept; afterwards nothing is."""
        taken, self.kept = self.kept, []
        return taken


@dataclass
class BucketAudit:
    """The audit of one bucket. ``keys`` and ``findings`` count."""

    client: Client
    bucket: str
    layout: Layout
    types: Sample
    digests: Sample
    keys: int = 0
    findings: int = 0
    looked_at: int = 0
    hashed: int = 0

    def run(self, progress: Callable[[int], None]) -> Iterator[str]:
        """Each finding as ``bucket/key: what is wrong``, while the listing streams by."""
        with ThreadPoolExecutor(WORKERS) as pool:
            for page in self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket):
                for item in page.get("Contents", []):
                    yield from self._key(item["Key"])
                progress(self.keys)
                # Who wants all of them has them page by page.
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
            yield from self._said(keys, pool.map(check, keys))

    def _said(self, keys: list[str], faults: Iterable[str | None]) -> Iterator[str]:
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
        self.looked_at += 1
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
        self.hashed += 1
        wanted = self.layout.digest(key)
        return None if digest.hexdigest() == wanted else f"its SHA-256 is {digest.hexdigest()}, not the one in its key"


def run(stack: Stack, options: argparse.Namespace) -> int:
    """Exit code 0 without a finding, 2 with one."""
    names = [buckets.known(stack, name) for name in options.bucket or stack.mapping.rustfs.buckets]
    wrong = 0
    for name in dict.fromkeys(names):
        layout = Layout.of(stack.mapping, name)
        with stack.object_store.client() as client:
            audit = BucketAudit(
                client, stack.bucket_prefix + name, layout, Sample(options.content_types), Sample(options.digests)
            )
            progress = Progress(audit.bucket)
            for finding in audit.run(progress):
                if options.limit is None or audit.findings <= options.limit:
                    progress.clear()
                    print(finding, flush=True)
            progress.clear()
        print(_summary(audit, options.limit))
        wrong += audit.findings
    return WRONG if wrong else 0


def _summary(audit: BucketAudit, limit: int | None) -> str:
    more = audit.findings - limit if limit is not None and audit.findings > limit else 0
    hidden = f", of which {more:,} are not shown (--limit all)" if more else ""
    looked = f"content types of {audit.looked_at:,}, digests of {audit.hashed:,} looked at"
    return f"{audit.bucket}: {audit.keys:,} keys, {audit.findings:,} findings{hidden}; {looked}"


class Progress:
    """How many keys have been seen, on standard error: in place on a terminal, else a line now and then."""

    def __init__(self, bucket: str) -> None:
        self._bucket = bucket
        self._told = 0
        self._live = sys.stderr.isatty()
        self._shown = False

    def __call__(self, keys: int) -> None:
        if self._live:
            print(f"\r{self._bucket}: {keys:,} keys", end="", file=sys.stderr, flush=True)
            self._shown = True
        elif keys // REPORT_EVERY > self._told // REPORT_EVERY:
            print(f"{self._bucket}: {keys:,} keys so far", file=sys.stderr, flush=True)
        self._told = keys

    def clear(self) -> None:
        """Make room for a line of the result."""
        if self._shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
            self._shown = False
