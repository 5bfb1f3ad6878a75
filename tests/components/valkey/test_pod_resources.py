"""Memory, disk and times of a Valkey pod, from ``maxmemory``."""

from pathlib import Path

import pytest

from components.valkey.deployment.pod_resources import GIB, MIB, quantity, sizing

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
    assert sizing(48 * GIB, replicas=0, strategy=BOTH).termination_seconds > 2 * 48 * 1024 // 50


@pytest.mark.parametrize(
    ("size", "text"), [(6 * GIB, "6Gi"), (6 * GIB + 512 * MIB, "6656Mi"), (1, "1"), (1025 * MIB, "1025Mi")]
)
def test_sizes_are_written_as_the_api_server_writes_them(size: int, text: str) -> None:
    assert quantity(size) == text, "what is read back would differ in every preview"


def test_the_guide_has_the_numbers_of_the_rule() -> None:
    guide = (Path(__file__).parents[3] / "docs" / "valkey-kubernetes.md").read_text()
    for replicas in (0, 2):
        made = sizing(2 * GIB, replicas=replicas, strategy=BOTH)
        for text in (f"{made.memory // MIB} MiB", f"{made.disk // GIB} GiB", f"{made.termination_seconds} s"):
            assert f"| {text} |" in guide, f"with {replicas} replicas"


def test_the_plugin_that_is_built_is_the_one_that_the_sdk_names() -> None:
    from tools.offline_plugins.install import sdk_version

    main = (
        Path(__file__).parents[3] / "tools" / "local" / "engine" / "pulumi-resource-kubernetes" / "main.go"
    ).read_text()
    assert f'"v{sdk_version("pulumi_kubernetes")}"' in main
