"""Trim streams by age: ``XTRIM MINID ~``, a limited number of entries per command.

In a stream with a TTL, every entry older than the TTL is removed. Entries that a group had not processed are counted and
reported. In a stream without a TTL (a queue), an entry is only removed if every group has acknowledged it and it is older
than the age in the plan. Unprocessed entries stay and block the trimming of later entries.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, cast

from .groups import GroupInfo, groups, lag, oldest_unprocessed, order, streams
from .keyspace import Keyspace
from .plan import UpkeepPlan
from .resp import Connection, ServerError, pairs

STEP_ENTRIES = 1000
DAY_MS = 86_400_000


@dataclass
class Trimmed:
    """The result for one stream. ``lost``: group -> number of removed entries that it had not processed.
    ``held``: group -> ID of its oldest unprocessed entry, if that entry is old enough to be trimmed."""

    stream: str
    pattern: str
    removed: int = 0
    lost: dict[str, int] = field(default_factory=dict)
    held: dict[str, str] = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True)
class _State:
    """A stream at one moment. ``first`` is the ID of its oldest entry, or None if it is empty."""

    first: str | None
    length: int
    groups: dict[str, GroupInfo]


def trim(connection: Connection, plan: UpkeepPlan) -> Iterator[Trimmed]:
    """Trim every stream that has a rule in the plan. Yield a result per stream, even if nothing was removed."""
    keyspace = Keyspace(plan)
    rules = {rule["pattern"]: rule for rule in plan["trimming"]}
    planned_groups = {stream["name"]: [group["name"] for group in stream["groups"]] for stream in plan["streams"]}
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
                _trim_processed(connection, result, cutoff, planned_groups.get(stream, []))
            else:
                _trim_all(connection, result, cutoff)
        except ServerError as error:
            # The stream was deleted meanwhile.
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
        for group, count in _unprocessed(connection, result.stream, before, removed, after, cutoff).items():
            lost[group] += count
    result.lost = dict(lost)


def _step(connection: Connection, stream: str, threshold: str) -> tuple[_State, int, _State]:
    """Trim whole nodes up to ``threshold``. Return the state before, the number of removed entries, and the state after."""
    read_state = [("XRANGE", stream, "-", "+", "COUNT", 1), ("XLEN", stream), ("XINFO", "GROUPS", stream)]
    remove = ("XTRIM", stream, "MINID", "~", threshold, "LIMIT", STEP_ENTRIES)
    replies = connection.transaction([*read_state, remove, *read_state])
    return _state(replies[:3]), replies[3], _state(replies[4:])


def _state(replies: list[Any]) -> _State:
    entries, length, groups = replies
    return _State(
        entries[0][0] if entries else None,
        length,
        {group["name"]: cast("GroupInfo", group) for group in map(pairs, groups)},
    )


def _unprocessed(
    connection: Connection, stream: str, before: _State, removed: int, after: _State, cutoff: str
) -> dict[str, int]:
    """Return group -> number of removed entries that were pending or not yet delivered."""
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
            # If the server cannot determine the lag, use the largest possible number.
            count += removed if undelivered is None else max(0, undelivered - after.length)
        if count:
            lost[name] = count
    return lost


def _trim_processed(connection: Connection, result: Trimmed, cutoff: str, planned_groups: list[str]) -> None:
    existing = groups(connection, result.stream)
    missing = sorted(set(planned_groups) - {group["name"] for group in existing})
    if missing:
        result.note = f"group {', '.join(missing)} is missing, so no entry counts as processed"
    elif not existing:
        result.note = "no group reads it, so no entry counts as processed"
    if result.note:
        return
    threshold = cutoff
    for group in existing:
        oldest = oldest_unprocessed(connection, result.stream, group)
        if oldest is not None and order(oldest) < order(cutoff):
            result.held[group["name"]] = oldest
            threshold = min(threshold, oldest, key=order)
    while removed := connection.call("XTRIM", result.stream, "MINID", "~", threshold, "LIMIT", STEP_ENTRIES):
        result.removed += removed


def text(results: list[Trimmed], now_ms: int) -> list[str]:
    """Format a line per stream that was trimmed or whose trimming is blocked, and a total."""
    lines = []
    for result in results:
        parts = [f"removed {result.removed}"] if result.removed else []
        parts += [f"{group} had not processed {count} of them" for group, count in result.lost.items()]
        parts += [
            f"blocked by {group}, which has not processed entry {entry} for {max(0, now_ms - order(entry)[0]) / DAY_MS:.1f} days"
            for group, entry in result.held.items()
        ]
        parts += [result.note] if result.note else []
        if parts:
            lines.append(f"{result.stream}: {'; '.join(parts)}")
    removed = sum(result.removed for result in results)
    lines.append(f"{len(results)} streams checked, {removed} entries removed")
    return lines
