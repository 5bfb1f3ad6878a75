"""Retention of streams: ``XTRIM MINID ~``, a bounded number of entries at a time.

Two kinds of stream. One with a TTL loses its entries at that age, read or not; what a group had not finished is
counted and reported. One without a TTL (a queue) is trimmed only of entries that every group has acknowledged and
that are older than the plan says: unfinished work stays, and holds back what came after it.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from .groups import groups, lag, oldest_unfinished, order, streams
from .keyspace import Keyspace
from .plan import Plan
from .resp import Connection, ServerError, pairs

STEP_ENTRIES = 1000
DAY_MS = 86_400_000


@dataclass
class Trimmed:
    """What became of one stream. ``lost``: group -> entries that went although it had not finished them.
    ``held``: group -> ID of its oldest unfinished entry, where that is older than the age of trimming."""

    stream: str
    pattern: str
    removed: int = 0
    lost: dict[str, int] = field(default_factory=dict)
    held: dict[str, str] = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True)
class _State:
    """A stream at one moment. ``first`` is its oldest entry's ID, or None when it is empty."""

    first: str | None
    length: int
    groups: dict[str, dict[str, Any]]


def trim(connection: Connection, plan: Plan) -> Iterator[Trimmed]:
    """Trim every stream that the plan has a rule for; one result each, also for those where nothing went."""
    keyspace = Keyspace(plan)
    rules = {rule["pattern"]: rule for rule in plan["trimming"]}
    wanted = {stream["name"]: [group["name"] for group in stream["groups"]] for stream in plan["streams"]}
    for stream in streams(connection):
        pattern = keyspace.of(stream)
        if pattern is None or pattern.pattern not in rules:
            continue
        rule = rules[pattern.pattern]
        seconds, microseconds = connection.call("TIME")
        cutoff = f"{int(seconds) * 1000 + int(microseconds) // 1000 - rule['after_ms']}-0"
        result = Trimmed(stream, pattern.pattern)
        try:
            if rule["keep_unprocessed"]:
                _trim_finished(connection, result, cutoff, wanted.get(stream, []))
            else:
                _trim_all(connection, result, cutoff)
        except ServerError as error:
            # Deleted meanwhile; anything else is the caller's to hear.
            if "no such key" not in str(error):
                raise
        yield result


def _trim_all(connection: Connection, result: Trimmed, cutoff: str) -> None:
    lost: Counter[str] = Counter()
    while True:
        before, removed, after = _step(connection, result.stream, cutoff)
        if not removed:
            break
        result.removed += removed
        for group, count in _unfinished(connection, result.stream, before, removed, after, cutoff).items():
            lost[group] += count
    result.lost = dict(lost)


def _step(connection: Connection, stream: str, threshold: str) -> tuple[_State, int, _State]:
    """Remove some entries before ``threshold``, whole nodes only; the stream before, how many went, and after."""
    look = [("XRANGE", stream, "-", "+", "COUNT", 1), ("XLEN", stream), ("XINFO", "GROUPS", stream)]
    remove = ("XTRIM", stream, "MINID", "~", threshold, "LIMIT", STEP_ENTRIES)
    replies = connection.transaction([*look, remove, *look])
    return _state(replies[:3]), replies[3], _state(replies[4:])


def _state(replies: list[Any]) -> _State:
    entries, length, groups = replies
    return _State(entries[0][0] if entries else None, length, {group["name"]: group for group in map(pairs, groups)})


def _unfinished(
    connection: Connection, stream: str, before: _State, removed: int, after: _State, cutoff: str
) -> dict[str, int]:
    """Group -> how many of the entries that went it had never got, or had got and not acknowledged."""
    assert before.first is not None
    end = f"({after.first or cutoff}"
    names = list(before.groups)
    pending = connection.pipeline([("XPENDING", stream, name, before.first, end, removed) for name in names])
    lost = {}
    for name, entries in zip(names, pending, strict=True):
        count = 0 if isinstance(entries, ServerError) else len(entries)
        delivered = order(before.groups[name]["last-delivered-id"])
        if delivered < order(after.first or cutoff):
            undelivered = lag(before.groups[name], before.first, before.length)
            # Where the server can't tell, the most that it can be.
            count += removed if undelivered is None else max(0, undelivered - after.length)
        if count:
            lost[name] = count
    return lost


def _trim_finished(connection: Connection, result: Trimmed, cutoff: str, wanted: list[str]) -> None:
    readers = groups(connection, result.stream)
    missing = sorted(set(wanted) - {group["name"] for group in readers})
    if missing:
        result.note = f"group {', '.join(missing)} is missing, so nothing counts as finished"
    elif not readers:
        result.note = "no group reads it, so nothing counts as finished"
    if result.note:
        return
    threshold = cutoff
    for group in readers:
        oldest = oldest_unfinished(connection, result.stream, group)
        if oldest is not None and order(oldest) < order(cutoff):
            result.held[group["name"]] = oldest
            threshold = min(threshold, oldest, key=order)
    while removed := connection.call("XTRIM", result.stream, "MINID", "~", threshold, "LIMIT", STEP_ENTRIES):
        result.removed += removed


def text(results: list[Trimmed], now_ms: int) -> list[str]:
    """A line for each stream that something happened to, or that something keeps from being trimmed."""
    lines = []
    for result in results:
        parts = [f"removed {result.removed}"] if result.removed else []
        parts += [f"{group} had not finished {count} of them" for group, count in result.lost.items()]
        parts += [
            f"held back by {group}, unfinished for {max(0, now_ms - order(entry)[0]) / DAY_MS:.1f} days since {entry}"
            for group, entry in result.held.items()
        ]
        parts += [result.note] if result.note else []
        if parts:
            lines.append(f"{result.stream}: {'; '.join(parts)}")
    removed = sum(result.removed for result in results)
    lines.append(f"{len(results)} streams looked at, {removed} entries removed")
    return lines
