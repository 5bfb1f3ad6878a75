"""Faults of streams that no ACL can prevent: last IDs that lie in the future, and positions of groups that skip entries.

A producer may choose an entry's ID. After one with an ID in the future, the IDs of all later entries lie there, too. After
the largest ID, the stream takes no more entries. A producer may also trim the stream with the entry that it adds.
"""

from collections.abc import Iterator
from typing import Any, TypedDict

from .groups import GroupInfo, order
from .resp import Connection, ServerError, pairs

LARGEST_ID = "18446744073709551615-18446744073709551615"
# Tolerance for an ID that a producer took from its own clock.
FUTURE_MS = 60_000

FULL = "takes no more entries: its last ID is the largest"
FUTURE = "has a last ID in the future"
AHEAD = "has a group whose position is after the last ID"
UNREAD_REMOVED = "lost entries before a group read them"
# Number of streams whose state is read at once.
STEP_STREAMS = 100


# The fields of an XINFO STREAM reply that the upkeep jobs use.
StreamInfo = TypedDict(
    "StreamInfo",
    {"length": int, "last-generated-id": str, "entries-added": int, "recorded-first-entry-id": str},
)


def read(connection: Connection, names: list[str]) -> Iterator[tuple[str, StreamInfo, list[GroupInfo]]]:
    """Yield the state of each stream and of its groups. Leave out streams that were deleted meanwhile."""
    for start in range(0, len(names), STEP_STREAMS):
        step = names[start : start + STEP_STREAMS]
        replies = iter(connection.pipeline([(*words, name) for name in step for words in _STATE]))
        for name, stream, groups in zip(step, replies, replies, strict=False):
            if any(_is_gone(reply) for reply in (stream, groups)):
                continue
            info: Any = pairs(connection.checked(stream))
            found: list[Any] = [pairs(group) for group in connection.checked(groups)]
            yield name, info, found


_STATE = (("XINFO", "STREAM"), ("XINFO", "GROUPS"))


def _is_gone(reply: Any) -> bool:
    return isinstance(reply, ServerError) and ("no such key" in str(reply) or str(reply).startswith("WRONGTYPE"))


def faults(stream: StreamInfo, groups: list[GroupInfo], now_ms: int) -> list[str]:
    """Return the faults of a stream. ``now_ms`` is the server's time."""
    found = [fault] if (fault := last_id_fault(stream, now_ms)) else []
    found += [AHEAD] if any(is_ahead(stream, group) for group in groups) else []
    return found + ([UNREAD_REMOVED] if any(unread_removed(stream, group) for group in groups) else [])


def last_id_fault(stream: StreamInfo, now_ms: int) -> str:
    """Return ``FULL``, ``FUTURE`` or an empty text."""
    last = stream["last-generated-id"]
    if last == LARGEST_ID:
        return FULL
    return FUTURE if order(last)[0] > now_ms + FUTURE_MS else ""


def is_ahead(stream: StreamInfo, group: GroupInfo) -> bool:
    """Whether the group skips entries that will be added."""
    return order(group["last-delivered-id"]) > order(stream["last-generated-id"])


def removed(stream: StreamInfo) -> int:
    """Return how many entries were deleted or trimmed since the stream was created."""
    return stream["entries-added"] - stream["length"]


def unread_removed(stream: StreamInfo, group: GroupInfo) -> int:
    """Return how many of the entries after the group's position were removed, at least; 0 if the group has read on since, or
    if the server does not know how many it read."""
    count = group.get("entries-read")
    next_known = stream["recorded-first-entry-id"] if stream["length"] else stream["last-generated-id"]
    if count is None or order(group["last-delivered-id"]) >= order(next_known):
        return 0
    return max(0, removed(stream) - count)
