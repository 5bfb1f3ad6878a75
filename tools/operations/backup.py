"""``backup``: store a dump, base backup and WAL of PostgreSQL, and a snapshot of Valkey, in the backups bucket."""

import argparse
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from pods.backup_agent import jobs, repository
from pods.backup_agent.kinds import BASE, DUMP, KINDS, RDB, WAL
from provider.errors import ProviderError
from tools.operations.recovery import taking
from tools.operations.recovery.context import RecoveryContext, as_provider_errors, say
from tools.operations.stack import Stack

OVERDUE = 2
# Maximum age of the last success: the schedule (nightly, weekly, every minute, hourly) plus a margin.
MAX_AGE = {
    DUMP: timedelta(hours=26),
    BASE: timedelta(days=8),
    WAL: timedelta(minutes=10),
    RDB: timedelta(hours=2),
}
FOLLOW_SECONDS = 60.0


def run(stack: Stack, options: argparse.Namespace) -> int:
    """Run the backups that the options select. Exit code 0, 1 for an error, 2 if ``--check`` finds an overdue backup."""
    context = RecoveryContext.of(stack)
    with as_provider_errors():
        if options.list:
            return _list(context)
        if options.check:
            return _check(context)
    if options.drop_slot:
        say(f"slot {context.slot} {'dropped' if taking.drop_slot(context) else 'does not exist'}")
        return 0
    if options.follow or options.wal:
        taking.require_continuous(context)
    with context.exclusive():
        if options.follow:
            with taking.Follower(context, FOLLOW_SECONDS, say) as follower:
                say(f"{WAL}: shipping every {FOLLOW_SECONDS:.0f} s until Ctrl-C")
                follower.wait()
        elif options.wal:
            taking.wal_so_far(context, say)
        else:
            back_up_all(context, options.store)
    return 0


def back_up_all(context: RecoveryContext, store: str | None) -> None:
    """Take every backup, also if another one failed. Raises ``ProviderError`` with all failures."""
    parts: list[Callable[[], object]] = []
    if store != "valkey":
        if context.continuous:
            # WAL first: this creates the slot, which keeps all WAL since before the base backup.
            parts += [lambda: taking.wal_so_far(context, say), lambda: taking.base(context, say)]
        parts.append(lambda: taking.dump(context, say))
        if context.continuous:
            parts.append(lambda: taking.wal_so_far(context, say))
    if store != "postgres":
        parts.append(lambda: snapshot(context))
    failures = []
    for part in parts:
        try:
            part()
        except ProviderError as error:
            failures.append(str(error))
    if failures:
        raise ProviderError("\nerror: ".join(dict.fromkeys(failures)))


def snapshot(context: RecoveryContext) -> repository.StoredBackup:
    """Take a snapshot of Valkey."""
    with as_provider_errors():
        return jobs.snapshot(context.bucket, context.valkey, context.stack.name, context.retention(RDB), say)


def _list(context: RecoveryContext) -> int:
    for kind in KINDS:
        good, bad = repository.find(context.bucket, kind)
        for backup in good:
            manifest = backup.manifest
            rows = sum(int(table["rows"]) for table in manifest.get("tables", []))
            content = f"{manifest['keys']} keys" if kind == RDB else f"{rows} rows in {len(manifest['tables'])} tables"
            say(f"{kind:<14}  {backup.name}  {jobs.megabytes(backup.size):>12}  {manifest['server']:<8}  {content}")
        for reason in bad.values():
            say(f"{kind:<14}  {reason}")
    shipped = repository.last_success(context.bucket, WAL)
    say(f"{WAL:<14}  up to {shipped:%F %T} UTC" if shipped else f"{WAL:<14}  none")
    return 0


def _check(context: RecoveryContext) -> int:
    """Print when each kind of backup last succeeded, and which are overdue by the pods' schedules."""
    late = False
    kinds = [DUMP, BASE, WAL, RDB] if context.continuous else [DUMP, RDB]
    for kind in kinds:
        last = repository.last_success(context.bucket, kind)
        age = datetime.now(UTC) - last if last else None
        overdue = age is None or age > MAX_AGE[kind]
        late = late or overdue
        when = f"{last:%F %T} UTC" if last else "never"
        say(f"{'overdue' if overdue else 'ok':<8}{kind:<14}  last success {when}, must be within {MAX_AGE[kind]}")
    if context.continuous and not taking.slot_is_held(context):
        say(f"note    no process receives WAL now: slot {context.slot} is not active")
    return OVERDUE if late else 0
