"""``make objects`` and ``make undelete`` on a running object store, in buckets of the tests' own."""

import argparse
import hashlib
import secrets
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest

from components.mapping import load
from components.rustfs.layout import Layout
from provider.errors import ProviderError
from provider.rustfs import emptying
from tests.support.operated import stack_on
from tests.support.stack import PROJECT
from tools.cli.parser import find, parse
from tools.operations import objects, undelete
from tools.operations.objects import BucketAudit, Sample
from tools.operations.progress import ProgressLine
from tools.operations.stack import Stack

MAPPING = load(PROJECT / "schema-mapping.yaml")
SBOM = b'{"bomFormat": "CycloneDX"}'
DIGEST = hashlib.sha256(SBOM).hexdigest()
GOOD = f"{DIGEST[:4]}/{DIGEST}"


@pytest.fixture(scope="module")
def s3(object_store: Any) -> Iterator[Any]:
    client = object_store.client()
    yield client
    client.close()


@pytest.fixture
def stack(object_store: Any, s3: Any) -> Iterator[Stack]:
    """With all buckets of the mapping, versioned, under a prefix that nobody has."""
    made = stack_on(object_store, f"t{secrets.token_hex(4)}-")
    names = [made.bucket_prefix + bucket for bucket in MAPPING.rustfs.buckets]
    for name in names:
        s3.create_bucket(Bucket=name)
        s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    yield made
    for name in names:
        emptying.empty(s3, name, bypass_governance=False)
        s3.delete_bucket(Bucket=name)


def put(s3: Any, stack: Stack, path: str, body: bytes = b"x", kind: str = "application/json") -> str:
    bucket, _, key = path.partition("/")
    version: str = s3.put_object(Bucket=stack.bucket_prefix + bucket, Key=key, Body=body, ContentType=kind)["VersionId"]
    return version


def options(command: str, *arguments: str) -> argparse.Namespace:
    return parse(*find([command, *arguments])).options


def fill_well(s3: Any, stack: Stack) -> None:
    put(s3, stack, f"blobs/{GOOD}/sbom.json", SBOM)
    put(s3, stack, f"blobs/{GOOD}/attestation.dsse", kind="application/vnd.dsse+json")
    put(s3, stack, f"images/sha256:{DIGEST}/inventory.cdx.json", kind="application/vnd.cyclonedx+json; charset=utf-8")
    put(s3, stack, "evidence/bundle-1/sboms/a.cdx.json", kind="application/vnd.cyclonedx+json")
    put(s3, stack, "offline-kits/kit-1/images/layer.tar", kind="application/x-tar")


def test_buckets_as_the_mapping_wants_them_have_no_finding(
    s3: Any, stack: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    fill_well(s3, stack)
    assert objects.run(stack, options("objects")) == 0
    said = capsys.readouterr().out
    assert f"{stack.bucket_prefix}blobs: 2 keys, 0 findings; checked 2 content types and 1 digests" in said


BAD = [
    ("blobs/stray.txt", b"x", "text/plain", "matches no template of the layout"),
    (f"blobs/0000/{DIGEST}/sbom.json", SBOM, "application/json", f"its prefix is 0000, and the digest begins with {DIGEST[:4]}"),
    (f"blobs/{GOOD}/sbom.cdx.pb", b"x", "application/json", "its content type is application/json, not application/vnd.cyclonedx+protobuf"),
    (f"blobs/{GOOD}/sbom.json", b"other", "application/json", "not the one in its key"),
    (f"images/sha256:{DIGEST}/call-graph.json", b"x", "binary/octet-stream", "its content type is binary/octet-stream, not application/json"),
    ("offline-kits/kit-1/readme.md", b"x", "text/markdown", "matches no template of the layout"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "body", "kind", "says"), BAD, ids=[says for *_, says in BAD])
def test_each_fault_is_told_with_its_object_and_ends_in_2(
    s3: Any, stack: Stack, capsys: pytest.CaptureFixture[str], path: str, body: bytes, kind: str, says: str
) -> None:
    fill_well(s3, stack)
    put(s3, stack, path, body, kind)
    assert objects.run(stack, options("objects")) == objects.FINDINGS
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith(f"{stack.bucket_prefix}{path}: ")]
    assert len(lines) == 1 and says in lines[0]


def test_one_bucket_can_be_asked_for_and_all_of_it_be_looked_at(
    s3: Any, stack: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(30):
        put(s3, stack, f"images/sha256:{number:064}/call-graph.json", kind="text/plain")
    assert objects.run(stack, options("objects", "--bucket", "images", "--content-types", "all", "--limit", "3")) == 2
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 4 and "30 findings (27 not shown; --limit all shows them)" in said[-1]
    assert objects.run(stack, options("objects", "--bucket", "images", "--content-types", "5")) == 2
    assert "5 findings; checked 5 content types" in capsys.readouterr().out, "a sample has its size"


def test_a_bucket_that_is_not_in_the_mapping_is_named(stack: Stack) -> None:
    with pytest.raises(ProviderError, match='did you mean "images"'):
        objects.run(stack, options("objects", "--bucket", "imagse"))


class Listing:
    """A client that lists any number of keys; nothing but the listing is asked of it."""

    def __init__(self, keys: int) -> None:
        self._keys = keys

    def get_paginator(self, _name: str) -> "Listing":
        return self

    def paginate(self, **_: Any) -> Iterator[dict[str, Any]]:
        for start in range(0, self._keys, 1000):
            digests = (f"{number:064x}"[::-1] for number in range(start, min(start + 1000, self._keys)))
            yield {"Contents": [{"Key": f"{digest[:4]}/{digest}/sbom.json"} for digest in digests]}


def peak_bytes(keys: int) -> int:
    layout = Layout.of(MAPPING, "blobs")
    audit = BucketAudit(Listing(keys), "blobs", layout, Sample(0), Sample(0))
    audit.digests, audit.types = Sample(100), Sample(100)
    audit._contents = lambda *_args, **_kwargs: iter(())  # type: ignore[method-assign]
    tracemalloc.start()
    try:
        assert list(audit.run(lambda _keys: None)) == [] and audit.keys == keys
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_the_number_of_keys() -> None:
    few, many = peak_bytes(3_000), peak_bytes(30_000)
    assert many < few * 1.5, f"ten times as many keys took {many / few:.1f} times the memory"


def test_a_long_listing_says_how_far_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    progress = ProgressLine("blobs", "keys")
    for keys in range(0, 250_001, 1000):
        progress(keys)
    progress.clear()
    said = capsys.readouterr()
    assert said.err.splitlines() == ["blobs: 100,000 keys so far", "blobs: 200,000 keys so far"]
    assert not said.out, "progress would be mixed into the findings of who reads them by a pipe"


def test_each_key_has_the_same_chance_to_be_looked_at() -> None:
    sample = Sample(100)
    for number in range(10_000):
        sample.offer(str(number))
    kept = sorted(map(int, sample.take()))
    assert len(set(kept)) == 100 and kept[0] < 1_000 and kept[-1] > 9_000, "the first or last keys alone show little"


# undelete


def content(s3: Any, stack: Stack, path: str) -> bytes:
    bucket, _, key = path.partition("/")
    body: bytes = s3.get_object(Bucket=stack.bucket_prefix + bucket, Key=key)["Body"].read()
    return body


def test_a_deleted_object_is_back_with_its_content_type_and_metadata(
    s3: Any, stack: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    name, key = stack.bucket_prefix + "offline-kits", "kit-1/manifest.json"
    s3.put_object(Bucket=name, Key=key, Body=b"kept", ContentType="application/json", Metadata={"scan": "7"})
    s3.delete_object(Bucket=name, Key=key)
    assert undelete.run(stack, options("undelete", f"offline-kits/{key}")) == 0
    found = s3.get_object(Bucket=name, Key=key)
    assert (found["Body"].read(), found["ContentType"], found["Metadata"]) == (
        b"kept",
        "application/json",
        {"scan": "7"},
    )
    assert "is current again" in capsys.readouterr().out


def test_an_overwritten_object_is_back_and_the_other_version_stays(s3: Any, stack: Stack) -> None:
    put(s3, stack, "evidence/bundle-1/manifest.json", b"first")
    over = put(s3, stack, "evidence/bundle-1/manifest.json", b"second")
    undelete.run(stack, options("undelete", "evidence/bundle-1/manifest.json"))
    assert content(s3, stack, "evidence/bundle-1/manifest.json") == b"first"
    name = stack.bucket_prefix + "evidence"
    assert s3.get_object(Bucket=name, Key="bundle-1/manifest.json", VersionId=over)["Body"].read() == b"second"


def test_an_object_overwritten_and_then_deleted_has_the_last_version_back(s3: Any, stack: Stack) -> None:
    for body in (b"first", b"second"):
        put(s3, stack, "images/sha256:1/call-graph.json", body)
    s3.delete_object(Bucket=stack.bucket_prefix + "images", Key="sha256:1/call-graph.json")
    undelete.run(stack, options("undelete", "images/sha256:1/call-graph.json"))
    assert content(s3, stack, "images/sha256:1/call-graph.json") == b"second"


def test_any_version_can_be_chosen_and_all_are_listed(
    s3: Any, stack: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    versions = [put(s3, stack, "images/a/call-graph.json", body) for body in (b"1", b"22", b"333")]
    put(s3, stack, "images/a/call-graph.json.bak", b"a key that only begins like it")
    undelete.run(stack, options("undelete", "images/a/call-graph.json", "--list"))
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == versions[::-1] and "3 bytes  (current)" in lines[0]
    undelete.run(stack, options("undelete", "images/a/call-graph.json", "--version-id", versions[0]))
    assert content(s3, stack, "images/a/call-graph.json") == b"1"


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ("images", "write BUCKET/KEY"),
        ("images/never-was", "never-was has no versions"),
        ("imagse/x", 'did you mean "images"'),
        ("images/only", "has no earlier version"),
    ],
)
def test_what_cannot_be_restored_is_told_in_words(s3: Any, stack: Stack, key: str, says: str) -> None:
    put(s3, stack, "images/only")
    with pytest.raises(ProviderError, match=says):
        undelete.run(stack, options("undelete", key))
