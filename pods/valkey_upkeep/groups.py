"""List streams and the positions of their consumer groups."""

from typing import TypedDict, cast

from .resp import Connection, pairs

SCAN_COUNT = 200


# The fields of an XINFO GROUPS reply that the upkeep jobs use.
GroupInfo = TypedDict(
    "GroupInfo",
    {
        "name": str,
        "consumers": int,
        "pending": int,
        "last-delivered-id": str,
        "entries-read": int | None,
        "lag": int | None,
    },
)


def streams(connection: Connection) -> list[str]:
    """Return the names of all streams on the server, sorted."""
    all_names: set[str] = set()
    cursor = "0"
    while True:
        cursor, names = connection.call("SCAN", cursor, "COUNT", SCAN_COUNT, "TYPE", "stream")
        all_names.update(names)
        if cursor == "0":
            return sorted(all_names)


def groups(connection: Connection, stream: str) -> list[GroupInfo]:
    """Return ``XINFO GROUPS`` of ``stream``, one record per group."""
    return [cast("GroupInfo", pairs(group)) for group in connection.call("XINFO", "GROUPS", stream)]


def order(entry: str) -> tuple[int, int]:
    """Convert an entry's ID to a value that sorts by age."""
    milliseconds, _, number = entry.partition("-")
    return int(milliseconds), int(number or 0)


def lag(group: GroupInfo, first: str | None, length: int) -> int | None:
    """Return how many entries were not yet delivered to ``group``, or None if the server cannot determine it (after XDEL).

    ``first`` is the ID of the oldest entry. The server's own lag also counts trimmed entries.
    """
    if first is None or order(group["last-delivered-id"]) < order(first):
        return length
    return group.get("lag")


def oldest_unprocessed(connection: Connection, stream: str, group: GroupInfo) -> str | None:
    """Return the ID of the oldest entry that is pending or not yet delivered, or None if there is none."""
    next_entry = ("XRANGE", stream, f"({group['last-delivered-id']}", "+", "COUNT", 1)
    undelivered, pending = connection.pipeline([next_entry, ("XPENDING", stream, group["name"])])
    oldest = [entry for entry, _ in connection.checked(undelivered)]
    if connection.checked(pending)[0]:
        oldest.append(pending[1])
    return min(oldest, key=order, default=None)
