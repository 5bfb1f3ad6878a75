"""``bench keyspace``: how long the command ``keys`` takes for a million keys, and how long each step blocks clients.

A step is TYPE and PTTL of some keys and the SCAN for the next ones, sent together. It is measured in three ways:
processor time of the server's main thread (Linux), which is the step itself; the server's SLOWLOG; and the round trips
of another client (PING, in its own process) during the audit and, for comparison, without one. On a busy machine the
last two include time in which the server did not run.
"""

import multiprocessing
import tempfile
import time
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

from components.mapping import load
from components.valkey.plan import maintenance_plan
from pods.valkey_upkeep import keys
from pods.valkey_upkeep.plan import UpkeepPlan
from pods.valkey_upkeep.resp import Connection, Endpoint, Word, encoded
from tools.local.servers.valkey import LocalValkey

ROOT = Path(__file__).parents[2]
STEP = 1000
SLOW_US = 1000
IDLE_SECONDS = 5
FORKS = ("rdb_bgsave", "aof_rewrite")


class Measured(Connection):
    """A connection that records the processor time of the server's main thread for each request."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.steps: list[float] = []
        self._clock: Path | None = None
        super().__init__(endpoint)
        info = dict(line.split(":", 1) for line in self.call("INFO", "server").splitlines() if ":" in line)
        pid = info["process_id"]
        self._clock = Path(f"/proc/{pid}/task/{pid}/schedstat")

    def _now(self) -> float:
        """Return the thread's processor time in milliseconds."""
        return 0.0 if self._clock is None else int(self._clock.read_text().split()[0]) / 1e6

    def call(self, *words: Word) -> Any:
        before = self._now()
        reply = super().call(*words)
        self.steps.append(self._now() - before)
        return reply

    def exchange(self, request: bytes, lines: int, replies: int) -> tuple[list[bytes], list[Any]]:
        before = self._now()
        result = super().exchange(request, lines, replies)
        self.steps.append(self._now() - before)
        return result


def fill(connection: Connection, count: int) -> None:
    """Add keys like Scanner's, half of them with a TTL."""
    for start in range(0, count, STEP):
        commands: list[tuple[Word, ...]] = []
        for number in range(start, min(start + STEP, count)):
            digest = f"sha256:{number:064x}"
            if number % 2:
                commands.append(("SET", f"locator:{digest}", "b" * 71, "EX", 86_400))
            else:
                commands.append(("SET", f"scan:{digest}", "{}"))
        connection.exchange(b"".join(map(encoded, commands)), len(commands), 0)


def ping(endpoint: Endpoint, stop: Event, results: Any) -> None:
    times = []
    with Connection(endpoint) as connection:
        while not stop.is_set():
            started = time.perf_counter()
            connection.call("PING")
            times.append(time.perf_counter() - started)
            time.sleep(0.0005)
    results.put(sorted(times))


def pinged(endpoint: Endpoint, work: Any) -> tuple[Any, str]:
    """Return the result of ``work``, and a summary of another client's round trips meanwhile."""
    context = multiprocessing.get_context("spawn")
    stop, results = context.Event(), context.Queue()
    process = context.Process(target=ping, args=(endpoint, stop, results))
    process.start()
    time.sleep(0.5)
    result = work()
    stop.set()
    times = [value * 1000 for value in results.get()]
    process.join()
    at = {name: times[min(len(times) - 1, int(len(times) * share))] for name, share in SHARES}
    shown = ", ".join(f"{name} {value:.2f} ms" for name, value in at.items())
    return result, f"{len(times)} pings: {shown}, longest {times[-1]:.2f} ms"


SHARES = (("median", 0.5), ("99 %", 0.99), ("99.9 %", 0.999))


def scan_only(connection: Connection) -> float:
    """Return the seconds that SCAN alone takes, the lower bound of any audit."""
    started = time.perf_counter()
    cursor = "0"
    while True:
        cursor, _ = connection.call("SCAN", cursor, "COUNT", keys.STEP_KEYS)
        if cursor == "0":
            return time.perf_counter() - started


def run(count: int, rate: int) -> int:
    """Fill a new Valkey server with ``count`` keys; audit them at ``rate`` keys per second and at full speed."""
    plan = maintenance_plan(load(ROOT / "schema-mapping.yaml"))
    with tempfile.TemporaryDirectory() as directory:
        server = LocalValkey(Path(directory) / "valkey")
        server.start()
        try:
            measure(Endpoint(server.host, server.port, server.user, server.password), plan, count, rate)
        finally:
            server.remove()
    return 0


def measure(endpoint: Endpoint, plan: UpkeepPlan, count: int, allowed: int) -> None:
    with Measured(endpoint) as connection:
        fill(connection, count)
        # The forks of snapshots and rewrites would count as steps.
        connection.call("CONFIG", "SET", "save", "", "auto-aof-rewrite-percentage", 0)
        while any(f"{fork}_in_progress:1" in connection.call("INFO", "persistence") for fork in FORKS):
            time.sleep(0.5)
        floor = scan_only(connection)
        _, idle = pinged(endpoint, lambda: time.sleep(IDLE_SECONDS))
        print(f"without an audit: {idle}")
        for rate in (allowed, 10**9):
            connection.call("CONFIG", "RESETSTAT")
            connection.call("SLOWLOG", "RESET")
            connection.call("CONFIG", "SET", "slowlog-log-slower-than", SLOW_US)
            connection.steps.clear()
            audit, busy = pinged(endpoint, lambda rate=rate: keys.audit(connection, plan, rate))
            speed = f"at most {rate} keys per second" if rate < 10**9 else "at full speed"
            print(f"\naudit, {speed}: {audit.total} keys in {audit.seconds:.1f} s, {audit.wrong} findings")
            print(f"  {audit.total / audit.seconds:.0f} keys per second; {audit.seconds / floor:.1f} times SCAN alone")
            steps = sorted(connection.steps)
            print(
                f"  processor time of the server per step: median {steps[len(steps) // 2]:.3f} ms, "
                f"99.9 % {steps[int(len(steps) * 0.999)]:.3f} ms, longest {steps[-1]:.3f} ms"
            )
            print(f"  other client: {busy}")
            report(connection)


def report(connection: Connection) -> None:
    for line in connection.call("INFO", "commandstats").splitlines():
        if line.startswith(("cmdstat_scan", "cmdstat_type", "cmdstat_pttl")):
            print(f"  {line}")
    for line in connection.call("INFO", "stats").splitlines():
        if line.startswith(("eventloop_cycles", "eventloop_duration_sum", "eventloop_duration_cmd_sum")):
            print(f"  {line}")
    slow = connection.call("SLOWLOG", "GET", 1000)
    longest = max((entry[2] for entry in slow), default=0) / 1000
    print(f"  commands over {SLOW_US / 1000:.0f} ms: {len(slow)}, longest {longest:.2f} ms")
