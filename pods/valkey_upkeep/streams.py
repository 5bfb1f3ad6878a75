"""Create missing streams and consumer groups; leave existing ones unchanged."""

from . import positions
from .plan import UpkeepPlan
from .resp import Connection, ServerError

# A new group starts at the oldest entry, so that it does not skip entries that were added before it existed.
OLDEST = "0"


def make(connection: Connection, plan: UpkeepPlan) -> list[str]:
    """Create missing groups and their streams. Return each as ``stream group``.

    A stream without groups is created when its first entry is added. If the key of a stream has another type, create all
    other groups, then raise ``ServerError`` for the first such key.
    """
    expected = [(stream["name"], group["name"]) for stream in plan["streams"] for group in stream["groups"]]
    # Entries that were removed before the group existed count as read, so that only later ones are reported as lost.
    removed = {
        name: positions.removed(stream)
        for name, stream, _ in positions.read(connection, [stream["name"] for stream in plan["streams"]])
    }
    replies = connection.pipeline(
        [
            ("XGROUP", "CREATE", stream, group, OLDEST, "MKSTREAM", "ENTRIESREAD", removed.get(stream, 0))
            for stream, group in expected
        ]
    )
    created, failures = [], []
    for (stream, group), reply in zip(expected, replies, strict=True):
        if not isinstance(reply, ServerError):
            created.append(f"{stream} {group}")
        elif str(reply).startswith("WRONGTYPE"):
            failures.append(f"key {stream} is not a stream; find out who wrote it, and delete it: DEL {stream}")
        elif not str(reply).startswith("BUSYGROUP"):
            connection.checked(ServerError(f"{reply}"))
    if failures:
        raise ServerError(f"{connection.endpoint}: {failures[0]}")
    return created
