"""Streams and consumer groups: those that are missing are made, those that exist are left as they are."""

from .plan import Plan
from .resp import Connection, ServerError

# A group begins with the oldest entry: what producers added before it existed is delivered rather than skipped.
OLDEST = "0"


def make(connection: Connection, plan: Plan) -> list[str]:
    """The groups that were made, as ``stream group``. A stream without a group begins with its first entry.

    Raises ``ServerError`` naming the first group that could not be made; the others are made all the same.
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
