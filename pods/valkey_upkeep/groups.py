"""Where streams are and how far their consumer groups have got."""

from typing import Any

from .resp import Connection, pairs

SCAN_COUNT = 200


def streams(connection: Connection) -> list[str]:
    """The names of all streams on the server, sorted."""
    found: set[str] = set()
    cursor = "0"
    while True:
        cursor, names = connection.call("SCAN", cursor, "COUNT", SCAN_COUNT, "TYPE", "stream")
        found.update(names)
        if cursor == "0":
            return sorted(found)


def groups(connection: Connection, stream: str) -> list[dict[str, Any]]:
    """What ``XINFO GROUPS`` says of each group of ``stream``."""
    return [pairs(group) for group in connection.call("XINFO", "GROUPS", stream)]


def order(entry: str) -> tuple[int, int]:
    """An entry's ID as a value that sorts."""
    milliseconds, _, number = entry.partition("-")
    return int(milliseconds), int(number or 0)


def lag(group: dict[str, Any], first: str | None, length: int) -> int | None:
    """How many of a stream's entries ``group`` was never given; None when the server can't tell (some were deleted).

    ``first`` is the ID of the oldest entry. The server's own number counts entries that were trimmed, too.
    """
    if first is None or order(group["last-delivered-id"]) < order(first):
        return length
    given: int | None = group.get("lag")
    return given


def oldest_unfinished(connection: Connection, stream: str, group: dict[str, Any]) -> str | None:
    """The ID of the oldest entry that the group has not acknowledged or not even got; None when it is done."""
    next_entry = ("XRANGE", stream, f"({group['last-delivered-id']}", "+", "COUNT", 1)
    undelivered, pending = connection.pipeline([next_entry, ("XPENDING", stream, group["name"])])
    found = [entry for entry, _ in connection.checked(undelivered)]
    if connection.checked(pending)[0]:
        found.append(pending[1])
    return min(found, key=order, default=None)
