"""Retention of streams on a real server, as the maintenance user: nothing unfinished goes without a word."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from components.mapping import load
from components.valkey.plan import maintenance_plan
from pods.valkey_upkeep import streams, trim
from pods.valkey_upkeep.resp import Connection, ServerError
from tests.support.own_valkey import OwnValkey, own_valkey

ROOT = Path(__file__).parents[2]
MAPPING = load(ROOT / "schema-mapping.yaml")
PLAN = maintenance_plan(MAPPING)
DAY_MS = 86_400_000
# Of one kind of node: `~` trims whole ones.
NODE = 100


@pytest.fixture(scope="module")
def server() -> Iterator[OwnValkey]:
    with own_valkey(MAPPING, []) as own:
        yield own


@pytest.fixture
def admin(server: OwnValkey) -> Iterator[Any]:
    with server.client() as client:
        client.flushall()
        yield client


@pytest.fixture
def connection(server: OwnValkey) -> Iterator[Connection]:
    with Connection(server.add_maintenance(MAPPING)) as connection:
        yield connection


def add(client: Any, stream: str, count: int, days_ago: float) -> list[str]:
    """Entries of that age; their IDs."""
    begin = int(time.time() * 1000 - days_ago * DAY_MS)
    ids = [f"{begin + number}-0" for number in range(count)]
    with client.pipeline(transaction=False) as together:
        for entry in ids:
            together.xadd(stream, {"n": 1}, id=entry)
        together.execute()
    return ids


def trimmed(connection: Connection) -> dict[str, trim.Trimmed]:
    return {result.stream: result for result in trim.trim(connection, PLAN)}


@pytest.mark.parametrize(
    "stream", ["scanner:events", "notify:delivery", "concelier:drift", "policy:evaluated", "events:a"]
)
def test_entries_older_than_the_ttl_go_and_younger_ones_stay(connection: Connection, admin: Any, stream: str) -> None:
    add(admin, stream, 25 * NODE, days_ago=7.5)
    young = add(admin, stream, NODE, days_ago=6.5)
    assert trimmed(connection)[stream].removed == 25 * NODE
    assert [entry for entry, _ in admin.xrange(stream)] == young


def test_a_stream_that_is_not_of_the_mapping_is_left_alone(connection: Connection, admin: Any) -> None:
    add(admin, "foreign:stream", 10 * NODE, days_ago=1000)
    assert trimmed(connection) == {}
    assert admin.xlen("foreign:stream") == 10 * NODE


def test_what_a_group_had_not_finished_is_counted(connection: Connection, admin: Any) -> None:
    streams.make(connection, PLAN)
    old = add(admin, "scanner:events", 10 * NODE, days_ago=8)
    add(admin, "scanner:events", 2 * NODE, days_ago=1)
    for group, count in (("policy", 300), ("notifier", 1100), ("export_center", 1200)):
        admin.xreadgroup(group, "w", {"scanner:events": ">"}, count=count)
    admin.xack("scanner:events", "policy", *old[:100])  # 200 are pending, 700 were never read
    admin.xack("scanner:events", "notifier", *old)
    result = trimmed(connection)["scanner:events"]
    assert result.removed == 10 * NODE
    assert result.lost == {"policy": 900, "export_center": 1000, "timeline_indexer": 1000}
    (line, total) = trim.text([result], int(time.time() * 1000))
    assert "policy had not processed 900 of them" in line and "notifier" not in line
    assert "1000 entries removed" in total


def test_losses_are_counted_once(connection: Connection, admin: Any) -> None:
    streams.make(connection, PLAN)
    add(admin, "scanner:events", NODE, days_ago=9)
    assert trimmed(connection)["scanner:events"].lost
    add(admin, "scanner:events", NODE, days_ago=8)
    assert trimmed(connection)["scanner:events"].lost["policy"] == NODE
    assert trimmed(connection)["scanner:events"].lost == {}


@pytest.mark.parametrize("queue", ["queue:a", "orchestrator:x"])
def test_a_queue_keeps_what_was_not_acknowledged_however_old_it_is(
    connection: Connection, admin: Any, queue: str
) -> None:
    ids = add(admin, queue, 10 * NODE, days_ago=30)
    admin.xgroup_create(queue, "done", "0", mkstream=True)
    admin.xgroup_create(queue, "slow", "0")
    for group, count in (("done", 1000), ("slow", 700)):
        admin.xreadgroup(group, "w", {queue: ">"}, count=count)
        admin.xack(queue, group, *ids[:count])
    assert trimmed(connection)[queue].removed == 7 * NODE
    result = trimmed(connection)[queue]
    assert result.removed == 0 and result.lost == {}
    assert result.held == {"slow": ids[700]}, "an operator must see what holds the queue"
    assert [entry for entry, _ in admin.xreadgroup("slow", "w", {queue: ">"})[0][1]] == ids[700:], "work was lost"
    assert (
        f"blocked by slow, which has not processed entry {ids[700]} for 30.0 days"
        in trim.text([result], int(time.time() * 1000))[0]
    )


def test_one_pending_entry_of_a_dead_consumer_holds_a_queue(connection: Connection, admin: Any) -> None:
    ids = add(admin, "queue:a", 5 * NODE, days_ago=30)
    admin.xgroup_create("queue:a", "w", "0")
    admin.xreadgroup("w", "dead", {"queue:a": ">"})
    admin.xack("queue:a", "w", *(ids[:250] + ids[251:]))
    result = trimmed(connection)["queue:a"]
    assert result.removed == 2 * NODE and result.held == {"w": ids[250]}
    admin.xack("queue:a", "w", ids[250])
    assert trimmed(connection)["queue:a"].removed == 3 * NODE


def test_a_queue_that_nobody_reads_is_kept_and_reported(connection: Connection, admin: Any) -> None:
    add(admin, "queue:a", 5 * NODE, days_ago=30)
    result = trimmed(connection)["queue:a"]
    assert result.removed == 0 and "no group reads it" in result.note
    assert "no group reads it" in trim.text([result], 0)[0]


def test_a_queue_whose_group_is_missing_is_kept_for_it(connection: Connection, admin: Any) -> None:
    """Of scheduler:jobs, Policy's group was lost: what Scanner has done, Policy has not."""
    ids = add(admin, "scheduler:jobs", 5 * NODE, days_ago=30)
    admin.xgroup_create("scheduler:jobs", "scanner", "0")
    admin.xreadgroup("scanner", "w", {"scheduler:jobs": ">"})
    admin.xack("scheduler:jobs", "scanner", *ids)
    result = trimmed(connection)["scheduler:jobs"]
    assert result.removed == 0 and "group policy is missing" in result.note
    streams.make(connection, PLAN)
    result = trimmed(connection)["scheduler:jobs"]
    assert result.removed == 0 and result.held == {"policy": ids[0]}


def test_new_work_behind_a_long_pause_is_not_called_held(connection: Connection, admin: Any) -> None:
    ids = add(admin, "queue:a", NODE, days_ago=30)
    admin.xgroup_create("queue:a", "w", "0")
    admin.xreadgroup("w", "c", {"queue:a": ">"})
    admin.xack("queue:a", "w", *ids)
    add(admin, "queue:a", 1, days_ago=0)
    result = trimmed(connection)["queue:a"]
    assert result.held == {} and result.removed == NODE


def test_finished_entries_of_the_last_week_stay(connection: Connection, admin: Any) -> None:
    ids = add(admin, "queue:a", 5 * NODE, days_ago=6)
    admin.xgroup_create("queue:a", "w", "0")
    admin.xreadgroup("w", "c", {"queue:a": ">"})
    admin.xack("queue:a", "w", *ids)
    assert trimmed(connection)["queue:a"].removed == 0


def test_no_step_removes_more_than_a_thousand_entries(connection: Connection, admin: Any, server: OwnValkey) -> None:
    """A step is one command: what it removes is what other clients wait for."""
    add(admin, "events:big", 50 * NODE, days_ago=8)
    admin.config_resetstat()
    assert trimmed(connection)["events:big"].removed == 50 * NODE
    assert admin.info("commandstats")["cmdstat_xtrim"]["calls"] >= 5


def test_the_maintenance_user_trims_streams_and_can_neither_write_nor_read_anything_else(
    connection: Connection, admin: Any
) -> None:
    admin.set("scan:x", "secret")
    for words in (
        ("GET", "scan:x"), ("DEL", "scan:x"), ("SET", "scan:x", "1"), ("XADD", "events:a", "*", "f", "v"), ("DEL", "events:a"),
        ("XDEL", "events:a", "1-1"), ("XGROUP", "DESTROY", "events:a", "g"), ("XTRIM", "foreign:s", "MAXLEN", "0"),
        ("XRANGE", "foreign:s", "-", "+"), ("FLUSHALL",), ("CONFIG", "GET", "*"), ("ACL", "LIST"), ("ACL", "SETUSER", "x"),
        ("ACL", "SAVE"), ("KEYS", "*"), ("SHUTDOWN",), ("EVAL", "return 1", "0"),
    ):  # fmt: skip
        with pytest.raises(ServerError, match="NOPERM"):
            connection.call(*words)
    assert connection.call("TYPE", "scan:x") == "string", "the audit needs a key's type"
