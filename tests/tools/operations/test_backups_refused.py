"""A backup that is expired, unfinished, truncated or tampered with is refused with its reason, and nothing is made."""

import gzip
import json
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pods.backup_agent import repository, wal
from pods.backup_agent.kinds import BASE, DUMP, RDB, WAL
from pods.backup_agent.repository import StoredBackup
from provider.errors import ProviderError
from tests.support import backups
from tools.operations import backup as command
from tools.operations.recovery import logical, point_in_time, snapshot
from tools.operations.recovery.context import Programs, RecoveryContext, as_provider_errors, say
from tools.operations.restore import choose_backup

pytestmark = pytest.mark.xdist_group("live_stack")


@pytest.fixture(scope="module")
def context(live_stack: Any) -> Iterator[RecoveryContext]:
    found = backups.context_of(live_stack)
    command.back_up_all(found, None)
    try:
        yield found
    finally:
        backups.clear(live_stack, found)


@pytest.fixture(autouse=True)
def _nothing_is_made(context: RecoveryContext, live_stack: Any) -> Iterator[None]:
    yield
    assert not list(context.restored.iterdir()), "half a server was left"
    with live_stack.admin() as admin:
        found = admin.execute("SELECT datname FROM pg_database WHERE datname LIKE '%restored%'").fetchall()
    assert not found, "half a database was left"
    assert [path.name for path in context.directory.glob("work-*")] == [], "a download was left"


def newest(context: RecoveryContext, kind: str) -> StoredBackup:
    return choose_backup(context, kind, None, None)


def change_manifest(context: RecoveryContext, backup: StoredBackup, **changes: Any) -> StoredBackup:
    manifest = {**backup.manifest, **changes}
    context.bucket.put(f"{backup.prefix}manifest.json", [json.dumps(manifest).encode()])
    return StoredBackup(backup.kind, backup.name, manifest)


def flip(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


def test_a_changed_byte_of_a_dump_is_found_by_its_sha256(context: RecoveryContext) -> None:
    backup = newest(context, DUMP)
    with backups.spoiled(context, backup.prefix) as files:
        key = f"{backup.prefix}scanner.dump"
        context.bucket.put(key, [flip(files[key])])
        with pytest.raises(
            ProviderError, match=r"scanner\.dump was tampered with, its SHA-256 differs from the manifest's"
        ):
            logical.restore(context, backup, say)


def test_a_changed_byte_of_a_snapshot_is_found_by_its_sha256(context: RecoveryContext) -> None:
    backup = newest(context, RDB)
    with backups.spoiled(context, backup.prefix) as files:
        key = f"{backup.prefix}dump.rdb"
        context.bucket.put(key, [flip(files[key])])
        with pytest.raises(ProviderError, match=r"dump\.rdb was tampered with"):
            snapshot.restore(context, backup, say)


def test_a_truncated_base_backup_is_refused_before_it_is_read(context: RecoveryContext) -> None:
    backup = newest(context, BASE)
    with backups.spoiled(context, backup.prefix) as files:
        key = f"{backup.prefix}base.tar.gz"
        context.bucket.put(key, [files[key][:-1]])
        with pytest.raises(ProviderError, match=r"base\.tar\.gz was truncated, \d+ bytes instead of \d+"):
            point_in_time.restore(context, backup, None, say)


def test_a_file_that_is_missing_or_was_added_is_named(context: RecoveryContext) -> None:
    backup = newest(context, DUMP)
    with backups.spoiled(context, backup.prefix):
        context.bucket.delete(f"{backup.prefix}vex.dump")
        with pytest.raises(ProviderError, match=r"vex\.dump is missing"):
            logical.restore(context, backup, say)
    with backups.spoiled(context, backup.prefix):
        context.bucket.put(f"{backup.prefix}evil.dump", [b"more"])
        with pytest.raises(ProviderError, match=r"evil\.dump was added after the backup was taken"):
            logical.restore(context, backup, say)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"{", "is not readable"),
        (b"[]", "is not readable"),
        (b'{"format": 9, "kind": "postgres/dump", "time": "2026-01-01T00:00:00+00:00", "files": []}', "has format 9"),
        (
            b'{"format": 1, "kind": "valkey/rdb", "time": "2026-01-01T00:00:00+00:00", "files": []}',
            "belongs to another",
        ),
    ],
)
def test_a_manifest_that_is_not_ours_is_refused(context: RecoveryContext, text: bytes, words: str) -> None:
    backup = newest(context, DUMP)
    with backups.spoiled(context, backup.prefix):
        context.bucket.put(f"{backup.prefix}manifest.json", [text])
        with pytest.raises(ProviderError, match=words):
            choose_backup(context, DUMP, None, backup.name)


def test_a_manifest_cannot_lead_files_out_of_the_directory(context: RecoveryContext) -> None:
    backup = newest(context, DUMP)
    with backups.spoiled(context, backup.prefix):
        change_manifest(context, backup, files=[{**backup.manifest["files"][0], "name": "../../outside"}])
        with pytest.raises(ProviderError, match=r"lists an invalid file name or SHA-256"):
            choose_backup(context, DUMP, None, backup.name)


def test_a_backup_without_a_manifest_is_unfinished_and_passed_over(context: RecoveryContext) -> None:
    backup = newest(context, DUMP)
    with backups.spoiled(context, f"{DUMP}/"):
        later = repository.name_of(datetime.now(UTC))
        context.bucket.put(f"{DUMP}/{later}/scanner.dump", [b"half"])
        assert newest(context, DUMP).name == backup.name, "the newest that is whole is the one to restore"
        with pytest.raises(ProviderError, match=r"is unfinished: it has no manifest\.json"):
            choose_backup(context, DUMP, None, later)


def aged(context: RecoveryContext, backup: StoredBackup, days: float) -> StoredBackup:
    """A copy of it as if it had been made so long ago."""
    moment = datetime.now(UTC) - timedelta(days=days)
    old = StoredBackup(backup.kind, repository.name_of(moment), {**backup.manifest, "time": moment.isoformat()})
    for file in backup.manifest["files"]:
        context.bucket.put(f"{old.prefix}{file['name']}", context.bucket.get(f"{backup.prefix}{file['name']}"))
    return change_manifest(context, old)


def test_an_expired_backup_is_refused_unless_it_is_asked_for(context: RecoveryContext) -> None:
    with backups.spoiled(context, f"{DUMP}/"):
        old = aged(context, newest(context, DUMP), 31)
        with pytest.raises(
            ProviderError,
            match=r"it expired: it is 31 days old and the retention in the mapping is 30 days; --even-expired",
        ):
            logical.restore(context, old, say)
        database, checks = logical.restore(context, old, say, even_expired=True)
        logical.discard(context, database)
        assert not [check for check in checks if check.differences]


def test_old_backups_are_deleted_but_never_the_last_one(context: RecoveryContext) -> None:
    bucket, retention, now = context.bucket, timedelta(days=7), datetime.now(UTC)
    with backups.spoiled(context, f"{RDB}/"):
        recent = newest(context, RDB)
        old = [aged(context, recent, days) for days in (6, 8, 9)]
        bucket.put(f"{RDB}/{repository.name_of(now - timedelta(days=2))}/dump.rdb", [b"half"])
        assert len(repository.prune(bucket, RDB, retention, now)) == 3, "two that are too old, one that is unfinished"
        assert {item.name for item in repository.find(bucket, RDB)[0]} >= {recent.name, old[0].name}
        assert len(repository.prune(bucket, RDB, retention, now + timedelta(days=99))) >= 1
        assert [item.name for item in repository.find(bucket, RDB)[0]] == [recent.name], "the last backup was deleted"


def test_the_base_backup_from_which_the_oldest_moment_is_reached_stays(context: RecoveryContext) -> None:
    with backups.spoiled(context, f"{BASE}/"):
        old = [aged(context, newest(context, BASE), days) for days in (31, 38)]
        gone = repository.prune(context.bucket, BASE, timedelta(days=30), datetime.now(UTC))
        assert gone == [old[1].name], "from the one of 31 days ago, 30 days ago is reached"


def test_tampered_and_missing_wal_is_refused(context: RecoveryContext) -> None:
    base = newest(context, BASE)
    with backups.spoiled(context, f"{WAL}/") as files:
        key = max(key for key in files if key.endswith(wal.SUFFIX))
        # Not a bit of the packed file: among zeros another one may mean the same.
        spoiled = flip(zlib.decompress(files[key], wal.GZIP))
        context.bucket.put(key, [gzip.compress(spoiled)], context.bucket.metadata(key))
        with pytest.raises(ProviderError, match=r"WAL file .* is refused: it was tampered with or damaged"):
            point_in_time.restore(context, base, None, say)
        context.bucket.delete(key)
        with pytest.raises(ProviderError, match=r"is missing|WAL in the bucket ends before"):
            point_in_time.restore(context, base, datetime.now(UTC) - timedelta(seconds=1), say)


def test_wal_that_ends_before_the_moment_is_refused(context: RecoveryContext) -> None:
    base = newest(context, BASE)
    with pytest.raises(
        ProviderError, match=r"the WAL in the bucket ends before .*; restore to an earlier time, or to the latest"
    ):
        point_in_time.restore(context, base, datetime.now(UTC), say)


def test_programs_that_are_too_old_or_missing_are_named(context: RecoveryContext, tmp_path: Path) -> None:
    old = tmp_path / "pg_dump"
    old.write_text("#!/bin/sh\necho 'pg_dump (PostgreSQL) 15.4'\n")
    old.chmod(0o755)
    programs = Programs(str(tmp_path), "no-valkey", "nobody")
    with pytest.raises(ProviderError, match=r"is version 15, but at least 18 is needed"):
        programs.require("pg_dump", "18.6")
    with pytest.raises(ProviderError, match=r"pg_basebackup is not in"):
        programs.require("pg_basebackup", "18.6")
    with pytest.raises(ProviderError, match=r"no-valkey is not on the PATH"):
        programs.valkey_server()


def test_two_backups_at_once_are_one_and_a_clear_line(context: RecoveryContext) -> None:
    with (
        context.exclusive(),
        pytest.raises(ProviderError, match=r"another backup of this stack runs on this machine"),
        context.exclusive(),
    ):
        pass


def test_an_object_store_that_is_away_or_refuses_is_one_line(context: RecoveryContext) -> None:
    from dataclasses import replace

    with pytest.raises(ProviderError, match=r"SignatureDoesNotMatch"), as_provider_errors():
        repository.find(replace(context.bucket, secret_key="wrong-wrong-wrong"), DUMP)
    with pytest.raises(ProviderError, match=r"AccessDenied"), as_provider_errors():
        repository.find(replace(context.bucket, name="blobs"), DUMP)
