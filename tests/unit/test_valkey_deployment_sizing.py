"""Memory, disk and times of a Valkey pod, from ``maxmemory``."""

import pytest

from components.valkey.deployment.sizing import GIB, MIB, quantity, sizing

BOTH = ("rdb-snapshot", "aof")


@pytest.mark.parametrize("maxmemory", [512 * MIB, 2 * GIB, 48 * GIB])
def test_a_fork_that_copies_every_page_still_fits(maxmemory: int) -> None:
    assert sizing(maxmemory, replicas=0, strategy=BOTH).memory >= 2 * maxmemory + maxmemory // 10


def test_each_replica_adds_its_buffer() -> None:
    none, two, three = (sizing(2 * GIB, replicas=count, strategy=BOTH).memory for count in (0, 2, 3))
    assert two - none >= (64 + 2 * 256) * MIB
    assert three - two == 256 * MIB


def test_the_disk_holds_an_aof_its_rewrite_and_two_snapshots() -> None:
    assert sizing(2 * GIB, replicas=0, strategy=BOTH).disk == 12 * GIB
    assert sizing(2 * GIB, replicas=0, strategy=("aof",)).disk == 8 * GIB
    assert sizing(2 * GIB, replicas=0, strategy=("rdb-snapshot",)).disk == 4 * GIB


def test_a_pod_that_stops_has_time_to_save_twice() -> None:
    assert sizing(48 * GIB, replicas=0, strategy=BOTH).stopping > 2 * 48 * 1024 // 50


@pytest.mark.parametrize(
    ("size", "text"), [(6 * GIB, "6Gi"), (6 * GIB + 512 * MIB, "6656Mi"), (1, "1"), (1025 * MIB, "1025Mi")]
)
def test_sizes_are_written_as_the_api_server_writes_them(size: int, text: str) -> None:
    assert quantity(size) == text, "what is read back would differ in every preview"
