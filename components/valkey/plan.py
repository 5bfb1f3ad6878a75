"""Input of the maintenance jobs: the plan, from the mapping, and their program's files for a ConfigMap."""

import json
from pathlib import Path

from components.mapping import Mapping
from components.mapping.model import Key
from components.mapping.values import Duration, KeyPattern, TtlWord
from components.valkey.commands import VARIOUS
from pods.valkey_upkeep.plan import GroupPlan, KeyPlan, StreamPlan, TrimmingPlan, TtlRule, UpkeepPlan

SCRIPTS = Path(__file__).parents[2] / "pods" / "valkey_upkeep"
PLAN_FILE = "plan.json"
DAY_MS = 86_400_000
# Placeholders of secrets; a report must not show the names of such keys in full.
SECRET_PLACEHOLDERS = ("{token}", "{jti}")


def maintenance_plan(mapping: Mapping) -> UpkeepPlan:
    """The plan of the upkeep jobs: groups to create, rules to audit keys, streams to trim."""
    streams: dict[str, list[GroupPlan]] = {name: [] for name in mapping.valkey.streams}
    for group in mapping.access.stream_groups:
        plan = GroupPlan(name=group.name, consumer=group.consumer, idle_ms=group.idle_timeout.milliseconds)
        streams[group.stream].append(plan)
    return UpkeepPlan(
        streams=[StreamPlan(name=name, groups=groups) for name, groups in streams.items()],
        keys=[_key(mapping, pattern, key) for pattern, key in mapping.valkey.keys.items()],
        trimming=[rule for pattern in mapping.valkey.keys for rule in _trimming(mapping, pattern)],
    )


def maintenance_files(mapping: Mapping) -> dict[str, str]:
    """File name -> text of the files of ``python3 -m maintenance``, for a directory named ``maintenance``."""
    files = {path.name: path.read_text(encoding="utf-8") for path in sorted(SCRIPTS.glob("*.py"))}
    return {**files, PLAN_FILE: json.dumps(maintenance_plan(mapping), indent=1) + "\n"}


def _key(mapping: Mapping, pattern: KeyPattern, key: Key) -> KeyPlan:
    ttl: TtlRule = "at-most"
    if key.type == "stream" or key.ttl == TtlWord.INFINITE:
        ttl = "forbidden"
    elif key.ttl == TtlWord.UNTIL_UTC_MIDNIGHT:
        ttl = "utc-midnight"
    elif key.ttl == TtlWord.NONE:
        # The reference defines no TTL for metrics, so keys with and without one are valid.
        ttl = "free"
    return KeyPlan(
        pattern=str(pattern),
        types=list(VARIOUS) if key.type == "various" else [key.type],
        ttl=ttl,
        ttl_ms=key.ttl.milliseconds if ttl == "at-most" and isinstance(key.ttl, Duration) else 0,
        secret=any(name in pattern for name in SECRET_PLACEHOLDERS),
        entries=estimated_entries(mapping, pattern),
    )


def estimated_entries(mapping: Mapping, pattern: KeyPattern) -> int:
    """The number of entries that all streams of a pattern hold together by the mapping's estimate, 0 if there is none."""
    age, estimate = retention(mapping, pattern), mapping.valkey.estimates.get(pattern)
    if age is None or estimate is None or estimate.entries_per_day is None:
        return 0
    return round(estimate.keys * estimate.entries_per_day * age.milliseconds / DAY_MS)


def _trimming(mapping: Mapping, pattern: KeyPattern) -> list[TrimmingPlan]:
    """The trimming rule of a stream; empty for other keys and for streams that are never trimmed."""
    age = retention(mapping, pattern)
    if age is None:
        return []
    keep = mapping.valkey.keys[pattern].ttl == TtlWord.NONE
    return [TrimmingPlan(pattern=str(pattern), after_ms=age.milliseconds, keep_unprocessed=keep)]


def retention(mapping: Mapping, pattern: KeyPattern) -> Duration | None:
    """The age at which a stream's entries are trimmed; None for a stream that is never trimmed, and for other keys."""
    key = mapping.valkey.keys[pattern]
    if key.type != "stream":
        return None
    if key.ttl == TtlWord.NONE:
        return mapping.valkey.trim_acknowledged_after
    return key.ttl if isinstance(key.ttl, Duration) else None
