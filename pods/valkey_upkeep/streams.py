"""Create missing streams and consumer groups; leave existing ones unchanged."""

from .plan import UpkeepPlan
from .resp import Connection, ServerError

# A new group starts at the oldest entry, so that it does not skip entries that were added before it existed.
OLDEST = "0"


def make(connection: Connection, plan: UpkeepPlan) -> list[str]:
    """Create missing groups and return them as ``stream group``. A stream without groups is created by its first entry.

    Raises ``ServerError``, which names the first group that could not be created; the others are created anyway.
    """
    wanted = [(stream["name"], group["name"]) for stream in plan["streams"] for group in stream["groups"]]
    replies = connection.pipeline([("XGROUP", "CREATE", *names, OLDEST, "MKSTREAM") for names in wanted])
    made, failures = [], []
    for (stream, group), reply in zip(wanted, replies, strict=True):
        if not isinstance(reply, ServerError):
            made.append(f"{stream} {group}")
        elif str(reply).startswith("WRONGTYPE"):
            failures.append(f"key {stream} is not a stream; find out who wrote it, and delete it: DEL {stream}")
        elif not str(reply).startswith("BUSYGROUP"):
            connection.checked(ServerError(f"{reply}"))
    if failures:
        raise ServerError(f"{connection.endpoint}: {failures[0]}")
    return made
