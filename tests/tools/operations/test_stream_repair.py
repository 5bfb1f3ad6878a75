"""``streams repair`` on a real server: whatever a stream holds, it is the same afterwards, with IDs that do not lie in the future."""

import argparse
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from valkey import ResponseError

from components.mapping import load
from pods.valkey_upkeep import positions
from pods.valkey_upkeep.groups import order
from pods.valkey_upkeep.resp import Connection, ServerError
from provider.errors import ProviderError
from tests.support.operated import stack_with
from tests.support.own_valkey import ADMIN, OwnValkey, own_valkey, password
from tools.local.errors import UserError
from tools.operations import stream_repair
from tools.operations.stack import Stack

ROOT = Path(__file__).parents[3]
MAPPING = load(ROOT / "schema-mapping.yaml")
STREAM = "queue:a"
GROUPS = ("one", "two", "three")
FUTURE_MS = 99_999_999_999_999


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
    with Connection(server.endpoint) as connection:
        yield connection


@dataclass
class Group:
    """``pending``: consumer, number of deliveries and the entry's value (None if it was deleted), by ID."""

    consumers: set[str]
    read: int | None
    pending: list[tuple[str, int, str | None]] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)


@dataclass
class Content:
    """A stream without IDs that may change. ``sound``: entries whose IDs do not lie in the future, with their IDs."""

    values: list[str]
    sound: list[tuple[str, str]]
    added: int
    ttl: int
    groups: dict[str, Group]


def content(admin: Any, now_ms: int) -> Content:
    entries = {entry: fields["n"] for entry, fields in admin.xrange(STREAM)}
    groups = {}
    for info in admin.xinfo_groups(STREAM):
        group = Group(
            {consumer["name"] for consumer in admin.xinfo_consumers(STREAM, info["name"])}, info["entries-read"]
        )
        for item in admin.xpending_range(STREAM, info["name"], "-", "+", 1000):
            group.pending.append((item["consumer"], item["times_delivered"], entries.get(item["message_id"])))
        after = order(info["last-delivered-id"])
        group.unread = [value for entry, value in entries.items() if order(entry) > after]
        groups[info["name"]] = group
    sound = [(entry, value) for entry, value in entries.items() if order(entry)[0] <= now_ms]
    ttl = admin.ttl(STREAM)
    return Content(list(entries.values()), sound, admin.xinfo_stream(STREAM)["entries-added"], ttl, groups)


def now_ms(admin: Any) -> int:
    seconds, microseconds = admin.time()
    return int(seconds) * 1000 + int(microseconds) // 1000


class Writer:
    """Runs random commands on the stream, as producers and consumers do."""

    def __init__(self, admin: Any) -> None:
        self.admin = admin
        self.count = 0

    def run(self, command: tuple[Any, ...]) -> None:
        action, *arguments = command
        try:
            getattr(self, f"_{action}")(*arguments)
        except ResponseError as error:
            # After the largest ID, the stream takes no more entries.
            if "equal or smaller" not in str(error) and "exhausted" not in str(error):
                raise

    def _add(self, milliseconds: int | None, number: int) -> None:
        self.count += 1
        entry = "*" if milliseconds is None else f"{milliseconds}-{number}"
        self.admin.xadd(STREAM, {"n": self.count, "more": "x" * number}, id=entry)

    def _read(self, group: str, consumer: str, count: int) -> None:
        self.admin.xreadgroup(group, consumer, {STREAM: ">"}, count=count)

    def _entry(self, position: int) -> str | None:
        entries = self.admin.xrange(STREAM)
        return entries[position % len(entries)][0] if entries else None

    def _delete(self, position: int) -> None:
        if (entry := self._entry(position)) is not None:
            self.admin.xdel(STREAM, entry)

    def _acknowledge(self, group: str, position: int) -> None:
        if (entry := self._entry(position)) is not None:
            self.admin.xack(STREAM, group, entry)

    def _claim(self, group: str, consumer: str, position: int) -> None:
        if (entry := self._entry(position)) is not None:
            self.admin.xclaim(STREAM, group, consumer, 0, [entry], retrycount=position + 2)

    def _trim(self, length: int) -> None:
        self.admin.xtrim(STREAM, maxlen=length, approximate=False)

    def _consumer(self, group: str, consumer: str) -> None:
        self.admin.xgroup_createconsumer(STREAM, group, consumer)

    def _position(self, group: str, milliseconds: int) -> None:
        self.admin.xgroup_setid(STREAM, group, f"{milliseconds}-1")


group_names, consumers, index = st.sampled_from(GROUPS), st.sampled_from("ab"), st.integers(0, 9)
soon = st.sampled_from([FUTURE_MS, FUTURE_MS + 1, 2**64 - 1])
usual = st.one_of(
    st.tuples(st.just("add"), st.none(), index),
    st.tuples(st.just("add"), st.none(), index),
    st.tuples(st.just("read"), group_names, consumers, st.integers(1, 5)),
    st.tuples(st.just("delete"), index),
    st.tuples(st.just("acknowledge"), group_names, index),
    st.tuples(st.just("claim"), group_names, consumers, index),
    st.tuples(st.just("consumer"), group_names, consumers),
    st.tuples(st.just("trim"), st.integers(0, 12)),
)
odd = st.one_of(
    st.tuples(st.just("add"), soon, index),
    st.tuples(st.just("position"), group_names, st.sampled_from([0, 5, FUTURE_MS])),
)
fault = st.sampled_from([f"{FUTURE_MS}-0", positions.LARGEST_ID])


@settings(max_examples=60, deadline=None)
@given(
    before=st.lists(usual, max_size=25),
    breaking=fault,
    after=st.lists(st.one_of(usual, odd), max_size=15),
    meanwhile=st.lists(st.lists(usual, max_size=3), max_size=8),
    expires=st.booleans(),
    as_position=st.booleans(),
)
def test_a_repaired_stream_is_the_same_with_sound_ids(
    server: OwnValkey, before: list[Any], breaking: str, after: list[Any], meanwhile: list[list[Any]],
    expires: bool, as_position: bool,
) -> None:  # fmt: skip
    with server.client() as admin, Connection(server.endpoint) as connection, pytest.MonkeyPatch.context() as patch:
        admin.flushall()
        for given_name in GROUPS:
            admin.xgroup_create(STREAM, given_name, "0", mkstream=True)
        writer = Writer(admin)
        for command in before:
            writer.run(command)
        if as_position:
            admin.execute_command("XSETID", STREAM, breaking)
        else:
            writer.run(
                ("add", *map(int, breaking.split("-"))) if breaking != positions.LARGEST_ID else ("add", 2**64 - 1, 0)
            )
            admin.execute_command(
                "XSETID", STREAM, max(breaking, admin.xinfo_stream(STREAM)["last-generated-id"], key=order)
            )
        for command in after:
            writer.run(command)
        if expires:
            admin.expire(STREAM, 1000)
        patch.setattr(stream_repair, "STEP_ENTRIES", 3)
        now = now_ms(admin)
        expected: list[Content] = [content(admin, now)]

        def act(_copied: int) -> None:
            for command in meanwhile.pop() if meanwhile else []:
                writer.run(command)
            expected.append(content(admin, now))

        done = stream_repair.repair(connection, STREAM, act)
        wanted, found = expected[-1], content(admin, now)
        assert (found.values, found.added, found.groups) == (wanted.values, wanted.added, wanted.groups)
        assert found.sound[: len(wanted.sound)] == wanted.sound, "a sound entry has another ID"
        assert (found.ttl > 0) == expires
        assert admin.keys("*") == [STREAM], "a key was left behind"
        last = admin.xinfo_stream(STREAM)["last-generated-id"]
        assert last == done.last_id and order(last)[0] <= now_ms(admin) + 1
        # Producers can add entries, and every group gets exactly those that it had not read.
        admin.xadd(STREAM, {"n": "new"})
        for name, group in wanted.groups.items():
            read = admin.xreadgroup(name, "reader", {STREAM: ">"})
            assert [fields["n"] for _, fields in read[0][1]] == [*group.unread, "new"], name


def broken_stream(admin: Any, count: int) -> None:
    """A stream with old and recent entries; half of them have IDs in the future."""
    admin.xgroup_create(STREAM, "workers", "0", mkstream=True)
    with admin.pipeline(transaction=False) as together:
        for number in range(count):
            entry = f"{FUTURE_MS}-0" if number == count // 2 else "*"
            together.xadd(STREAM, {"n": number}, id=entry)
        together.execute()


def test_nothing_is_lost_or_doubled_while_a_producer_and_a_consumer_work(
    admin: Any, server: OwnValkey, connection: Connection
) -> None:
    broken_stream(admin, 5000)
    processed: list[str] = []
    added: list[int] = list(range(5000))
    ended = threading.Event()

    def work(task: Callable[[Any], None]) -> threading.Thread:
        def loop() -> None:
            with server.client() as client:
                while not ended.is_set():
                    task(client)

        thread = threading.Thread(target=loop)
        thread.start()
        return thread

    def produce(client: Any) -> None:
        client.xadd(STREAM, {"n": len(added)})
        added.append(len(added))

    def consume(client: Any) -> None:
        for _, entries in client.xreadgroup("workers", "c", {STREAM: ">"}, count=20):
            for entry, fields in entries:
                processed.append(fields["n"])
                client.xack(STREAM, "workers", entry)

    threads = [work(produce), work(consume)]
    try:
        while len(added) < 5050 or len(processed) < 100:
            time.sleep(0.001)
        stream_repair.repair(connection, STREAM)
        goal = len(added) + 50
        while len(added) < goal:
            time.sleep(0.001)
    finally:
        ended.set()
        for thread in threads:
            thread.join()
    assert [int(fields["n"]) for _, fields in admin.xrange(STREAM)] == added
    rest = admin.xreadgroup("workers", "c", {STREAM: ">"})
    processed += [fields["n"] for _, entries in rest for _, fields in entries]
    assert [int(number) for number in processed] == added


def test_a_repaired_stream_survives_a_restart(admin: Any, server: OwnValkey, connection: Connection) -> None:
    broken_stream(admin, 20)
    admin.xreadgroup("workers", "c", {STREAM: ">"}, count=15)
    stream_repair.repair(connection, STREAM)
    before = content(admin, 0), admin.xinfo_stream(STREAM)["last-generated-id"]
    server.stop()
    server.start()
    with server.client() as again:
        assert (content(again, 0), again.xinfo_stream(STREAM)["last-generated-id"]) == before


def test_an_entry_that_cannot_be_copied_leaves_the_stream_as_it_was(admin: Any, connection: Connection) -> None:
    broken_stream(admin, 4)
    admin.xadd(STREAM, {f"field{number}": 1 for number in range(4000)})
    before = admin.xrange(STREAM)
    with pytest.raises(ServerError, match="has too many fields to be copied"):
        stream_repair.repair(connection, STREAM)
    assert admin.xrange(STREAM) == before and admin.keys("*") == [STREAM]


def test_a_stream_that_is_deleted_meanwhile_leaves_nothing_behind(admin: Any, connection: Connection) -> None:
    broken_stream(admin, 4)
    with pytest.raises(ServerError, match="no such key"):
        stream_repair.repair(connection, STREAM, lambda _copied: admin.delete(STREAM))
    assert admin.keys("*") == []


def test_without_memory_for_a_copy_the_stream_is_as_it_was(
    admin: Any, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken_stream(admin, 500)
    before = admin.xrange(STREAM)
    monkeypatch.setattr(stream_repair, "STEP_ENTRIES", 100)
    limit = admin.config_get("maxmemory")["maxmemory"]
    try:
        with pytest.raises(ServerError, match="OOM"):
            stream_repair.repair(connection, STREAM, lambda _copied: admin.config_set("maxmemory", "1"))
    finally:
        admin.config_set("maxmemory", limit)
    assert admin.xrange(STREAM) == before
    stream_repair.repair(connection, STREAM)
    assert len(admin.xrange(STREAM)) == 500 and admin.keys("*") == [STREAM]


def stack_of(server: OwnValkey) -> Stack:
    return stack_with(
        {
            "mapping": str(ROOT / "schema-mapping.yaml"), "valkeyHost": "127.0.0.1", "valkeyPort": str(server.port),
            "valkeyAdminUser": ADMIN, "valkeyAdminPassword": password(ADMIN),
        }
    )  # fmt: skip


def options(name: str, *, yes: bool) -> argparse.Namespace:
    return argparse.Namespace(stream=name, yes=yes)


def test_the_command_repairs_one_stream_and_then_finds_it_sound(
    admin: Any, server: OwnValkey, capsys: pytest.CaptureFixture[str]
) -> None:
    broken_stream(admin, 10)
    assert stream_repair.run(stack_of(server), options(STREAM, yes=True)) == 0
    last = admin.xinfo_stream(STREAM)["last-generated-id"]
    assert f"stream {STREAM} repaired: 5 entries and 0 pending entries have new IDs" in capsys.readouterr().out
    assert stream_repair.run(stack_of(server), options(STREAM, yes=True)) == 0
    assert f"stream {STREAM} is sound, its last ID is {last}; nothing was changed" in capsys.readouterr().out


def test_without_a_confirmation_nothing_is_changed(
    admin: Any, server: OwnValkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken_stream(admin, 10)
    before = admin.xrange(STREAM)
    with pytest.raises(UserError, match="would rebuild stream queue:a") as refused:
        stream_repair.run(stack_of(server), options(STREAM, yes=False))
    assert "python3 -m tools streams repair queue:a --stack test --yes" in str(refused.value)
    monkeypatch.setattr("sys.stdin", argparse.Namespace(isatty=lambda: True))
    monkeypatch.setattr("builtins.input", lambda _question: "n")
    assert stream_repair.run(stack_of(server), options(STREAM, yes=False)) == 1
    assert admin.xrange(STREAM) == before


@pytest.mark.parametrize(
    ("command", "reason"), [("PING", "there is no such key"), ("SET queue:a 1", "the key is a string")]
)
def test_another_key_is_refused(admin: Any, server: OwnValkey, command: str, reason: str) -> None:
    admin.execute_command(*command.split())
    with pytest.raises(ProviderError, match=reason):
        stream_repair.run(stack_of(server), options(STREAM, yes=True))
