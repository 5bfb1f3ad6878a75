"""The plan that the upkeep jobs read as JSON. ``components.valkey.plan`` derives it from the mapping."""

from typing import Literal, TypedDict

TtlRule = Literal["forbidden", "free", "at-most", "utc-midnight"]


class GroupPlan(TypedDict):
    """A consumer group, and the module or service that uses it."""

    name: str
    consumer: str
    idle_ms: int


class StreamPlan(TypedDict):
    name: str
    groups: list[GroupPlan]


class KeyPlan(TypedDict):
    """How keys of a pattern are audited. ``ttl_ms`` is 0 unless ``ttl`` is at-most. ``entries`` is the number of entries that the
    mapping estimates for all streams of the pattern, 0 without an estimate."""

    pattern: str
    types: list[str]
    ttl: TtlRule
    ttl_ms: int
    secret: bool
    entries: int


class TrimmingPlan(TypedDict):
    """Streams to trim. ``keep_unprocessed``: keep entries that a group has not acknowledged."""

    pattern: str
    after_ms: int
    keep_unprocessed: bool


class UpkeepPlan(TypedDict):
    """The whole plan. Durations are in milliseconds."""

    streams: list[StreamPlan]
    keys: list[KeyPlan]
    trimming: list[TrimmingPlan]
