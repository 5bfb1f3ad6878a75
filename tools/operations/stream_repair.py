"""``streams repair``: rebuild a stream whose last ID lies in the future, so that it takes entries with IDs of today again.

Copies the entries in small steps while producers and consumers work. The last step, a script, copies what was added
meanwhile, the groups, their consumers and pending entries, and replaces the stream, all at once.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from components.mapping.printable import printable
from pods.valkey_upkeep import positions
from pods.valkey_upkeep.keys import milliseconds
from pods.valkey_upkeep.resp import Connection, ServerError
from provider.errors import ProviderError
from tools.local.confirmation import confirm
from tools.operations.progress import ProgressLine
from tools.operations.stack import Stack
from tools.operations.upkeep import connected

SCRIPT = (Path(__file__).with_name("stream_repair.lua")).read_text(encoding="utf-8")
STEP_ENTRIES = 1000
SWITCH_TIMEOUT_SECONDS = 600


@dataclass(frozen=True)
class Repaired:
    """``entries`` and ``pending``: how many entries, and pending entries of all groups, have new IDs. ``last_id``: the stream's."""

    entries: int
    pending: int
    last_id: str


def run(stack: Stack, options: argparse.Namespace) -> int:
    """Repair one stream, after a confirmation. Raises ``ProviderError`` if the key is not a stream."""
    name: str = options.stream
    with connected(stack) as connection:
        stream = _stream(connection, name)
        shown, last = printable(name), stream["last-generated-id"]
        if not positions.last_id_fault(stream, milliseconds(connection.call("TIME"))):
            print(f"stream {shown} is sound, its last ID is {last}; nothing was changed")
            return 0
        action = (
            f"rebuild stream {shown} ({stream['length']} entries, last ID {last}): entries with IDs in the future get new "
            "ones, and consumers may get entries again that they are processing now"
        )
        remedy = f"without a terminal, add --yes: {stack.command('streams', 'repair', name)} --yes"
        if not options.yes and not confirm("streams repair", action, remedy):
            return 1
        progress = ProgressLine(shown, "entries", stream["length"])
        done = repair(connection, name, progress)
        progress.clear()
    print(
        f"stream {shown} repaired: {done.entries} entries and {done.pending} pending entries have new IDs; its last ID is "
        f"{done.last_id}"
    )
    return 0


def _stream(connection: Connection, name: str) -> positions.StreamInfo:
    for _, stream, _ in positions.read(connection, [name]):
        return stream
    kind = connection.call("TYPE", name)
    problem = "there is no such key" if kind == "none" else f"the key is a {kind}, not a stream"
    raise ProviderError(
        f"{connection.endpoint}: {printable(name)}: {problem}; `python3 -m tools streams` lists all streams"
    )


def repair(connection: Connection, name: str, progress: Callable[[int], None] | None = None) -> Repaired:
    """Rebuild a stream. If this is interrupted, the stream is as it was, and the next call starts again."""
    keys = (name, *(f"repair:{name}:{part}" for part in ("entries", "ids", "deleted")))
    connection.call("DEL", *keys[1:])
    connection.set_timeout(SWITCH_TIMEOUT_SECONDS)
    copied, complete = 0, False
    try:
        while not complete:
            count, complete = connection.call("EVAL", SCRIPT, len(keys), *keys, "copy", STEP_ENTRIES)
            copied += count
            if progress is not None:
                progress(copied)
        entries, pending, last_id = connection.call("EVAL", SCRIPT, len(keys), *keys, "switch")
    except ServerError:
        # For example, the stream was deleted meanwhile.
        connection.call("DEL", *keys[1:])
        raise
    return Repaired(entries, pending, last_id)
