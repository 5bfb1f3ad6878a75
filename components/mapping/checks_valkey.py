"""Cross-checks of Valkey's part: owners of key patterns, overlaps, streams with their groups, estimates."""

from collections.abc import Iterator

from components.mapping.findings import Finding, globs_overlap
from components.mapping.mapping import Mapping
from components.mapping.values import Duration


def check(mapping: Mapping) -> list[Finding]:
    """All findings, in no order that matters."""
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
                        yield Finding(path, f"{pattern!r} is a stream; name {name} among its producers or consumers")
                    elif keys[pattern].shared:
                        yield Finding(path, f"{pattern!r} is shared by all; remove it here")
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
                holders = f"{first_owner or 'all'} and {second_owner or 'all'}"
                yield Finding(
                    ("valkey", "keys", second),
                    f"key pattern {second!r} overlaps {first!r}: keys would belong to {holders}",
                )


def _streams(mapping: Mapping) -> Iterator[Finding]:
    users = tuple(mapping.users)
    for name, stream in mapping.valkey.streams.items():
        here = ("valkey", "streams", name)
        key = mapping.valkey.keys.get(name)
        if key is None:
            yield Finding(here, f"stream {name!r} has no row under valkey.keys", name, tuple(mapping.valkey.keys))
        elif key.type != "stream":
            yield Finding(here, f"{name!r} is a {key.type} under valkey.keys; a stream must have type: stream there")
        if "*" in name.glob:
            yield Finding(here, f"stream {name!r} is a pattern; a defined stream has one name")
        for role in ("producers", "consumers"):
            for index, user in enumerate(getattr(stream, role)):
                if user not in mapping.users:
                    yield Finding((*here, role, index), f"no module or service {user!r}", user, users)
        for group, definition in stream.groups.items():
            if definition.consumer not in mapping.users:
                path = (*here, "groups", group, "consumer")
                yield Finding(path, f"no module or service {definition.consumer!r}", definition.consumer, users)
            if group in stream.consumers:
                yield Finding((*here, "groups", group), f"group {group!r} exists already for the consumer of that name")
    for pattern, key in mapping.valkey.keys.items():
        if key.type == "stream" and isinstance(key.ttl, Duration) and key.ttl.milliseconds % 1000:
            yield Finding(("valkey", "keys", pattern, "ttl"), "a stream's retention below a second cannot be kept")


# What says how many elements a key of that type has; the others are one value.
ELEMENTS = {"stream": "entries_per_day"} | dict.fromkeys(("list", "set", "hash", "zset"), "members")


def _estimates(mapping: Mapping) -> Iterator[Finding]:
    for pattern, estimate in mapping.valkey.estimates.items():
        here = ("valkey", "estimates", pattern)
        key = mapping.valkey.keys.get(pattern)
        if key is None:
            yield Finding(here, f"no key pattern {pattern!r}", pattern, tuple(mapping.valkey.keys))
            continue
        for name in ("members", "entries_per_day"):
            wanted = ELEMENTS.get(key.type) == name
            if wanted != (getattr(estimate, name) is not None):
                word = "needs" if wanted else "has no"
                yield Finding(here, f"{pattern!r} is a {key.type}: its estimate {word} {name}")
