"""Access to Valkey: each user's key patterns, with a verb for each, and the consumer groups of streams."""

from dataclasses import dataclass
from typing import Literal

from components.mapping.model import Contents
from components.mapping.values import Duration, KeyPattern

KeyVerb = Literal["write", "read", "produce", "consume"]


@dataclass(frozen=True)
class KeyAccess:
    """What a Valkey user may do with one key pattern.

    The commands of ``write`` and ``read`` depend on the key's type; ``produce`` and ``consume`` are for streams.
    """

    pattern: KeyPattern
    type: str
    verb: KeyVerb


@dataclass(frozen=True)
class StreamGroup:
    """A consumer group of a stream, its consumer, and the idle time after which entries may be claimed."""

    stream: KeyPattern
    name: str
    consumer: str
    idle_timeout: Duration


def key_access(contents: Contents, user: str) -> tuple[KeyAccess, ...]:
    """Every pattern that a module or service may use, sorted by pattern and verb.

    Owning a stream that is listed under ``valkey.streams`` grants nothing: only its producers and consumers have access.
    """
    access = contents.users[user].valkey
    grants: set[KeyAccess] = set()
    for pattern, key in contents.valkey.keys.items():
        stream = contents.valkey.streams.get(pattern)
        if stream is not None:
            if user in stream.producers:
                grants.add(KeyAccess(pattern, "stream", "produce"))
            if user in stream.consumers or user in {group.consumer for group in stream.groups.values()}:
                grants.add(KeyAccess(pattern, "stream", "consume"))
        elif key.shared == "all" or pattern in access.owns or pattern in access.writes:
            grants.add(KeyAccess(pattern, key.type, "write"))
        elif pattern in access.reads:
            grants.add(KeyAccess(pattern, key.type, "read"))
    return tuple(sorted(grants, key=lambda item: (item.pattern, item.verb)))


def stream_groups(contents: Contents) -> tuple[StreamGroup, ...]:
    """Every consumer group: one per consumer, with the consumer's name, and the named groups."""
    groups = []
    for stream, definition in contents.valkey.streams.items():
        for consumer in definition.consumers:
            groups.append(StreamGroup(stream, consumer, consumer, contents.valkey.group_idle_timeout))
        for name, group in definition.groups.items():
            groups.append(StreamGroup(stream, name, group.consumer, group.idle_timeout))
    return tuple(groups)
