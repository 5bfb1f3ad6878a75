"""Memory of the mapping's keys, from its estimates and a formula per type measured on a server (see docs/valkey.md)."""

import re
from dataclasses import dataclass

from components.mapping import Mapping
from components.mapping.model import Estimate
from components.mapping.values import DAY_MS, KeyPattern
from components.valkey.plan import retention

# Bytes of overhead besides name and content, measured and rounded up a little.
KEY = 60
EXPIRY = 20
STREAM = 2048  # with its groups
ELEMENT = {"list": 5, "hash": 5, "set": 32, "zset": 80, "stream": 16}

# Assumed length of a placeholder: a digest with its algorithm, else a UUID.
DIGEST_BYTES = len("sha256:") + 64
NAME_BYTES = 36
UNTRIMMED_MS = 365 * DAY_MS  # the assumed age of entries in a stream that is never trimmed, which also has a warning

# Above this share of maxmemory, keys that are never evicted leave too little room for caches, forks and peaks.
KEPT_SHARE = 0.6


@dataclass(frozen=True)
class PatternSize:
    """``elements`` and ``bytes`` are totals of all keys; ``elements`` is None if each key has a single value."""

    pattern: str
    type: str
    keys: int
    elements: int | None
    bytes: int
    evictable: bool


@dataclass(frozen=True)
class KeyspaceSize:
    """``maxmemory`` in bytes; ``unbounded``: streams that are never trimmed; ``unknown``: patterns without an estimate."""

    patterns: tuple[PatternSize, ...]
    maxmemory: int
    unbounded: tuple[str, ...]
    unknown: tuple[str, ...]

    @property
    def total(self) -> int:
        return sum(row.bytes for row in self.patterns)

    @property
    def kept(self) -> int:
        """Bytes that eviction never frees: keys without expiry, and streams."""
        return sum(row.bytes for row in self.patterns if not row.evictable)

    @property
    def warnings(self) -> tuple[str, ...]:
        found = []
        if self.kept > KEPT_SHARE * self.maxmemory:
            found.append(
                f"keys without expiry and streams alone take {self.kept / self.maxmemory:.0%} of maxmemory, over "
                f"{KEPT_SHARE:.0%}: raise maxmemory, or shorten retention; when they fill it, writers get OOM errors"
            )
        if self.total > self.maxmemory:
            found.append("all keys together do not fit into maxmemory: caches will be evicted before their TTL")
        found += [
            f"{name} is never trimmed: set valkey.trim_acknowledged_after, or give it a ttl" for name in self.unbounded
        ]
        found += [f"{name} has no estimate: add it under valkey.estimates" for name in self.unknown]
        return tuple(found)


def sizing(mapping: Mapping) -> KeyspaceSize:
    """Expected memory of every key pattern."""
    keys, estimates = mapping.valkey.keys, mapping.valkey.estimates
    return KeyspaceSize(
        patterns=tuple(_size(mapping, pattern, estimate) for pattern, estimate in estimates.items()),
        maxmemory=mapping.valkey.memory.maxmemory.bytes,
        unbounded=tuple(
            name for name, key in keys.items() if key.type == "stream" and retention(mapping, name) is None
        ),
        unknown=tuple(name for name in keys if name not in estimates),
    )


def key_bytes(name: int, value: int, kind: str, elements: int | None, *, expires: bool) -> int:
    """Memory of one key in bytes. ``name`` and ``value`` (of one element, if there are ``elements``) are sizes in bytes."""
    content = value if elements is None else elements * (value + ELEMENT[kind])
    return KEY + name + content + (EXPIRY if expires else 0) + (STREAM if kind == "stream" else 0)


def _size(mapping: Mapping, pattern: KeyPattern, estimate: Estimate) -> PatternSize:
    key = mapping.valkey.keys[pattern]
    elements = estimate.members
    if estimate.entries_per_day is not None:
        age = retention(mapping, pattern)
        kept_ms = age.milliseconds if age else UNTRIMMED_MS
        elements = round(estimate.entries_per_day * kept_ms / DAY_MS)
    bytes_per_key = key_bytes(_name_bytes(pattern), estimate.bytes, key.type, elements, expires=key.evictable)
    total = None if elements is None else elements * estimate.keys
    return PatternSize(pattern, key.type, estimate.keys, total, bytes_per_key * estimate.keys, key.evictable)


def _name_bytes(pattern: str) -> int:
    longest = re.sub(r"\{\w*[dD]igest\}", "d" * DIGEST_BYTES, pattern)
    return len(re.sub(r"\{\w+\}|\*", "n" * NAME_BYTES, longest).encode())
