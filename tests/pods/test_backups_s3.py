"""The agent's S3 client against a real server."""

import hashlib
import os
from collections.abc import Iterator
from typing import Any

import pytest

from pods.backup_agent import s3
from pods.backup_agent.errors import BackupError
from pods.backup_agent.s3 import BucketClient, MissingError


@pytest.fixture(scope="module")
def bucket(object_store: Any) -> BucketClient:
    name = "agent-s3"
    object_store.client().create_bucket(Bucket=name)
    return BucketClient(object_store.endpoint, "us-east-1", object_store.access_key, object_store.secret_key, name)


def test_a_large_object_goes_in_parts_and_comes_back_as_it_was(bucket: BucketClient, object_store: Any) -> None:
    pieces = [os.urandom(1 << 20) for _ in range(35)]
    stored = bucket.put("large", iter(pieces))
    whole = b"".join(pieces)
    assert stored.size == len(whole) and stored.sha256 == hashlib.sha256(whole).hexdigest()
    assert hashlib.sha256(b"".join(bucket.get("large"))).hexdigest() == stored.sha256
    assert object_store.client().head_object(Bucket=bucket.name, Key="large")["ETag"].endswith('-3"')


@pytest.mark.parametrize("size", [0, 1, s3.PART_BYTES, s3.PART_BYTES + 1])
def test_objects_at_the_edges_of_a_part(bucket: BucketClient, size: int) -> None:
    assert bucket.put("edge", [b"x" * size]).size == size
    assert len(bucket.read("edge")) == size


def test_an_upload_that_breaks_off_leaves_nothing_to_see(bucket: BucketClient, object_store: Any) -> None:
    def broken() -> Iterator[bytes]:
        yield b"x" * (s3.PART_BYTES + 1)
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        bucket.put("broken", broken())
    with pytest.raises(MissingError):
        bucket.read("broken")
    assert not object_store.client().list_multipart_uploads(Bucket=bucket.name).get("Uploads")


def test_keys_with_blanks_and_signs_are_signed_as_they_are_sent(bucket: BucketClient) -> None:
    key = "a b/ü+&=?~'()/end"
    bucket.put(key, [b"1"], {"sha256": "abc"})
    assert bucket.read(key) == b"1" and bucket.metadata(key) == {"sha256": "abc"}
    assert [item.key for item in bucket.objects("a b/")] == [key]
    bucket.delete(key)
    bucket.delete(key)
    assert not list(bucket.objects("a b/"))


def test_a_listing_of_many_pages_is_whole(bucket: BucketClient) -> None:
    names = [f"many/{number:04}" for number in range(1003)]
    for name in names:
        bucket.put(name, [b""])
    assert [item.key for item in bucket.objects("many/")] == names


def test_encryption_that_the_store_does_not_have_is_an_error_and_no_silent_clear_text(bucket: BucketClient) -> None:
    from dataclasses import replace

    with pytest.raises(BackupError, match=r"(?i)encryption|kms|not implemented"):
        replace(bucket, encryption="aws:kms").put("secret", [b"x"])


def test_a_store_that_is_away_is_one_line(bucket: BucketClient, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    monkeypatch.setattr(s3, "FIRST_WAIT_SECONDS", 0.0)
    with pytest.raises(BackupError, match="can't be reached"):
        replace(bucket, endpoint="http://127.0.0.1:1").read("any")


def test_a_repr_shows_no_secret_key(bucket: BucketClient) -> None:
    assert bucket.secret_key not in repr(bucket)
