"""The agent without a server: what it makes of snapshots and WAL, and that a plain Python can run it."""

import ast
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from components.backups import kubernetes
from pods.backup_agent import facts, rdb, repository, wal
from pods.backup_agent.errors import BackupError
from pods.backup_agent.s3 import ListedObject

AGENT = Path(facts.__file__).parent
SEGMENT = 16 << 20
NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)


def found(name: str, minutes: float = 0) -> ListedObject:
    return ListedObject(f"postgres/wal/{name}.gz", 1, NOON + timedelta(minutes=minutes))


def names(items: list[ListedObject]) -> list[str]:
    return [wal.file_name(item) for item in items]


def segment(number: int, timeline: int = 1) -> str:
    return f"{timeline:08X}{number // 256:08X}{number % 256:08X}"


def test_pods_need_nothing_that_a_plain_python_lacks() -> None:
    for path in AGENT.parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                assert all(name.name.partition(".")[0] in sys.stdlib_module_names for name in node.names), path
            elif isinstance(node, ast.ImportFrom):
                inside = node.level == 1 or node.module == "pods.valkey_upkeep.resp"
                assert inside or str(node.module).partition(".")[0] in sys.stdlib_module_names, f"{path}: {node.module}"


def test_the_agent_runs_as_a_package_of_another_name_as_in_the_pod(tmp_path: Path) -> None:
    (tmp_path / "agent").symlink_to(AGENT)
    resp = tmp_path / kubernetes.RESP.relative_to(kubernetes.PODS.parent)
    resp.parent.mkdir(parents=True)
    resp.symlink_to(kubernetes.RESP)
    command = [sys.executable, "-S", "-m", "agent", "valkey"]
    environment = {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("error: S3_ENDPOINT, S3_ACCESS_KEY, S3_SECRET_KEY, S3_BUCKET not set"), done.stderr


def test_recovery_takes_all_segments_from_the_base_backup_on_across_the_end_of_a_log_file() -> None:
    items = [found(segment(number)) for number in range(250, 260)]
    assert names(wal.needed(items, segment(253), SEGMENT, None)) == [segment(number) for number in range(253, 260)]


def test_a_missing_segment_is_named_and_nothing_after_it_is_trusted() -> None:
    items = [found(segment(number)) for number in (5, 6, 8)]
    with pytest.raises(BackupError, match=r"segment \.\.\.0000000000000007 is missing; restore to an earlier time"):
        wal.needed(items, segment(5), SEGMENT, None)


def test_a_missing_segment_after_the_target_is_no_obstacle() -> None:
    items = [found(segment(1), 0), found(segment(2), 10), found(segment(9), 99)]
    assert names(wal.needed(items, segment(1), SEGMENT, NOON)) == [segment(1), segment(2)]


def test_only_what_a_point_in_time_needs_is_read() -> None:
    items = [found(segment(number), number * 10) for number in range(20)]
    chosen = names(wal.needed(items, segment(0), SEGMENT, NOON + timedelta(minutes=25)))
    assert segment(3) in chosen, "the segment that was stored after the target holds it"
    assert segment(5) not in chosen


def test_history_files_and_a_new_timeline_come_along() -> None:
    items = [
        found(segment(1)),
        found(segment(2)),
        found(segment(2, 2)),
        found("00000002.history"),
        found(segment(3, 2)),
    ]
    chosen = names(wal.needed(items, segment(1), SEGMENT, None))
    assert set(chosen) == {segment(1), segment(2), segment(2, 2), "00000002.history", segment(3, 2)}


def test_a_segment_that_was_not_finished_counts_as_the_last() -> None:
    items = [found(segment(1)), found(f"{segment(2)}.partial")]
    assert names(wal.needed(items, segment(1), SEGMENT, None)) == [segment(1), f"{segment(2)}.partial"]


def test_the_first_segment_is_where_the_base_backup_begins() -> None:
    manifest = {"timeline": 3, "start_lsn": "1A/5000028", "segment_bytes": SEGMENT}
    assert facts.first_segment(manifest) == "000000030000001A00000005"


def aux(name: bytes, value: bytes) -> bytes:
    return b"\xfa" + bytes([len(name)]) + name + bytes([len(value)]) + value


def test_a_snapshot_says_its_version_and_how_many_keys_it_holds() -> None:
    start = (
        b"VALKEY080"
        + aux(b"valkey-ver", b"9.1.2")
        + b"\xfa\x05ctime\xc2\x01\x02\x03\x04"
        + b"\xfe\x00\xfb\x42\x05\x03rest"
    )
    assert rdb.describe(start) == {"rdb_format": 80, "server": "9.1.2", "keys": 0x205, "expiring": 3}


def test_an_empty_snapshot_holds_no_key() -> None:
    assert rdb.describe(b"REDIS0011" + aux(b"redis-ver", b"7.2.4") + b"\xff")["keys"] == 0


@pytest.mark.parametrize("start", [b"", b"-ERR no", b"PK\x03\x04", b"REDIS0011\xfa"])
def test_what_is_no_snapshot_is_refused(start: bytes) -> None:
    with pytest.raises(BackupError, match="RDB file"):
        rdb.describe(start)


def test_names_sort_as_their_times() -> None:
    times = [NOON, NOON + timedelta(milliseconds=1), NOON + timedelta(seconds=59), NOON + timedelta(days=40)]
    assert sorted(map(repository.name_of, times)) == [repository.name_of(time) for time in times]


def test_facts_that_are_not_whole_are_refused(tmp_path: Path) -> None:
    (tmp_path / "server.tsv").write_text("version\t18.6\n")
    with pytest.raises(BackupError, match="incomplete"):
        facts.read(tmp_path)
