"""Key patterns, memory settings and streams of Valkey."""

from components.mapping import Mapping
from components.mapping.model import Estimate
from tools.reference.facts import ReferenceFacts, module_page
from tools.reference.markdown import Page, code, codes, link, page, prose, table

KEYS = "reference/keys.md"
STREAMS = "reference/streams.md"

FULL = """When `maxmemory` is reached, `volatile-lru` evicts keys that have a TTL, the least recently used first. Keys
without a TTL and streams are never evicted. If they fill the memory, writes fail with an OOM error and reads still
work. See [when memory is full](../valkey.md#when-memory-is-full); `make size` shows how much memory the estimates add up
to."""


def pages(facts: ReferenceFacts) -> list[Page]:
    return [_keys(facts), _streams(facts)]


def _owner(mapping: Mapping, pattern: str) -> str | None:
    return next((user for user, definition in mapping.users.items() if pattern in definition.valkey.owns), None)


def _keys(facts: ReferenceFacts) -> Page:
    rows = []
    for pattern, key in facts.mapping.valkey.keys.items():
        owner = _owner(facts.mapping, pattern)
        owner_cell = link(prose(facts.name(owner)), KEYS, module_page(owner)) if owner else "all modules and services"
        estimate = facts.mapping.valkey.estimates.get(pattern)
        expected = (
            f"{estimate.keys:,} key{'' if estimate.keys == 1 else 's'} of {_amount(estimate)}" if estimate else ""
        )
        evictable = "yes" if key.evictable else "no"
        rows.append([code(pattern), owner_cell, key.type, str(key.ttl), evictable, expected, prose(key.purpose)])
    memory = facts.mapping.valkey.memory
    settings = [[code(name.replace("_", "-")), code(str(value))] for name, value in memory.model_dump().items()]
    return page(
        KEYS,
        "Keys",
        "Valkey",
        "A part in braces matches any text; `*` at the end matches the rest of the key.",
        table(["Pattern", "Owner", "Type", "TTL", "May be evicted", "Expected", "Purpose"], rows),
        "## Memory",
        table(["Setting", "Value"], settings),
        FULL if memory.maxmemory_policy == "volatile-lru" else None,
    )


def _amount(estimate: Estimate) -> str:
    """Format the expected size of one key."""
    if estimate.entries_per_day is not None:
        return f"{estimate.entries_per_day:,} entries a day, {estimate.bytes:,} bytes each"
    if estimate.members is not None:
        return f"{estimate.members:,} members, {estimate.bytes:,} bytes each"
    return f"{estimate.bytes:,} bytes"


def _streams(facts: ReferenceFacts) -> Page:
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
        "The TTL of a stream is the age after which its entries are trimmed. The stream itself does not expire.",
        f"In streams with TTL none, entries are trimmed after {valkey.trim_acknowledged_after} if every group has "
        "acknowledged them."
        if valkey.trim_acknowledged_after
        else None,
        table(["Stream", "Producers", "Events", "TTL"], rows),
        "## Consumer groups",
        "`up` creates the groups. A new group starts at the oldest entry. If an entry was delivered but not acknowledged "
        "within the idle timeout, another consumer of the group may claim it (`XAUTOCLAIM`).",
        table(["Stream", "Group", "Consumer", "Idle timeout"], groups),
        f"Patterns of streams that their producers create: {patterns}." if patterns else None,
    )
