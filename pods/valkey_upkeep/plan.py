"""The plan: what the upkeep jobs read as JSON. ``components.valkey.plan`` derives it from the mapping."""

from typing import Literal, TypedDict

TtlRule = Literal["forbidden", "free", "at-most", "utc-midnight"]


class GroupPlan(TypedDict):
    """A consumer group, and the module or service that consumes in it."""

    name: str
    consumer: str
    idle_ms: int


class StreamPlan(TypedDict):
    name: str
    groups: list[GroupPlan]


class KeyPlan(TypedDict):
    """How keys of a pattern are audited. ``ttl_ms`` is 0 unless ``ttl`` is at-most."""

    pattern: str
    types: list[str]
    ttl: TtlRule
    ttl_ms: int
    secret: bool


class TrimmingPlan(TypedDict):
    """A stream that is trimmed, and whether entries that no group has acknowledged stay."""

    pattern: str
    after_ms: int
    keep_unprocessed: bool


class UpkeepPlan(TypedDict):
    """The document that the upkeep jobs read as JSON; durations in milliseconds."""

    streams: list[StreamPlan]
    keys: list[KeyPlan]
    trimming: list[TrimmingPlan]
