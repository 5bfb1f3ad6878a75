"""Memory runs full on a real server with the rendered policy: caches go, everything else stays, writers are told."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import valkey

from components.mapping import Mapping, load
from components.mapping.values import MemorySize
from tests.support.own_valkey import OwnValkey, own_valkey

ROOT = Path(__file__).parents[2]
MAPPING = load(ROOT / "schema-mapping.yaml")
SMALL = "16mb"
VALUE = "v" * 10_000
OOM = "command not allowed when used memory > 'maxmemory'"  # after the code, OOM, which the client takes off


def small(mapping: Mapping) -> Mapping:
    memory = mapping.valkey.memory.model_copy(update={"maxmemory": MemorySize.parse(SMALL)})
    return mapping.model_copy(update={"valkey": mapping.valkey.model_copy(update={"memory": memory})})


@pytest.fixture
def own() -> Iterator[OwnValkey]:
    with own_valkey(small(MAPPING), ["scanner", "concelier"]) as own:
        yield own


def fill_until_refused(client: Any) -> int:
    """Keys without expiry that were accepted before the server refused one."""
    for number in range(5000):
        try:
            client.set(f"scan:more-{number}", VALUE)
        except valkey.exceptions.OutOfMemoryError:
            return number
    pytest.fail("the server never ran full, or evicted keys that must stay")


def test_the_server_runs_with_the_four_values_of_the_reference() -> None:
    with own_valkey(MAPPING, []) as own, own.client() as admin:
        found = admin.config_get("maxmemory", "maxmemory-policy", "stream-node-max-bytes", "stream-node-max-entries")
    assert found == {
        "maxmemory": str(2 << 30),
        "maxmemory-policy": "volatile-lru",
        "stream-node-max-bytes": "4096",
        "stream-node-max-entries": "100",
    }


def test_caches_are_evicted_while_keys_without_expiry_and_streams_stay(own: OwnValkey) -> None:
    with own.client("scanner") as scanner:
        for number in range(200):
            scanner.set(f"scan:{number}", VALUE)
            scanner.xadd("scanner:events", {"n": number})
        # Five times what fits: each of these must be accepted, at the cost of older ones.
        for number in range(8000):
            scanner.set(f"locator:{number}", VALUE, ex=86_400)
    with own.client() as admin:
        assert admin.info("stats")["evicted_keys"] > 5000
        assert len(list(admin.scan_iter("locator:*", count=1000))) < 2000
        assert len(list(admin.scan_iter("scan:*", count=1000))) == 200, "scan results must never be evicted"
        assert admin.xlen("scanner:events") == 200, "events would be lost"
        memory = admin.info("memory")
        # Buffers of the AOF and of replicas come on top: eviction can't free them.
        assert memory["used_memory"] - memory["mem_not_counted_for_evict"] < (17 << 20)


def test_when_only_what_stays_is_left_writers_get_an_oom_error_and_readers_go_on(own: OwnValkey) -> None:
    with own.client("scanner") as scanner:
        scanner.set("locator:cache", VALUE, ex=86_400)
        scanner.xadd("scanner:events", {"n": 1})
        kept = fill_until_refused(scanner)
        assert kept > 1000, "16 MB hold more than a thousand values of 10 kB"
        assert not scanner.exists("locator:cache"), "caches must go before a writer is refused"
        for command in ("XADD scanner:events * n 2", "SET locator:other v EX 60", "SADD layers:x m"):
            with pytest.raises(valkey.exceptions.OutOfMemoryError, match=OOM):
                scanner.execute_command(*command.split())
        assert scanner.get("scan:more-0") == VALUE and scanner.xlen("scanner:events") == 1
        assert all(scanner.exists(f"scan:more-{number}") for number in range(kept)), "a key without expiry went"
        # The way out for a module: what it deletes makes room at once.
        scanner.delete(*(f"scan:more-{number}" for number in range(100)))
        assert scanner.xadd("scanner:events", {"n": 2})


def test_groups_and_acknowledgements_go_on_when_memory_is_full(own: OwnValkey) -> None:
    """Otherwise consumers could not work off what fills it."""
    with own.client() as admin:
        admin.xgroup_create("scanner:jobs", "scanner-workers", "0", mkstream=True)
        for number in range(10):
            admin.xadd("scanner:jobs", {"n": number})
    with own.client("scanner") as scanner:
        entries = scanner.xreadgroup("scanner-workers", "w", {"scanner:jobs": ">"})[0][1]
        fill_until_refused(scanner)
        assert scanner.xack("scanner:jobs", "scanner-workers", *[entry for entry, _ in entries]) == 10
