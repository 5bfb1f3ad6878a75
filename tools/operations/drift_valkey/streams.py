"""Streams and consumer groups: missing ones, those of strangers, and positions from which entries are skipped or lost."""

from collections.abc import Iterator

from components.valkey.component import streams_of
from components.valkey.plan import maintenance_plan
from pods.valkey_upkeep import positions
from pods.valkey_upkeep.groups import GroupInfo, streams
from pods.valkey_upkeep.keys import milliseconds
from pods.valkey_upkeep.keyspace import Keyspace
from pods.valkey_upkeep.resp import Connection
from provider.difference import Difference
from tools.operations.stack import Stack
from tools.quoting import command


def differences(connection: Connection, stack: Stack) -> Iterator[Difference]:
    wanted = streams_of(stack.mapping)
    keyspace = Keyspace(maintenance_plan(stack.mapping))
    live = streams(connection)
    known = [name for name in live if (pattern := keyspace.of(name)) is not None and "stream" in pattern.types]
    for name in sorted(wanted.keys() - live):
        kind = connection.call("TYPE", name)
        if kind != "none":
            # A refresh of the stack's streams refuses such a key.
            yield Difference(f"key {name} is a {kind}, not a stream", command("DEL", name))
        yield Difference(f"stream {name} is missing")
    now_ms = milliseconds(connection.call("TIME"))
    for name, stream, groups in positions.read(connection, known):
        if name in wanted:
            yield from _groups(name, set(wanted[name]), {group["name"] for group in groups})
        yield from _positions(stack, name, stream, groups, now_ms)
        ttl_ms = connection.call("PTTL", name)
        if ttl_ms >= 0:
            yield Difference(
                f"stream {name} has a TTL and is deleted with all entries in {ttl_ms // 1000} s",
                command("PERSIST", name),
            )
    for name in sorted(set(live) - set(known)):
        yield Difference(
            f"stream {keyspace.shown(name, keyspace.of(name))} is not in the mapping", command("DEL", name)
        )


def _groups(stream: str, wanted: set[str], live: set[str]) -> Iterator[Difference]:
    for group in sorted(wanted - live):
        yield Difference(f"consumer group {group} of stream {stream} is missing")
    for group in sorted(live - wanted):
        yield Difference(
            f"consumer group {group} of stream {stream} is not in the mapping",
            command("XGROUP", "DESTROY", stream, group),
        )


def _positions(
    stack: Stack, name: str, stream: positions.StreamInfo, groups: list[GroupInfo], now_ms: int
) -> Iterator[Difference]:
    fault = positions.last_id_fault(stream, now_ms)
    if fault:
        yield Difference(
            f"stream {name} {fault}, {stream['last-generated-id']}", stack.command("streams", "repair", name)
        )
    for group in groups:
        place = f"consumer group {group['name']} of stream {name}"
        # The repair of the stream also corrects its groups.
        if not fault and positions.is_ahead(stream, group):
            yield Difference(
                f"{place} skips entries up to ID {group['last-delivered-id']}, which lies after the stream's last ID "
                f"{stream['last-generated-id']}; with the remedy, it gets all entries of the stream again",
                command("XGROUP", "SETID", name, group["name"], "0", "ENTRIESREAD", positions.removed(stream)),
            )
        if lost := positions.unread_removed(stream, group):
            yield Difference(
                f"{lost} entries of stream {name} were removed before consumer group {group['name']} read them; a backup "
                "may have them, and the remedy accepts the loss",
                command(
                    "XGROUP", "SETID", name, group["name"], group["last-delivered-id"],
                    "ENTRIESREAD", positions.removed(stream),
                ),
            )  # fmt: skip
