"""``streams``: report every stream with its groups, their lag and pending entries, and dead consumers."""

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field

from components.mapping import Mapping
from pods.valkey_upkeep import positions
from pods.valkey_upkeep.groups import lag, streams
from pods.valkey_upkeep.keys import milliseconds
from pods.valkey_upkeep.resp import Connection, pairs
from tools.operations.stack import Stack
from tools.operations.upkeep import connected

PENDING_STEP = 1000
FAULTY = 2
UNITS = (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000))


@dataclass(frozen=True)
class DeadConsumer:
    """A consumer with pending entries that was idle for longer than the group's idle timeout."""

    name: str
    pending: int
    idle_ms: int


@dataclass
class GroupState:
    """``lag``: number of undelivered entries, or None if the server cannot determine it. ``oldest_idle_ms``: the longest time since
    a pending entry was last delivered. ``overdue``: number of entries that are pending longer than the idle timeout.
    ``unread_removed``: number of entries that were removed before the group read them. ``ahead``: whether the group's position
    is after the stream's last ID."""

    name: str
    idle_timeout_ms: int
    expected: bool = True
    missing: bool = False
    consumers: int = 0
    lag: int | None = 0
    pending: int = 0
    oldest_idle_ms: int | None = None
    overdue: int = 0
    unread_removed: int = 0
    ahead: bool = False
    dead_consumers: list[DeadConsumer] = field(default_factory=list)

    @property
    def faulty(self) -> bool:
        return self.missing or self.overdue > 0 or self.unread_removed > 0 or self.ahead


@dataclass
class StreamState:
    """``fault``: what is wrong with the stream's last ID, or empty."""

    name: str
    length: int
    groups: list[GroupState]
    fault: str = ""

    @property
    def faulty(self) -> bool:
        return bool(self.fault) or any(group.faulty for group in self.groups)


def run(stack: Stack, options: argparse.Namespace) -> int:
    with connected(stack) as connection:
        states = list(inspect(connection, stack.mapping))
    if options.json:
        print(json.dumps([asdict(state) for state in states], indent=2))
    else:
        print("\n".join(table(states)))
    return FAULTY if any(state.faulty for state in states) else 0


def inspect(connection: Connection, mapping: Mapping) -> Iterator[StreamState]:
    """Yield the streams of the mapping, then other streams, such as those on shared patterns."""
    wanted: dict[str, dict[str, int]] = {name: {} for name in mapping.valkey.streams}
    for group in mapping.access.stream_groups:
        wanted[group.stream][group.name] = group.idle_timeout.milliseconds
    live = streams(connection)
    default = mapping.valkey.group_idle_timeout.milliseconds
    for name in [*wanted, *(stream for stream in live if stream not in wanted)]:
        expected = wanted.get(name)
        if name in live:
            yield _stream(connection, name, expected, default)
        else:
            missing = [GroupState(group, idle, missing=True) for group, idle in (expected or {}).items()]
            yield StreamState(name, 0, missing)


def _stream(connection: Connection, name: str, expected: dict[str, int] | None, default: int) -> StreamState:
    state = StreamState(name, 0, [])
    state.groups += [GroupState(missing, idle, missing=True) for missing, idle in (expected or {}).items()]
    for _, stream, live in positions.read(connection, [name]):
        state.length = stream["length"]
        state.fault = positions.last_id_fault(stream, milliseconds(connection.call("TIME")))
        first = stream["recorded-first-entry-id"] if stream["length"] else None
        known = {info["name"] for info in live}
        state.groups = [group for group in state.groups if group.name not in known]
        for info in live:
            # On a shared pattern, consumers create the groups: the mapping expects any.
            group = GroupState(
                info["name"],
                (expected or {}).get(info["name"], default),
                expected is None or info["name"] in expected,
                consumers=info["consumers"],
                pending=info["pending"],
                lag=lag(info, first, stream["length"]),
                unread_removed=positions.unread_removed(stream, info),
                ahead=positions.is_ahead(stream, info),
            )
            _pending(connection, name, group)
            state.groups.append(group)
    state.groups.sort(key=lambda group: group.name)
    return state


def _pending(connection: Connection, stream: str, state: GroupState) -> None:
    """Read all pending entries: they are listed by ID, so any of them can be pending longest."""
    start = "-"
    while state.pending:
        entries = connection.call("XPENDING", stream, state.name, start, "+", PENDING_STEP)
        for entry, _consumer, idle, _deliveries in entries:
            state.oldest_idle_ms = max(idle, state.oldest_idle_ms or 0)
            state.overdue += idle > state.idle_timeout_ms
            start = f"({entry}"
        if len(entries) < PENDING_STEP:
            break
    for consumer in map(pairs, connection.call("XINFO", "CONSUMERS", stream, state.name)):
        if consumer["pending"] and consumer["idle"] > state.idle_timeout_ms:
            state.dead_consumers.append(DeadConsumer(consumer["name"], consumer["pending"], consumer["idle"]))


def table(states: list[StreamState]) -> list[str]:
    """Format a row per stream and one per group below it, then the remedy for overdue entries and missing groups."""
    rows: list[tuple[str, ...]] = [
        ("STREAM / GROUP", "LENGTH", "CONSUMERS", "LAG", "PENDING", "OLDEST IDLE", "TIMEOUT", "")
    ]
    for state in states:
        notes = [state.fault.upper()] if state.fault else []
        notes += [] if state.groups else ["no groups"]
        rows.append((state.name, str(state.length), "", "", "", "", "", "; ".join(notes)))
        for group in state.groups:
            rows.append(_row(group))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        name, *numbers, note = (
            cell.ljust(width) if column in (0, 7) else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        lines.append("  ".join([name, *numbers, note]).rstrip())
    overdue = sum(group.overdue for state in states for group in state.groups)
    if overdue:
        lines.append(
            f"{overdue} entries are pending longer than their group's idle timeout; claim them with "
            "XAUTOCLAIM STREAM GROUP CONSUMER TIMEOUT-MS 0"
        )
    if any(group.missing for state in states for group in state.groups):
        lines.append("run pulumi up to create the missing groups")
    if any(state.fault for state in states):
        lines.append(
            "give a stream with a last ID in the future a sound one with python3 -m tools streams repair STREAM"
        )
    if any(group.ahead or group.unread_removed for state in states for group in state.groups):
        lines.append("python3 -m tools drift --store valkey prints a remedy for each group that skips or lost entries")
    return lines


def _row(group: GroupState) -> tuple[str, ...]:
    timeout = duration(group.idle_timeout_ms)
    if group.missing:
        return (f"  {group.name}", "", "", "", "", "", timeout, "MISSING")
    notes = [f"OVERDUE {group.overdue}"] if group.overdue else []
    notes += ["SKIPS ENTRIES"] if group.ahead else []
    notes += [f"LOST {group.unread_removed}"] if group.unread_removed else []
    notes += [
        f"dead: {dead.name} (idle {duration(dead.idle_ms)}, {dead.pending} pending)" for dead in group.dead_consumers
    ]
    notes += [] if group.expected else ["not in the mapping"]
    unknown = "?" if group.lag is None else str(group.lag)
    idle = "-" if group.oldest_idle_ms is None else duration(group.oldest_idle_ms)
    return (f"  {group.name}", "", str(group.consumers), unknown, str(group.pending), idle, timeout, "; ".join(notes))


def duration(milliseconds: int) -> str:
    """Format a duration with two units at most: ``45s``, ``3m 10s``, ``2d 4h``."""
    parts: list[str] = []
    for unit, size in UNITS:
        count, milliseconds = divmod(milliseconds, size)
        if count or parts:
            parts.append(f"{count}{unit}")
    return " ".join(part for part in parts[:2] if not part.startswith("0")) or "0s"
