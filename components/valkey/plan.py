"""What ``maintenance`` gets: the plan, from the mapping, and its own files for a ConfigMap."""

import json
from pathlib import Path
from typing import Any

from components.mapping import Mapping
from components.mapping.access import stream_groups
from components.mapping.model import Key
from components.mapping.names import INFINITE, NO_TTL, UNTIL_UTC_MIDNIGHT, duration_ms
from components.valkey.commands import VARIOUS

SCRIPTS = Path(__file__).parents[2] / "pods" / "valkey_upkeep"
PLAN_FILE = "plan.json"
# Keys whose names tell a secret to whoever sees them in a report.
SECRET_PLACEHOLDERS = ("{token}", "{jti}")


def maintenance_plan(mapping: Mapping) -> dict[str, Any]:
    """A document for JSON, durations in milliseconds.

    ``streams``: name and groups (name, consumer, idle_ms). ``keys``: pattern, types, ttl (forbidden, free, at-most,
    utc-midnight), ttl_ms, secret. ``trimming``: pattern, after_ms, and whether unprocessed entries are kept.
    """
    streams: dict[str, list[dict[str, Any]]] = {name: [] for name in mapping.valkey.streams}
    for group in stream_groups(mapping):
        row = {"name": group.name, "consumer": group.consumer, "idle_ms": duration_ms(group.idle_timeout)}
        streams[group.stream].append(row)
    return {
        "streams": [{"name": name, "groups": groups} for name, groups in streams.items()],
        "keys": [_key(pattern, key) for pattern, key in mapping.valkey.keys.items()],
        "trimming": [rule for pattern in mapping.valkey.keys for rule in _trimming(mapping, pattern)],
    }


def maintenance_files(mapping: Mapping) -> dict[str, str]:
    """File name -> text of everything that ``python3 -m maintenance`` needs in a directory of that name."""
    files = {path.name: path.read_text(encoding="utf-8") for path in sorted(SCRIPTS.glob("*.py"))}
    return {**files, PLAN_FILE: json.dumps(maintenance_plan(mapping), indent=1) + "\n"}


def _key(pattern: str, key: Key) -> dict[str, Any]:
    if key.type == "stream" or key.ttl == INFINITE:
        ttl = "forbidden"
    elif key.ttl == UNTIL_UTC_MIDNIGHT:
        ttl = "utc-midnight"
    else:
        # The reference says nothing about the TTL of metrics: both are well.
        ttl = "free" if key.ttl == NO_TTL else "at-most"
    return {
        "pattern": pattern,
        "types": list(VARIOUS) if key.type == "various" else [key.type],
        "ttl": ttl,
        "ttl_ms": duration_ms(key.ttl) if ttl == "at-most" else 0,
        "secret": any(name in pattern for name in SECRET_PLACEHOLDERS),
    }


def _trimming(mapping: Mapping, pattern: str) -> list[dict[str, Any]]:
    """No rule for what is no stream, and for one that the mapping lets grow without end."""
    age = retention(mapping, pattern)
    if age is None:
        return []
    keep = mapping.valkey.keys[pattern].ttl == NO_TTL
    return [{"pattern": pattern, "after_ms": duration_ms(age), "keep_unprocessed": keep}]


def retention(mapping: Mapping, pattern: str) -> str | None:
    """How old a stream's entries become; None for a stream that is never trimmed, and for other keys."""
    key = mapping.valkey.keys[pattern]
    if key.type != "stream":
        return None
    return mapping.valkey.trim_acknowledged_after if key.ttl == NO_TTL else key.ttl
