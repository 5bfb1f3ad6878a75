"""``drill``: run a restore drill (back up, write, lose, restore, verify) and print durations, RPO and RTO.

It writes to its own database and Valkey key, restores beside the running stores, and removes all of them at the end.
Its backups stay in the bucket and are regular backups.
"""

import argparse
import contextlib
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TypeVar

from pods.backup_agent import repository
from pods.backup_agent.kinds import DUMP, WAL
from pods.backup_agent.repository import StoredBackup
from provider.errors import ProviderError
from provider.postgres.server import PostgresServer
from tools.operations import backup as backups
from tools.operations.recovery import logical, objects, point_in_time, snapshot, taking, verify
from tools.operations.recovery.context import RecoveryContext, as_provider_errors, say
from tools.operations.recovery.marks import MARK_SECONDS, Marks
from tools.operations.recovery.servers import Running
from tools.operations.recovery.verify import Check
from tools.operations.stack import Stack

FAILED = 2
SETTLE_SECONDS = 180.0  # for another receiver, like the Deployment's, to ship
Result = TypeVar("Result")


@dataclass
class Row:
    """A row of the result table. ``took`` and ``lost`` are in seconds; ``lost`` is None if the step does not measure it."""

    step: str
    took: float
    lost: float | None = None
    notes: list[str] = field(default_factory=list)
    passed: bool = True


def run(stack: Stack, options: argparse.Namespace) -> int:
    """Run a drill. Exit code 0, 1 for an error, 2 if restored data differ."""
    context = RecoveryContext.of(stack)
    with context.exclusive():
        rows = Drill(context, options.ship_every).run()
    print_table(rows, options.ship_every, stack.name)
    return 0 if all(row.passed for row in rows) else FAILED


class Drill:
    """One drill. ``run`` may be called once."""

    def __init__(self, context: RecoveryContext, ship_every: float) -> None:
        self._context = context
        self._every = ship_every
        self._rows: list[Row] = []
        self._mark = f"drill:{secrets.token_hex(4)}"

    def run(self) -> list[Row]:
        """Run all steps and return their rows. Remove what the drill created, also after a failure."""
        with contextlib.ExitStack() as made:
            self._dump(made)
            self._valkey(made)
            checks, row = self._timed(
                "restore an object's old version", lambda: objects.drill(self._context, self._mark.replace(":", "-"))
            )
            record_checks(row, checks)
            if self._context.continuous:
                self._continuous(made)
        return self._rows

    def _timed(self, step: str, action: Callable[[], Result]) -> tuple[Result, Row]:
        say(f"drill: {step}")
        since = time.monotonic()
        result = action()
        row = Row(step, time.monotonic() - since)
        self._rows.append(row)
        return result, row

    def _dump(self, made: contextlib.ExitStack) -> None:
        context = self._context
        backup, _ = self._timed("dump of every schema", lambda: taking.dump(context, say))
        (database, checks), row = self._timed("restore the dump", lambda: logical.restore(context, backup, say))
        made.callback(logical.discard, context, database)
        record_checks(row, checks)

    def _valkey(self, made: contextlib.ExitStack) -> None:
        context, mark = self._context, self._mark
        with context.stack.valkey.connection() as client:
            made.callback(self._forget_key)
            client.set(mark, "before", ex=3600)
            backup, _ = self._timed("snapshot of Valkey", lambda: backups.snapshot(context))
            client.set(mark, "after", ex=3600)
        (running, server, checks), row = self._timed(
            "restore the snapshot", lambda: snapshot.restore(context, backup, say)
        )
        made.callback(running.remove)
        with server.connection() as client:
            value = client.get(mark)
        record_checks(
            row,
            [*checks, Check("value of a key", () if value == "before" else (f"{mark} is {value!r}, not 'before'",))],
        )

    def _forget_key(self) -> None:
        with self._context.stack.valkey.connection() as client:
            client.delete(self._mark)

    def _continuous(self, made: contextlib.ExitStack) -> None:
        context = self._context
        marks = made.enter_context(Marks.of(context))
        held = taking.slot_is_held(context)
        taking.wal_so_far(context, say)
        base, _ = self._timed("base backup", lambda: taking.base(context, say))
        follower = None if held else made.enter_context(taking.Follower(context, self._every, say))
        marks.write(3)
        target = marks.now()
        time.sleep(MARK_SECONDS)
        marks.write(3)
        before = verify.read_facts(context, context.reader)
        written, row = self._timed(
            f"write while WAL is shipped every {self._every:g} s", lambda: self._write_and_lose(marks, follower)
        )
        self._restore_to(made, base, marks, target)
        self._restore_latest(made, base, marks, written, before)
        row.notes.append(f"{written[-1][0]} commits")

    def _write_and_lose(self, marks: Marks, follower: "taking.Follower | None") -> list[tuple[int, datetime]]:
        """Commit continuously while WAL is shipped, then discard all but the bucket at a random moment."""
        since = datetime.now(UTC)
        deadline = time.monotonic() + SETTLE_SECONDS
        with marks.writing():
            while True:
                with as_provider_errors():
                    shipped = repository.last_success(self._context.bucket, WAL)
                if shipped and shipped > since:
                    break
                if time.monotonic() > deadline:
                    raise ProviderError(
                        f"no WAL was shipped for {SETTLE_SECONDS:.0f} s; run python3 -m tools backup --check --stack {self._context.stack.name}"
                    )
                time.sleep(0.5)
            # A random moment before the next upload.
            time.sleep(secrets.randbelow(1000) / 1000 * self._every)
            if follower is not None:
                follower.stop()
            return marks.all()

    def _restore_to(
        self, made: contextlib.ExitStack, base: StoredBackup, marks: Marks, target: tuple[int, datetime]
    ) -> None:
        last, when = target
        result, row = self._timed(
            "restore to a point in time", lambda: point_in_time.restore(self._context, base, when, say)
        )
        _, server, checks = self._keep(made, result)
        found = [number for number, _ in marks.of_server(server)]
        right = found == list(range(1, last + 1))
        record_checks(
            row,
            [
                *checks,
                Check(
                    "all commits up to that time and none after it",
                    () if right else (f"{found[-3:]}, not up to {last}",),
                ),
            ],
        )
        row.lost = 0.0 if right else None

    def _restore_latest(
        self,
        made: contextlib.ExitStack,
        base: StoredBackup,
        marks: Marks,
        written: list[tuple[int, datetime]],
        before: verify.BackupFacts,
    ) -> None:
        context = self._context
        result, row = self._timed("restore to the latest", lambda: point_in_time.restore(context, base, None, say))
        _, server, checks = self._keep(made, result)
        found = marks.of_server(server)
        known = dict(written)
        gaps = [number for number, _ in found] != list(range(1, len(found) + 1))
        row.lost = max(0.0, (written[-1][1] - known.get(len(found), written[-1][1])).total_seconds())
        restored = verify.read_facts(
            context, replace(context.reader, host=server.host, port=server.port, ssl_mode="disable")
        )
        now = verify.read_facts(context, context.reader)
        # Skip tables that other clients wrote to meanwhile.
        unchanged = {table for table, fact in now.tables.items() if before.tables.get(table) == fact}
        wrong = tuple(table for table in sorted(unchanged) if restored.tables.get(table) != now.tables[table])
        record_checks(
            row,
            [
                *checks,
                Check("commits without a gap", ("some are missing",) if gaps else ()),
                Check(f"{len(unchanged)} tables equal to the running server's", wrong),
            ],
        )
        row.notes.append(f"{len(written) - len(found)} of {len(written)} commits lost")

    def _keep(
        self, made: contextlib.ExitStack, result: tuple[Running, PostgresServer, list[Check]]
    ) -> tuple[Running, PostgresServer, list[Check]]:
        made.callback(result[0].remove)
        return result


def record_checks(row: Row, checks: list[Check]) -> None:
    """Print the checks and add their result to the row."""
    for check in checks:
        say(f"  {check.line}")
    row.passed = not any(check.differences for check in checks)
    row.notes.append(f"{sum(not check.differences for check in checks)} of {len(checks)} checks passed")


def print_table(rows: list[Row], every: float, stack: str) -> None:
    """Print the result table, RPO and RTO."""
    say("")
    say(f"{'step':<44}{'took':>9}{'lost':>9}   result")
    for row in rows:
        lost = "" if row.lost is None else f"{row.lost:.1f} s"
        word = "passed" if row.passed else "FAILED"
        say(f"{row.step:<44}{f'{row.took:.1f} s':>9}{lost:>9}   {'; '.join([word, *row.notes])}")
    by_step = {row.step: row for row in rows}
    latest = by_step.get("restore to the latest")
    say("")
    if latest:
        say(
            f"RPO {latest.lost:.1f} s with WAL shipped every {every:g} s; RTO {latest.took:.1f} s, verification included"
        )
    dump = by_step["restore the dump"]
    say(f"RTO {dump.took:.1f} s from a dump, verification included; its RPO is the time since the last {DUMP}")
    say(
        f"stack {stack}: {'all restored data are correct' if all(row.passed for row in rows) else 'restored data DIFFER'}"
    )
