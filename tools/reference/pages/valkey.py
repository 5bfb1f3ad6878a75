"""Valkey's key patterns, streams and memory."""

from components.mapping import Mapping
from components.mapping.model import Estimate
from tools.reference.facts import Facts, module_page
from tools.reference.markdown import Page, code, codes, link, page, prose, table

KEYS = "reference/keys.md"
STREAMS = "reference/streams.md"

FULL = """When `maxmemory` is reached, `volatile-lru` drops keys that have a TTL, the least recently used first. Keys
without expiry and streams always stay; when they alone fill the memory, every write fails with an OOM error and reads
go on. [More on that](../valkey.md#when-memory-is-full), and on how much memory the estimates come to
(`make size`)."""


def pages(facts: Facts) -> list[Page]:
    return [_keys(facts), _streams(facts)]


def _owner(mapping: Mapping, pattern: str) -> str | None:
    return next((user for user, definition in mapping.users.items() if pattern in definition.valkey.owns), None)


def _keys(facts: Facts) -> Page:
    rows = []
    for pattern, key in facts.mapping.valkey.keys.items():
        owner = _owner(facts.mapping, pattern)
        who = link(prose(facts.name(owner)), KEYS, module_page(owner)) if owner else "all modules and services"
        estimate = facts.mapping.valkey.estimates.get(pattern)
        expected = f"{estimate.keys:,} of {_amount(estimate)}" if estimate else ""
        droppable = "yes" if key.evictable else "no"
        rows.append([code(pattern), who, key.type, str(key.ttl), droppable, expected, prose(key.purpose)])
    memory = facts.mapping.valkey.memory
    settings = [[code(name.replace("_", "-")), code(str(value))] for name, value in memory.model_dump().items()]
    return page(
        KEYS,
        "Keys",
        "Valkey",
        "A part in braces stands for any text without restriction; `*` at the end for any rest.",
        table(["Pattern", "Owner", "Type", "TTL", "May be dropped", "Expected", "Purpose"], rows),
        "## Memory",
        table(["Setting", "Value"], settings),
        FULL if memory.maxmemory_policy == "volatile-lru" else None,
    )


def _amount(estimate: Estimate) -> str:
    """What one key is expected to hold."""
    if estimate.entries_per_day is not None:
        return f"{estimate.entries_per_day:,} entries a day, {estimate.bytes:,} bytes each"
    if estimate.members is not None:
        return f"{estimate.members:,} members, {estimate.bytes:,} bytes each"
    return f"{estimate.bytes:,} bytes"


def _streams(facts: Facts) -> Page:
    valkey = facts.mapping.valkey

    def names(users: tuple[str, ...]) -> str:
        return ", ".join(link(prose(facts.name(user)), STREAMS, module_page(user)) for user in users)

    rows = [
        [code(name), names(stream.producers), codes(stream.events), str(valkey.keys[name].ttl)]
        for name, stream in valkey.streams.items()
    ]
    groups = [
        [code(group.stream), code(group.name), names((group.consumer,)), str(group.idle_timeout)]
        for group in facts.mapping.access.stream_groups
    ]
    patterns = codes(
        pattern for pattern, key in valkey.keys.items() if key.type == "stream" and pattern not in valkey.streams
    )
    return page(
        STREAMS,
        "Streams",
        "Valkey",
        "A stream's TTL is the age after which entries are trimmed, not an expiry of the stream.",
        f"Those with TTL none are trimmed after {valkey.trim_acknowledged_after}, but only of entries that every group has "
        "acknowledged."
        if valkey.trim_acknowledged_after
        else None,
        table(["Stream", "Producers", "Events", "TTL"], rows),
        "## Consumer groups",
        "Groups are made at provisioning and start at new entries. An entry that was delivered and not acknowledged "
        "may be claimed by another consumer of the group (`XAUTOCLAIM`) after the idle time-out.",
        table(["Stream", "Group", "Consumer", "Idle time-out"], groups),
        f"Streams by pattern, made by their users: {patterns}." if patterns else None,
    )
