"""What ``make streams`` shows of a real server: lag, pending entries, and consumers that died over their work."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from components.mapping import load
from components.mapping.values import Duration
from components.valkey.plan import maintenance_plan
from pods.valkey_upkeep import streams as upkeep
from pods.valkey_upkeep.resp import Connection
from tests.support.own_valkey import OwnValkey, own_valkey
from tools.operations import streams

ROOT = Path(__file__).parents[3]
MAPPING = load(ROOT / "schema-mapping.yaml")
# So that a test need not wait a minute for a consumer to be given up.
HASTY = MAPPING.model_copy(
    update={"valkey": MAPPING.valkey.model_copy(update={"group_idle_timeout": Duration.parse("50ms")})}
)


@pytest.fixture(scope="module")
def server() -> Iterator[OwnValkey]:
    with own_valkey(MAPPING, []) as own:
        yield own


@pytest.fixture
def admin(server: OwnValkey) -> Iterator[Any]:
    with server.client() as client, Connection(server.endpoint) as connection:
        client.flushall()
        upkeep.make(connection, maintenance_plan(MAPPING))
        yield client


def report(server: OwnValkey, mapping: Any = MAPPING) -> dict[str, streams.StreamState]:
    with Connection(server.endpoint) as connection:
        return {state.name: state for state in streams.inspect(connection, mapping)}


def group(states: dict[str, streams.StreamState], stream: str, name: str) -> streams.GroupState:
    return next(state for state in states[stream].groups if state.name == name)


def test_a_fresh_server_shows_all_groups_with_their_timeouts_and_nothing_to_do(server: OwnValkey, admin: Any) -> None:
    states = report(server)
    assert {name: len(state.groups) for name, state in states.items()} == {
        "scanner:events": 4, "concelier:drift": 3, "policy:evaluated": 3, "scheduler:jobs": 2, "notify:delivery": 3, "scanner:jobs": 1,
    }  # fmt: skip
    assert group(states, "notify:delivery", "notify-workers").idle_timeout_ms == 30_000
    assert group(states, "scanner:jobs", "scanner-workers").idle_timeout_ms == 60_000
    assert not any(state.faulty for stream in states.values() for state in stream.groups)


def test_length_lag_and_pending_are_those_of_each_group(server: OwnValkey, admin: Any) -> None:
    ids = [admin.xadd("scanner:events", {"n": number}) for number in range(10)]
    admin.xreadgroup("policy", "a", {"scanner:events": ">"}, count=7)
    admin.xack("scanner:events", "policy", *ids[:4])
    states = report(server)
    policy = group(states, "scanner:events", "policy")
    assert states["scanner:events"].length == 10
    assert (policy.consumers, policy.lag, policy.pending) == (1, 3, 3)
    assert group(states, "scanner:events", "notifier").lag == 10
    assert policy.overdue == 0 and policy.oldest_idle_ms is not None


def test_a_dead_consumers_entries_are_seen_and_who_held_them(server: OwnValkey, admin: Any) -> None:
    for number in range(5):
        admin.xadd("scheduler:jobs", {"n": number})
    admin.xreadgroup("scanner", "worker-dead", {"scheduler:jobs": ">"}, count=3)
    time.sleep(0.1)
    admin.xreadgroup("scanner", "worker-alive", {"scheduler:jobs": ">"}, count=1)
    time.sleep(0.01)
    hasty = HASTY.model_copy(
        update={"valkey": HASTY.valkey.model_copy(update={"group_idle_timeout": Duration.parse("90ms")})}
    )
    state = group(report(server, hasty), "scheduler:jobs", "scanner")
    assert state.overdue == 3 and (state.oldest_idle_ms or 0) > 90
    assert [(dead.name, dead.pending) for dead in state.dead_consumers] == [("worker-dead", 3)]
    text = "\n".join(streams.table(list(report(server, hasty).values())))
    assert "OVERDUE 3; dead: worker-dead" in text and "XAUTOCLAIM" in text


def test_what_another_consumer_took_over_is_no_longer_overdue(server: OwnValkey, admin: Any) -> None:
    admin.xadd("scheduler:jobs", {"n": 1})
    admin.xreadgroup("scanner", "worker-dead", {"scheduler:jobs": ">"})
    time.sleep(0.2)
    assert group(report(server, HASTY), "scheduler:jobs", "scanner").faulty
    taken = admin.xautoclaim("scheduler:jobs", "scanner", "worker-new", min_idle_time=100)
    admin.xack("scheduler:jobs", "scanner", *(entry for entry, _ in taken[1]))
    assert not group(report(server, HASTY), "scheduler:jobs", "scanner").faulty


def test_of_many_pending_entries_the_longest_waiting_one_counts_wherever_it_stands(
    server: OwnValkey, admin: Any
) -> None:
    with admin.pipeline(transaction=False) as together:
        for number in range(2500):
            together.xadd("scanner:jobs", {"n": number}, id=f"{number + 1}-0")
        together.execute()
    admin.xreadgroup("scanner-workers", "w", {"scanner:jobs": ">"}, count=2500)
    admin.xclaim("scanner:jobs", "scanner-workers", "w", 0, ["2300-0"], idle=3_600_000)
    state = group(report(server), "scanner:jobs", "scanner-workers")
    assert (state.pending, state.overdue) == (2500, 1)
    assert (state.oldest_idle_ms or 0) >= 3_600_000


def test_a_missing_stream_or_group_is_marked_and_a_foreign_one_named(server: OwnValkey, admin: Any) -> None:
    admin.delete("scanner:jobs")
    admin.xgroup_destroy("scanner:events", "policy")
    admin.xgroup_create("scanner:events", "spy", "0")
    states = report(server)
    assert (
        group(states, "scanner:jobs", "scanner-workers").missing and group(states, "scanner:events", "policy").missing
    )
    text = "\n".join(streams.table(list(states.values())))
    assert (
        text.count("MISSING") == 2
        and "not in the mapping" in text
        and "run pulumi up to create the missing groups" in text
    )


def test_shared_streams_are_shown_with_whatever_groups_they_have(server: OwnValkey, admin: Any) -> None:
    admin.xadd("queue:mail", {"n": 1})
    admin.xgroup_create("queue:mail", "mailers", "0")
    admin.xadd("events:lonely", {"n": 1})
    states = report(server)
    assert group(states, "queue:mail", "mailers").lag == 1 and group(states, "queue:mail", "mailers").expected
    assert states["events:lonely"].groups == []
    assert "no groups" in "\n".join(streams.table(list(states.values())))


def test_the_lag_of_a_slow_group_is_right_after_trimming(server: OwnValkey, admin: Any) -> None:
    for number in range(500):
        admin.xadd("events:a", {"n": number})
    admin.xgroup_create("events:a", "slow", "0")
    admin.xreadgroup("slow", "c", {"events:a": ">"}, count=10)
    admin.xtrim("events:a", maxlen=100, approximate=False)
    assert group(report(server), "events:a", "slow").lag == 100, "what is gone can't be caught up with"


def test_a_stream_that_takes_no_more_entries_is_marked_with_the_command_that_repairs_it(
    server: OwnValkey, admin: Any
) -> None:
    admin.xadd("scanner:jobs", {"n": 1}, id="18446744073709551615-18446744073709551615")
    admin.execute_command("XGROUP", "SETID", "scheduler:jobs", "policy", "99999999999999-0")
    states = report(server)
    assert states["scanner:jobs"].faulty and group(states, "scheduler:jobs", "policy").faulty
    text = "\n".join(streams.table(list(states.values())))
    assert "TAKES NO MORE ENTRIES" in text and "python3 -m tools streams repair STREAM" in text
    assert "SKIPS ENTRIES" in text


def test_entries_that_were_trimmed_before_a_group_read_them_are_marked(server: OwnValkey, admin: Any) -> None:
    for number in range(3):
        admin.xadd("scanner:jobs", {"n": number})
    admin.xtrim("scanner:jobs", maxlen=1, approximate=False)
    states = report(server)
    assert group(states, "scanner:jobs", "scanner-workers").unread_removed == 2
    assert "LOST 2" in "\n".join(streams.table(list(states.values())))
