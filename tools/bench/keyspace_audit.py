"""``bench keyspace``: the command ``keys`` on a million keys: how long it takes, and how long any step of it keeps the server from other clients.

A step is TYPE and PTTL of some keys and the SCAN for the next ones, sent together. Its length is taken three ways: processor time of the
server's main thread (Linux), which is the step itself; what the server's SLOWLOG says; and what another client sees (PING, in
a process of its own) during the audit and, for comparison, with nobody else there. On a busy machine the last two
contain the time in which the server did not run at all.
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
    """A connection that notes how much processor time the server's main thread took for each request."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.steps: list[float] = []
        self._clock: Path | None = None
        super().__init__(endpoint)
        info = dict(line.split(":", 1) for line in self.call("INFO", "server").splitlines() if ":" in line)
        pid = info["process_id"]
        self._clock = Path(f"/proc/{pid}/task/{pid}/schedstat")

    def _now(self) -> float:
        """Milliseconds that the thread has run."""
        return 0.0 if self._clock is None else int(self._clock.read_text().split()[0]) / 1e6

    def call(self, *words: Word) -> Any:
        before = self._now()
        found = super().call(*words)
        self.steps.append(self._now() - before)
        return found

    def exchange(self, request: bytes, lines: int, replies: int) -> tuple[list[bytes], list[Any]]:
        before = self._now()
        found = super().exchange(request, lines, replies)
        self.steps.append(self._now() - before)
        return found


def fill(connection: Connection, count: int) -> None:
    """Keys as Scanner writes them: digests, with TTLs where they have one."""
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
    """What ``work`` gives, and the round trips of another client meanwhile."""
    context = multiprocessing.get_context("spawn")
    stop, results = context.Event(), context.Queue()
    process = context.Process(target=ping, args=(endpoint, stop, results))
    process.start()
    time.sleep(0.5)
    found = work()
    stop.set()
    times = [value * 1000 for value in results.get()]
    process.join()
    at = {name: times[min(len(times) - 1, int(len(times) * share))] for name, share in SHARES}
    shown = ", ".join(f"{name} {value:.2f} ms" for name, value in at.items())
    return found, f"{len(times)} pings: {shown}, longest {times[-1]:.2f} ms"


SHARES = (("median", 0.5), ("99 %", 0.99), ("99.9 %", 0.999))


def scan_only(connection: Connection) -> float:
    """Seconds for SCAN alone: the floor of any audit."""
    started = time.perf_counter()
    cursor = "0"
    while True:
        cursor, _ = connection.call("SCAN", cursor, "COUNT", keys.STEP_KEYS)
        if cursor == "0":
            return time.perf_counter() - started


def run(count: int, rate: int) -> int:
    """Fill a Valkey of its own with ``count`` keys, audit them at ``rate`` keys per second and at full speed."""
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
        while any(f"{what}_in_progress:1" in connection.call("INFO", "persistence") for what in FORKS):
            time.sleep(0.5)
        floor = scan_only(connection)
        _, idle = pinged(endpoint, lambda: time.sleep(IDLE_SECONDS))
        print(f"alone:  {idle}")
        for rate in (allowed, 10**9):
            connection.call("CONFIG", "RESETSTAT")
            connection.call("SLOWLOG", "RESET")
            connection.call("CONFIG", "SET", "slowlog-log-slower-than", SLOW_US)
            connection.steps.clear()
            audit, busy = pinged(endpoint, lambda rate=rate: keys.audit(connection, plan, rate))
            word = f"at most {rate} keys a second" if rate < 10**9 else "as fast as it goes"
            print(f"\naudit, {word}: {audit.total} keys in {audit.seconds:.1f} s, {audit.wrong} findings")
            print(f"  {audit.total / audit.seconds:.0f} keys a second; {audit.seconds / floor:.1f} times SCAN alone")
            steps = sorted(connection.steps)
            print(
                f"  processor time of the server a step: median {steps[len(steps) // 2]:.3f} ms, "
                f"99.9 % {steps[int(len(steps) * 0.999)]:.3f} ms, longest {steps[-1]:.3f} ms"
            )
            print(f"  meanwhile {busy}")
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
