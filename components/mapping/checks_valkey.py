"""Cross-checks of the Valkey part: owners of key patterns, overlaps, streams and their groups, estimates."""

from collections.abc import Iterator

from components.mapping.findings import Finding
from components.mapping.globs import globs_overlap
from components.mapping.mapping import Mapping
from components.mapping.values import Duration


def check(mapping: Mapping) -> list[Finding]:
    """All findings, in no particular order."""
    return [*_keys(mapping), *_streams(mapping), *_estimates(mapping)]


def _keys(mapping: Mapping) -> Iterator[Finding]:
    keys = mapping.valkey.keys
    owners: dict[str, str] = {}
    for kind, users in (("modules", mapping.modules), ("services", mapping.services)):
        for name, user in users.items():
            for verb in ("owns", "writes", "reads"):
                for index, pattern in enumerate(getattr(user.valkey, verb)):
                    path = (kind, name, "valkey", verb, index)
                    if pattern not in keys:
                        yield Finding(path, f"no key pattern {pattern!r}", pattern, tuple(keys))
                    elif pattern in mapping.valkey.streams and verb != "owns":
                        yield Finding(path, f"{pattern!r} is a stream; list {name} under its producers or consumers")
                    elif keys[pattern].shared:
                        yield Finding(path, f"{pattern!r} is shared by all users; remove it from this list")
                    elif verb == "owns" and owners.get(pattern, name) != name:
                        yield Finding(path, f"key pattern {pattern!r} has two owners: {owners[pattern]} and {name}")
                    elif verb == "owns":
                        owners[pattern] = name
    for pattern, key in keys.items():
        if pattern not in owners and not key.shared:
            yield Finding(
                ("valkey", "keys", pattern), f"key pattern {pattern!r} has no owner; list it under owns of one module"
            )
    yield from _key_overlaps(mapping, owners)


def _key_overlaps(mapping: Mapping, owners: dict[str, str]) -> Iterator[Finding]:
    patterns = [(pattern, pattern.glob, owners.get(pattern)) for pattern in mapping.valkey.keys]
    for index, (second, second_glob, second_owner) in enumerate(patterns):
        for first, first_glob, first_owner in patterns[:index]:
            if first_owner != second_owner and globs_overlap(first_glob, second_glob):
                both = f"{first_owner or 'all'} and {second_owner or 'all'}"
                yield Finding(
                    ("valkey", "keys", second),
                    f"key pattern {second!r} overlaps {first!r}: keys that match both would belong to {both}",
                )


def _streams(mapping: Mapping) -> Iterator[Finding]:
    users = tuple(mapping.users)
    for name, stream in mapping.valkey.streams.items():
        stream_path = ("valkey", "streams", name)
        key = mapping.valkey.keys.get(name)
        if key is None:
            yield Finding(
                stream_path, f"stream {name!r} has no entry under valkey.keys", name, tuple(mapping.valkey.keys)
            )
        elif key.type != "stream":
            yield Finding(
                stream_path, f"{name!r} is a {key.type} under valkey.keys; a stream must have type: stream there"
            )
        if "*" in name.glob:
            yield Finding(
                stream_path, f"stream {name!r} is a pattern; an entry under valkey.streams must name a single key"
            )
        for role in ("producers", "consumers"):
            for index, user in enumerate(getattr(stream, role)):
                if user not in mapping.users:
                    yield Finding((*stream_path, role, index), f"no module or service {user!r}", user, users)
        for group, definition in stream.groups.items():
            if definition.consumer not in mapping.users:
                path = (*stream_path, "groups", group, "consumer")
                yield Finding(path, f"no module or service {definition.consumer!r}", definition.consumer, users)
            if group in stream.consumers:
                yield Finding(
                    (*stream_path, "groups", group),
                    f"group {group!r} already exists for the consumer of the same name; rename it",
                )
    for pattern, key in mapping.valkey.keys.items():
        if key.type == "stream" and isinstance(key.ttl, Duration) and key.ttl.milliseconds % 1000:
            yield Finding(("valkey", "keys", pattern, "ttl"), "the TTL of a stream must be whole seconds")


# Key type -> the field of an estimate that counts a key's elements; keys of other types hold one value.
ELEMENTS = {"stream": "entries_per_day"} | dict.fromkeys(("list", "set", "hash", "zset"), "members")


def _estimates(mapping: Mapping) -> Iterator[Finding]:
    for pattern, estimate in mapping.valkey.estimates.items():
        estimate_path = ("valkey", "estimates", pattern)
        key = mapping.valkey.keys.get(pattern)
        if key is None:
            yield Finding(estimate_path, f"no key pattern {pattern!r}", pattern, tuple(mapping.valkey.keys))
            continue
        for name in ("members", "entries_per_day"):
            required = ELEMENTS.get(key.type) == name
            if required != (getattr(estimate, name) is not None):
                verb = "needs" if required else "must not have"
                yield Finding(estimate_path, f"{pattern!r} is a {key.type}: its estimate {verb} {name}")
