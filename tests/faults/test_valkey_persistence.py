"""The data that Valkey has after it was killed with -9 under write load and restarted.

A killed process loses nothing that it passed to the kernel, so a kill tests the server only. A power loss also loses
data that were not synced: the test asks the kernel which pages of the AOF are in memory only.
"""

import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import valkey

from components.mapping import load
from tests.faults.page_cache import unsynced_pages
from tests.support.own_valkey import OwnValkey, own_valkey

ROOT = Path(__file__).parents[2]
MAPPING = load(ROOT / "schema-mapping.yaml")
WRITES_BEFORE_KILL = 3000
VALUE = "v" * 200
KERNEL_WRITES_BACK_SECONDS = 5  # vm.dirty_writeback_centisecs: before that, only fsync does it


@pytest.fixture(params=["everysec", "always"])
def own(request: pytest.FixtureRequest) -> Iterator[OwnValkey]:
    with own_valkey(MAPPING, ["scanner"], appendfsync=request.param) as own:
        with own.client() as admin:
            assert admin.config_get("appendfsync")["appendfsync"] == request.param
        yield own


class Load:
    """Write one key after the other and record when each write was answered."""

    def __init__(self, own: OwnValkey) -> None:
        self.answered: list[float] = []
        self._enough = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(own,), daemon=True)
        self._thread.start()

    def _run(self, own: OwnValkey) -> None:
        client = own.client("scanner")
        try:
            while True:
                client.set(f"scan:{len(self.answered)}", VALUE)
                self.answered.append(time.monotonic())
                if len(self.answered) == WRITES_BEFORE_KILL:
                    self._enough.set()
        except valkey.ConnectionError:
            pass

    def wait(self) -> None:
        assert self._enough.wait(timeout=60), "the load does not get on"

    def join(self) -> None:
        self._thread.join(timeout=10)


def lost(load: Load, client: Any) -> list[int]:
    with client.pipeline(transaction=False) as together:
        for number in range(len(load.answered)):
            together.exists(f"scan:{number}")
        found = together.execute()
    return [number for number, there in enumerate(found) if not there]


def kill_under_load(own: OwnValkey) -> tuple[Load, float]:
    load = Load(own)
    load.wait()
    killed = time.monotonic()
    own.kill()
    load.join()
    own.start()
    return load, killed


def test_a_killed_server_has_all_but_the_last_second_of_answered_writes(own: OwnValkey) -> None:
    load, killed = kill_under_load(own)
    with own.client() as admin:
        always = admin.config_get("appendfsync")["appendfsync"] == "always"
        missing = lost(load, admin)
    if always:
        assert missing == [], "what was answered was on the disk"
    assert all(killed - load.answered[number] <= 1.0 for number in missing), "only the last second may be lost"
    assert missing == list(range(len(load.answered) - len(missing), len(load.answered))), "a hole is no lost tail"


def test_users_streams_and_groups_are_there_after_the_kill(own: OwnValkey) -> None:
    with own.client() as admin:
        admin.xgroup_create("scanner:jobs", "scanner-workers", "0", mkstream=True)
        entry = admin.xadd("scanner:jobs", {"job": 1})
        admin.xreadgroup("scanner-workers", "w", {"scanner:jobs": ">"})
    own.kill()
    own.start()
    with own.client("scanner") as scanner:
        assert scanner.xpending("scanner:jobs", "scanner-workers")["pending"] == 1, "the job would be done by nobody"
        assert scanner.xack("scanner:jobs", "scanner-workers", entry) == 1


def test_a_kill_during_a_rewrite_and_a_snapshot_loses_no_more(own: OwnValkey) -> None:
    with own.client() as admin, admin.pipeline(transaction=False) as together:
        for number in range(20_000):
            together.set(f"locator:{number}", VALUE, ex=86_400)
        together.execute()
        admin.bgrewriteaof()
    load, killed = kill_under_load(own)
    with own.client() as admin:
        assert len(list(admin.scan_iter("locator:*", count=1000))) == 20_000
        assert all(killed - load.answered[number] <= 1.0 for number in lost(load, admin))


def test_a_truncated_end_of_the_aof_costs_the_last_write_alone(own: OwnValkey) -> None:
    with own.client("scanner") as scanner:
        for number in range(100):
            scanner.set(f"scan:{number}", VALUE)
    own.kill()
    (last,) = (own.home / "appendonlydir").glob("*.incr.aof")
    with last.open("r+b") as file:
        file.truncate(last.stat().st_size - 50)
    own.start()
    with own.client() as admin:
        assert [number for number in range(100) if not admin.exists(f"scan:{number}")] == [99]


def test_with_always_each_answered_write_is_on_the_disk_and_with_everysec_soon_after(own: OwnValkey) -> None:
    (aof,) = (own.home / "appendonlydir").glob("*.incr.aof")
    with own.client() as admin:
        always = admin.config_get("appendfsync")["appendfsync"] == "always"
        in_memory = []
        for number in range(200):
            admin.set(f"scan:{number}", VALUE)
            in_memory.append(unsynced_pages(aof))
    if always:
        assert not any(in_memory), "an answered write would be lost with the machine"
        return
    assert any(in_memory), "everysec answers before it syncs, or this measures nothing"
    deadline = time.monotonic() + KERNEL_WRITES_BACK_SECONDS
    while unsynced_pages(aof):
        assert time.monotonic() < deadline, "nobody syncs: the kernel would get to it sometime"
        time.sleep(0.02)


def test_a_snapshot_alone_brings_the_data_back_with_the_aof_off(own: OwnValkey) -> None:
    """RDB is the second part of the backup strategy: backups copy this file."""
    with own.client() as admin:
        for number in range(1000):
            admin.set(f"scan:{number}", VALUE)
        admin.save()
    with own_valkey(MAPPING, []) as restored:
        restored.stop()
        shutil.rmtree(restored.home / "appendonlydir")
        shutil.copy(own.home / "dump.rdb", restored.home)
        conf = restored.home / "valkey.conf"
        wanted = conf.read_text()
        # If the AOF is on but missing, the server starts empty.
        conf.write_text(wanted.replace("appendonly yes", "appendonly no"))
        restored.start()
        with restored.client() as admin:
            assert admin.dbsize() == 1000
            admin.config_set("appendonly", "yes")
            while (
                admin.info("persistence")["aof_rewrite_in_progress"]
                or admin.info("persistence")["aof_rewrite_scheduled"]
            ):
                time.sleep(0.02)
        conf.write_text(wanted)
        restored.kill()
        restored.start()
        with restored.client() as admin:
            assert admin.dbsize() == 1000, "the AOF was not made from the snapshot"
