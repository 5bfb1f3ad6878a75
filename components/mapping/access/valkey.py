"""Access to Valkey: key patterns with a verb each, and the streams' consumer groups."""

from dataclasses import dataclass
from typing import Literal

from components.mapping.model import Contents
from components.mapping.values import Duration, KeyPattern

KeyVerb = Literal["write", "read", "produce", "consume"]


@dataclass(frozen=True)
class KeyAccess:
    """What a Valkey user may do on one pattern.

    ``write`` and ``read`` follow the key's type; ``produce`` and ``consume`` are for streams.
    """

    pattern: KeyPattern
    type: str
    verb: KeyVerb


@dataclass(frozen=True)
class StreamGroup:
    """A consumer group: its stream, its name, who consumes in it, and after what idle time entries are claimed."""

    stream: KeyPattern
    name: str
    consumer: str
    idle_timeout: Duration


def key_access(contents: Contents, user: str) -> tuple[KeyAccess, ...]:
    """Every pattern that a module or service may use, sorted by pattern and verb.

    The owner of a defined stream gets nothing by owning it: the stream names its producers and consumers.
    """
    access = contents.users[user].valkey
    found: set[KeyAccess] = set()
    for pattern, key in contents.valkey.keys.items():
        stream = contents.valkey.streams.get(pattern)
        if stream is not None:
            if user in stream.producers:
                found.add(KeyAccess(pattern, "stream", "produce"))
            if user in stream.consumers or user in {group.consumer for group in stream.groups.values()}:
                found.add(KeyAccess(pattern, "stream", "consume"))
        elif key.shared == "all" or pattern in access.owns or pattern in access.writes:
            found.add(KeyAccess(pattern, key.type, "write"))
        elif pattern in access.reads:
            found.add(KeyAccess(pattern, key.type, "read"))
    return tuple(sorted(found, key=lambda item: (item.pattern, item.verb)))


def stream_groups(contents: Contents) -> tuple[StreamGroup, ...]:
    """Every consumer group: one for each consumer, named after it, and the named ones."""
    groups = []
    for stream, definition in contents.valkey.streams.items():
        for consumer in definition.consumers:
            groups.append(StreamGroup(stream, consumer, consumer, contents.valkey.group_idle_timeout))
        for name, group in definition.groups.items():
            groups.append(StreamGroup(stream, name, group.consumer, group.idle_timeout))
    return tuple(groups)
