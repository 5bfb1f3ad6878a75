"""Audit all keys: compare each with the plan's pattern, type and TTL.

The audit scans in small steps at a limited rate and reads only TYPE and PTTL of each key. Their cost does not depend on
the key's size. If the server rehashes during the scan, a key may be counted twice. Keys that expire meanwhile are not
counted.
"""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from .keyspace import Keyspace, Pattern
from .plan import UpkeepPlan
from .resp import Connection, ServerError, Word, encoded

# Keys per step. SCAN takes 0.1 to 0.2 ms for them. The server reads the following commands in blocks of 16 KiB.
STEP_KEYS = 200
RATE = 50_000  # keys per second
EXAMPLES = 5
DAY_MS = 86_400_000
UNKNOWN = "no pattern"
NO_SUCH_KEY = -2  # the reply of PTTL for a key that has expired meanwhile

Progress = Callable[[int], None]


@dataclass
class Offenders:
    """Keys of one pattern with the same fault: their number, and the first few as examples."""

    count: int = 0
    examples: list[str] = field(default_factory=list)


@dataclass
class KeyAudit:
    """``keys``: pattern -> number of keys; ``offenders``: pattern -> fault -> keys; ``seconds``: duration of the audit."""

    keys: dict[str, int]
    offenders: dict[str, dict[str, Offenders]] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def total(self) -> int:
        return sum(self.keys.values())

    @property
    def wrong(self) -> int:
        """The number of findings; a key with two faults counts twice."""
        return sum(offenders.count for reasons in self.offenders.values() for offenders in reasons.values())

    def document(self) -> dict[str, Any]:
        """Return the audit as a JSON document."""
        return {**asdict(self), "total": self.total, "wrong": self.wrong}


def audit(connection: Connection, plan: UpkeepPlan, rate: int = RATE, progress: Progress | None = None) -> KeyAudit:
    """Check every key. ``rate`` is the maximum of keys per second; ``progress`` receives the number checked so far."""
    keyspace = Keyspace(plan)
    result = KeyAudit({pattern.pattern: 0 for pattern in keyspace.patterns})
    started = time.monotonic()
    clock, (cursor, names) = connection.transaction([("TIME",), _scan("0")])
    checked = 0
    while True:
        request = b"".join(map(_type_and_pttl, names)) + encoded(("TIME",))
        more = cursor != "0"
        if more:
            request += encoded(_scan(cursor))
        answers, replies = connection.exchange(request, 2 * len(names), 2 if more else 1)
        before, clock = clock, connection.checked(replies[0])
        # If midnight passed between the two times, the limit of the later day applies.
        _check(connection, keyspace, names, answers, max(map(_until_midnight_ms, (before, clock))), result)
        checked += len(names)
        if progress is not None:
            progress(checked)
        if not more:
            break
        cursor, names = connection.checked(replies[1])
        pause = checked / rate - (time.monotonic() - started)
        if pause > 0:
            time.sleep(pause)
    result.seconds = round(time.monotonic() - started, 3)
    return result


def _scan(cursor: str) -> tuple[Word, ...]:
    return ("SCAN", cursor, "COUNT", STEP_KEYS)


def _type_and_pttl(name: str) -> bytes:
    """Encode the commands TYPE and PTTL for a key."""
    key = name.encode(errors="surrogateescape")
    key = b"$%d\r\n%s\r\n" % (len(key), key)
    return b"*2\r\n$4\r\nTYPE\r\n%s*2\r\n$4\r\nPTTL\r\n%s" % (key, key)


def _check(
    connection: Connection,
    keyspace: Keyspace,
    names: list[str],
    answers: list[bytes],
    midnight_ms: int,
    result: KeyAudit,
) -> None:
    for name, kind, ttl in zip(names, answers[::2], answers[1::2], strict=True):
        if kind.startswith(b"-") or ttl.startswith(b"-"):
            error = kind if kind.startswith(b"-") else ttl
            connection.checked(ServerError(error[1:].decode().strip()))
        ttl_ms = int(ttl[1:])
        if ttl_ms == NO_SUCH_KEY:
            continue
        pattern = keyspace.of(name)
        row = pattern.pattern if pattern is not None else UNKNOWN
        result.keys[row] = result.keys.get(row, 0) + 1
        for reason in _faults(pattern, kind[1:-2].decode(), ttl_ms, midnight_ms):
            offenders = result.offenders.setdefault(row, {}).setdefault(reason, Offenders())
            offenders.count += 1
            if len(offenders.examples) < EXAMPLES:
                offenders.examples.append(keyspace.shown(name, pattern))


def _until_midnight_ms(server_time: list[str]) -> int:
    seconds, microseconds = server_time
    return DAY_MS - (int(seconds) * 1000 + int(microseconds) // 1000) % DAY_MS


def _faults(pattern: Pattern | None, kind: str, ttl_ms: int, midnight_ms: int) -> list[str]:
    if pattern is None:
        return ["matches no pattern"]
    faults = []
    if kind not in pattern.types:
        faults.append(f"is a {kind}, not a {' or '.join(sorted(pattern.types))}")
    if pattern.ttl == "forbidden" and ttl_ms >= 0:
        faults.append("has a TTL and must not expire")
    elif pattern.ttl in ("at-most", "utc-midnight"):
        longest = pattern.ttl_ms if pattern.ttl == "at-most" else midnight_ms
        if ttl_ms < 0:
            faults.append("has no TTL")
        elif ttl_ms > longest:
            faults.append("has a longer TTL than its pattern")
    return faults


def text(result: KeyAudit) -> list[str]:
    """Format one line per pattern that has keys, with its findings below."""
    width = max(map(len, result.keys))
    lines = []
    for pattern, count in result.keys.items():
        reasons = result.offenders.get(pattern, {})
        if count:
            lines.append(f"{pattern:{width}}  {count:>9} keys{'' if reasons else '  ok'}")
        for reason, offenders in sorted(reasons.items()):
            more = ", ..." if offenders.count > len(offenders.examples) else ""
            lines.append(f"  {offenders.count} {reason}: {', '.join(offenders.examples)}{more}")
    lines.append(f"{result.total} keys checked in {result.seconds:.1f} s, {result.wrong} findings")
    return lines


def prometheus(result: KeyAudit, now: float) -> list[str]:
    """Format gauges in Prometheus' text format. ``now`` is a Unix time in seconds."""
    lines = [
        "# HELP stellaops_valkey_keys Keys by pattern of the mapping.",
        "# TYPE stellaops_valkey_keys gauge",
        *(f"stellaops_valkey_keys{{pattern={_label(name)}}} {count}" for name, count in result.keys.items()),
        "# HELP stellaops_valkey_key_offenders Keys that differ from the mapping.",
        "# TYPE stellaops_valkey_key_offenders gauge",
    ]
    for pattern, reasons in result.offenders.items():
        for reason, offenders in sorted(reasons.items()):
            labels = f"pattern={_label(pattern)},reason={_label(reason)}"
            lines.append(f"stellaops_valkey_key_offenders{{{labels}}} {offenders.count}")
    lines += [
        "# HELP stellaops_valkey_audit_seconds Duration of the audit.",
        "# TYPE stellaops_valkey_audit_seconds gauge",
        f"stellaops_valkey_audit_seconds {result.seconds}",
        "# HELP stellaops_valkey_audit_timestamp_seconds Time at which the audit ended.",
        "# TYPE stellaops_valkey_audit_timestamp_seconds gauge",
        f"stellaops_valkey_audit_timestamp_seconds {now:.0f}",
    ]
    return lines


def _label(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
