"""Audit all keys: compare each with the plan's pattern, type and TTL, and watch streams for what no ACL can prevent.

The audit scans in small steps at a limited rate and reads only TYPE and PTTL of each key, and positions of streams. Their
cost does not depend on the key's size. If the server rehashes during the scan, a key may be counted twice. Keys that expire
meanwhile are not counted.
"""

import re
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from . import positions
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
FLOODED_FACTOR = 10  # a pattern with more times its estimated entries is a finding
DELETED_CONSUMERS = re.compile(r"^cmdstat_xgroup\|delconsumer:calls=(\d+)", re.MULTILINE)

NO_PATTERN = "matches no pattern"
MUST_NOT_EXPIRE = "has a TTL and must not expire"
NO_TTL = "has no TTL"
LONGER_TTL = "has a longer TTL than its pattern"
TTL_FAULTS = frozenset({MUST_NOT_EXPIRE, NO_TTL, LONGER_TTL})
FLOODED = f"holds over {FLOODED_FACTOR} times the estimated entries"

Progress = Callable[[int], None]


@dataclass(frozen=True)
class KeyFault:
    """A key with a fault of its pattern, type or TTL. ``longest_ttl_ms``: what is left to the key at most, 0 without a limit."""

    key: str
    pattern: Pattern | None
    kind: str
    fault: str
    longest_ttl_ms: int


FaultHandler = Callable[[KeyFault], None]


@dataclass
class Offenders:
    """Keys of one pattern with the same fault: their number, and the first few as examples."""

    count: int = 0
    examples: list[str] = field(default_factory=list)


@dataclass
class KeyAudit:
    """``keys``: pattern -> number of keys; ``entries``: pattern of streams -> number of entries; ``offenders``: pattern -> fault ->
    keys; ``deleted_consumers``: calls of XGROUP DELCONSUMER since the server started; ``seconds``: duration of the audit;
    ``complete``: whether all keys were checked."""

    keys: dict[str, int]
    entries: dict[str, int] = field(default_factory=dict)
    offenders: dict[str, dict[str, Offenders]] = field(default_factory=dict)
    deleted_consumers: int = 0
    seconds: float = 0.0
    complete: bool = True

    @property
    def total(self) -> int:
        return sum(self.keys.values())

    @property
    def wrong(self) -> int:
        """The number of findings; a key with two faults counts twice."""
        return sum(offenders.count for reasons in self.offenders.values() for offenders in reasons.values())

    def add(self, pattern: str, fault: str, example: str) -> None:
        """Record a key with a fault."""
        offenders = self.offenders.setdefault(pattern, {}).setdefault(fault, Offenders())
        offenders.count += 1
        if len(offenders.examples) < EXAMPLES:
            offenders.examples.append(example)

    def document(self) -> dict[str, Any]:
        """Return the audit as a JSON document."""
        return {**asdict(self), "total": self.total, "wrong": self.wrong}


def audit(
    connection: Connection,
    plan: UpkeepPlan,
    rate: int = RATE,
    progress: Progress | None = None,
    *,
    limit: int | None = None,
    on_fault: FaultHandler | None = None,
) -> KeyAudit:
    """Check every key, or about ``limit`` of them. ``rate`` is the maximum of keys per second; ``progress`` receives the number
    checked so far; ``on_fault`` receives each key with a wrong pattern, type or TTL."""
    keyspace = Keyspace(plan)
    patterns = keyspace.patterns
    result = KeyAudit(
        {row.pattern: 0 for row in patterns}, {row.pattern: 0 for row in patterns if "stream" in row.types}
    )
    audited = _Audit(connection, keyspace, result, on_fault)
    started = time.monotonic()
    clock, (cursor, names) = connection.transaction([("TIME",), _scan("0")])
    checked = 0
    while True:
        request = b"".join(map(_type_and_pttl, names)) + encoded(("TIME",))
        more = cursor != "0" and (limit is None or checked + len(names) < limit)
        if more:
            request += encoded(_scan(cursor))
        answers, replies = connection.exchange(request, 2 * len(names), 2 if more else 1)
        before, clock = clock, connection.checked(replies[0])
        audited.check(names, answers, before, clock)
        checked += len(names)
        if progress is not None:
            progress(checked)
        if not more:
            result.complete = cursor == "0"
            break
        cursor, names = connection.checked(replies[1])
        pause = checked / rate - (time.monotonic() - started)
        if pause > 0:
            time.sleep(pause)
    audited.check_entries()
    calls = DELETED_CONSUMERS.search(connection.call("INFO", "commandstats"))
    result.deleted_consumers = int(calls[1]) if calls else 0
    result.seconds = round(time.monotonic() - started, 3)
    return result


def _scan(cursor: str) -> tuple[Word, ...]:
    return ("SCAN", cursor, "COUNT", STEP_KEYS)


def _type_and_pttl(name: str) -> bytes:
    """Encode the commands TYPE and PTTL for a key."""
    key = name.encode(errors="surrogateescape")
    key = b"$%d\r\n%s\r\n" % (len(key), key)
    return b"*2\r\n$4\r\nTYPE\r\n%s*2\r\n$4\r\nPTTL\r\n%s" % (key, key)


@dataclass
class _Audit:
    connection: Connection
    keyspace: Keyspace
    result: KeyAudit
    on_fault: FaultHandler | None

    def check(self, names: list[str], answers: list[bytes], before: list[str], after: list[str]) -> None:
        """Check keys that have these types and TTLs. ``before`` and ``after`` are replies of TIME."""
        # If midnight passed between the two times, the limit of the later day applies.
        midnight_ms = max(map(_until_midnight_ms, (before, after)))
        streams: dict[str, Pattern] = {}
        for name, answer, ttl in zip(names, answers[::2], answers[1::2], strict=True):
            if answer.startswith(b"-") or ttl.startswith(b"-"):
                error = answer if answer.startswith(b"-") else ttl
                self.connection.checked(ServerError(error[1:].decode().strip()))
            ttl_ms = int(ttl[1:])
            if ttl_ms == NO_SUCH_KEY:
                continue
            pattern, kind = self.keyspace.of(name), answer[1:-2].decode()
            row = pattern.pattern if pattern is not None else UNKNOWN
            self.result.keys[row] = self.result.keys.get(row, 0) + 1
            longest = _longest_ttl_ms(pattern, midnight_ms)
            for fault in _faults(pattern, kind, ttl_ms, longest):
                self.result.add(row, fault, self.keyspace.shown(name, pattern))
                if self.on_fault is not None:
                    self.on_fault(KeyFault(name, pattern, kind, fault, longest))
            if kind == "stream" and pattern is not None and kind in pattern.types:
                streams[name] = pattern
        self._check_streams(streams, milliseconds(after))

    def _check_streams(self, streams: dict[str, Pattern], now_ms: int) -> None:
        for name, stream, groups in positions.read(self.connection, list(streams)):
            row = streams[name].pattern
            self.result.entries[row] += stream["length"]
            for fault in positions.faults(stream, groups, now_ms):
                self.result.add(row, fault, self.keyspace.shown(name, streams[name]))

    def check_entries(self) -> None:
        """Compare the number of entries of each pattern with its estimate."""
        for pattern in self.keyspace.patterns:
            entries = self.result.entries.get(pattern.pattern, 0)
            if pattern.entries and entries > FLOODED_FACTOR * pattern.entries:
                self.result.add(pattern.pattern, FLOODED, f"{entries} entries, estimated {pattern.entries}")


def milliseconds(server_time: list[str]) -> int:
    """Convert the reply of TIME to a Unix time in milliseconds."""
    seconds, microseconds = server_time
    return int(seconds) * 1000 + int(microseconds) // 1000


def _until_midnight_ms(server_time: list[str]) -> int:
    return DAY_MS - milliseconds(server_time) % DAY_MS


def _longest_ttl_ms(pattern: Pattern | None, midnight_ms: int) -> int:
    """Return the longest TTL that a key of ``pattern`` may have, or 0."""
    if pattern is None or pattern.ttl not in ("at-most", "utc-midnight"):
        return 0
    return pattern.ttl_ms if pattern.ttl == "at-most" else midnight_ms


def _faults(pattern: Pattern | None, kind: str, ttl_ms: int, longest_ms: int) -> list[str]:
    if pattern is None:
        return [NO_PATTERN]
    faults = []
    if kind not in pattern.types:
        faults.append(f"is a {kind}, not a {' or '.join(sorted(pattern.types))}")
    if pattern.ttl == "forbidden" and ttl_ms >= 0:
        faults.append(MUST_NOT_EXPIRE)
    elif longest_ms and ttl_ms < 0:
        faults.append(NO_TTL)
    elif longest_ms and ttl_ms > longest_ms:
        faults.append(LONGER_TTL)
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
    if result.deleted_consumers:
        lines.append(
            f"XGROUP DELCONSUMER was called {result.deleted_consumers} times since the server started: entries that a deleted "
            "consumer had pending are not delivered again"
        )
    lines.append(f"{result.total} keys checked in {result.seconds:.1f} s, {result.wrong} findings")
    return lines


def prometheus(result: KeyAudit, now: float) -> list[str]:
    """Format gauges in Prometheus' text format. ``now`` is a Unix time in seconds."""
    lines = [
        "# HELP stellaops_valkey_keys Keys by pattern of the mapping.",
        "# TYPE stellaops_valkey_keys gauge",
        *(f"stellaops_valkey_keys{{pattern={_label(name)}}} {count}" for name, count in result.keys.items()),
        "# HELP stellaops_valkey_stream_entries Entries of streams by pattern of the mapping.",
        "# TYPE stellaops_valkey_stream_entries gauge",
        *(
            f"stellaops_valkey_stream_entries{{pattern={_label(name)}}} {count}"
            for name, count in result.entries.items()
        ),
        "# HELP stellaops_valkey_deleted_consumers Calls of XGROUP DELCONSUMER since the server started.",
        "# TYPE stellaops_valkey_deleted_consumers gauge",
        f"stellaops_valkey_deleted_consumers {result.deleted_consumers}",
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
