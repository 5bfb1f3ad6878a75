"""Commands that operate a running stack, the local one or any other."""

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING

from pods.valkey_upkeep.keys import RATE
from tools.cli.command import (
    LOCAL,
    YES,
    Argument,
    Command,
    CommandGroup,
    Invocation,
    Make,
    Scope,
    json_option,
    positive,
)

if TYPE_CHECKING:
    from tools.operations.stack import Stack

Operation = Callable[["Stack", argparse.Namespace], int]
STORES = ("postgres", "valkey", "rustfs")


def on_stack(invocation: Invocation, operation: Operation) -> int:
    """Run ``operation`` on the stack that ``--stack`` names. Raises ``UserError``."""
    from provider.errors import ProviderError
    from tools.local import commands
    from tools.local.errors import UserError
    from tools.local.remedies import for_local_stack
    from tools.operations.stack import Stack

    commands.use_environment_of(invocation.options.stack)
    try:
        return operation(Stack.load(invocation.options.stack), invocation.options)
    except ProviderError as error:
        is_local = invocation.options.stack == LOCAL
        raise UserError(for_local_stack(str(error)) if is_local else str(error)) from None


def _drift(invocation: Invocation) -> int:
    from tools.operations import drift

    return on_stack(invocation, drift.run)


def _migrations(invocation: Invocation, action: str) -> int:
    from tools.operations import migrations

    return on_stack(invocation, lambda stack, options: migrations.run(stack, action, options))


def _streams(invocation: Invocation) -> int:
    from tools.operations import streams

    return on_stack(invocation, streams.run)


def _streams_repair(invocation: Invocation) -> int:
    from tools.operations import stream_repair

    return on_stack(invocation, stream_repair.run)


def _trim(invocation: Invocation) -> int:
    from tools.operations import trim

    return on_stack(invocation, trim.run)


def _keys(invocation: Invocation) -> int:
    from tools.operations import keys

    return on_stack(invocation, keys.run)


def _size(invocation: Invocation) -> int:
    from tools.operations import size

    return on_stack(invocation, size.run)


def _objects(invocation: Invocation) -> int:
    from tools.operations import objects

    return on_stack(invocation, objects.run)


def _undelete(invocation: Invocation) -> int:
    from tools.operations import undelete

    return on_stack(invocation, undelete.run)


def _upgrade_state(invocation: Invocation) -> int:
    from tools.operations import upgrade_state

    return on_stack(invocation, upgrade_state.run)


def _backup(invocation: Invocation) -> int:
    from tools.operations import backup

    return on_stack(invocation, backup.run)


def _restore(invocation: Invocation) -> int:
    from tools.operations import restore

    return on_stack(invocation, restore.run)


def _drill(invocation: Invocation) -> int:
    from tools.operations import drill

    return on_stack(invocation, drill.run)


def _amount(text: str) -> int | None:
    """Parse a number, or ``all`` as None."""
    if text == "all":
        return None
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is neither a number nor all")
    return int(text)


def _version(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a version; write a number like 3 or 0003")
    return int(text)


def _day_two(
    name: str, summary: str, run: Callable[[Invocation], int], *arguments: Argument, exit_2: str = "", variables: str = "",
    target: str = "", details: str = "",
) -> Command:  # fmt: skip
    return Command(
        name, summary, CommandGroup.DAY_TWO, run, Scope.ANY, arguments, machine_output=True, exit_2=exit_2,
        make=Make(target or name, variables), details=details,
    )  # fmt: skip


SCHEMA = Argument("--schema", "only this schema", metavar="NAME")
ONE_SCHEMA = Argument("--schema", "the schema; required", metavar="NAME")

COMMANDS = (
    _day_two(
        "drift", "compare the stores with the mapping and print each difference", _drift,
        Argument("--store", "only this store", choices=tuple(sorted(STORES)), repeated=True),
        json_option("lines"), exit_2="a store differs from the mapping", variables="ARGS=--json",
    ),
    _day_two(
        "migrations status", "print each schema's version and its pending migrations",
        lambda invocation: _migrations(invocation, "status"), SCHEMA, json_option("lines"),
        target="migrate-status", variables="SCHEMA=vuln ARGS=--json",
    ),
    _day_two(
        "migrations apply", "run pending migrations, as `up` does", lambda invocation: _migrations(invocation, "apply"),
        SCHEMA, target="migrate-apply", variables="SCHEMA=vuln",
    ),
    _day_two(
        "migrations verify", "compare each schema's history, triggers, owners and indexes with its files and the mapping",
        lambda invocation: _migrations(invocation, "verify"), SCHEMA,
        exit_2="a schema differs", target="migrate-verify", variables="SCHEMA=vuln",
    ),
    _day_two(
        "migrations baseline", "record migrations as applied because their tables exist already",
        lambda invocation: _migrations(invocation, "baseline"), ONE_SCHEMA,
        Argument("--version", "the last version to record; by default the newest", metavar="N", parse=_version),
        target="migrate-baseline", variables="SCHEMA=vuln VERSION=2",
    ),
    _day_two(
        "migrations repair", "accept an edited migration that is already applied",
        lambda invocation: _migrations(invocation, "repair"), ONE_SCHEMA,
        Argument("--version", "the version of the edited migration; required", metavar="N", parse=_version),
        target="migrate-repair", variables="SCHEMA=vuln VERSION=2",
    ),
    _day_two(
        "streams", "show Valkey streams: length, groups, lag, pending entries and dead consumers", _streams,
        json_option("a table"),
        exit_2="a group is missing, skips or lost entries, entries are pending too long, or a stream's last ID lies in the future",
        variables="ARGS=--json",
    ),
    Command(
        "streams repair", "rebuild a Valkey stream whose last ID lies in the future, with its groups and pending entries",
        CommandGroup.DAY_TWO, _streams_repair, Scope.ANY, (Argument("stream", "the stream's key", metavar="STREAM", required=True), YES),
        machine_output=True,
        details="Entries with IDs in the future get new ones, in the same order. Producers and consumers may go on meanwhile. "
                "Asks first. Changes nothing if the last ID does not lie in the future.",
    ),
    _day_two(
        "trim", "remove stream entries whose retention has ended", _trim, json_option("lines"),
        exit_2="entries that a group had not acknowledged were removed, or keep a queue from being trimmed",
        variables="ARGS=--json",
    ),
    _day_two(
        "keys", "check every Valkey key's pattern, type and TTL against the mapping", _keys,
        Argument("--json", "print a JSON document instead of lines", switch=True, exclusive_group="format"),
        Argument("--prometheus", "print metrics in the Prometheus text format", switch=True, exclusive_group="format"),
        Argument("--rate", "the maximum number of keys to read per second", metavar="N", parse=positive, default=RATE),
        Argument("--repair", "correct TTLs, and delete keys of a wrong type whose names are secrets, such as nonces", switch=True),
        exit_2="a key does not match the mapping, or a stream has a fault", variables='ARGS="--rate 10000"',
    ),
    _day_two(
        "size", "estimate Valkey's memory use by key pattern and compare it with maxmemory", _size, json_option("a table"),
        exit_2="keys that are never evicted take over 60 % of maxmemory", variables="ARGS=--json",
    ),
    _day_two(
        "objects", "audit the objects in the buckets against the mapping's layout", _objects,
        Argument("--bucket", "only this bucket", metavar="NAME", repeated=True),
        Argument(
            "--content-types", "the number of objects per bucket whose content type is checked, or all", metavar="N",
            parse=_amount, default=1000,
        ),
        Argument(
            "--digests", "the number of content-addressed objects per bucket whose SHA-256 is compared with the key, or all",
            metavar="N", parse=_amount, default=100,
        ),
        Argument("--limit", "the number of findings to print per bucket, or all", metavar="N", parse=_amount, default=1000),
        exit_2="an object does not match the layout", variables="BUCKET=blobs",
    ),
    _day_two(
        "undelete", "restore an object's last version before it was deleted or overwritten", _undelete,
        Argument("key", "the object's bucket and key", metavar="BUCKET/KEY", required=True),
        Argument("--version-id", "restore this version instead", metavar="ID"),
        Argument("--list", "only list the versions, newest first", switch=True),
        variables="KEY=evidence/bundle-1/manifest.json",
    ),
    _day_two(
        "backup", "back up PostgreSQL and Valkey to the backups bucket", _backup,
        Argument("--store", "only this store", choices=("postgres", "valkey")),
        Argument("--wal", "only ship the WAL written since the last shipment", switch=True, exclusive_group="action"),
        Argument("--follow", "receive and ship WAL until Ctrl-C", switch=True, exclusive_group="action"),
        Argument("--list", "list the backups in the bucket, and why other objects are not backups", switch=True,
                 exclusive_group="action"),
        Argument("--check", "exit with code 2 if a backup is overdue", switch=True, exclusive_group="action"),
        Argument("--drop-slot", "drop the replication slot; the server then removes WAL that was not received", switch=True,
                 exclusive_group="action"),
        exit_2="--check found an overdue backup", variables='ARGS="--store valkey"',
    ),
    _day_two(
        "restore", "restore next to the running stores and compare the result with the backup", _restore,
        Argument("--store", "the store to restore", choices=("postgres", "valkey"), default="postgres"),
        Argument("--to", "the moment to restore: latest, or a UTC time like '2026-11-25 10:15'", metavar="TIME", default="latest"),
        Argument("--dump", "restore a dump into a new database, instead of a base backup and WAL into a new server", switch=True),
        Argument("--name", "restore this backup, named as `backup --list` prints it", metavar="NAME"),
        Argument("--even-expired", "also accept a backup that is older than its retention", switch=True),
        Argument("--discard", "stop and remove a restored server, or drop a restored database", metavar="RESTORED"),
        exit_2="the restored data differ from the backup", variables='STORE=valkey TO="2026-11-25 10:15"',
        details="Restores into a new database or a new server; the running stores do not change.",
    ),
    _day_two(
        "drill", "run a restore drill next to the running stores: back up, write, lose, restore, verify", _drill,
        Argument("--ship-every", "the seconds between two WAL shipments", metavar="SECONDS", parse=float, default=5.0),
        exit_2="the restored data differ", details="Prints the duration of each step, RPO and RTO.",
    ),
    Command(
        "upgrade-state", "rewrite the state of a stack that was created before the provider stellaops existed",
        CommandGroup.DAY_TWO, _upgrade_state, Scope.ANY,
        (Argument("--dry-run", "only count the resources to rewrite", switch=True),), machine_output=True,
        details="Contacts no store. Run it once for each such stack, before its first `up` with the provider.",
    ),
)  # fmt: skip
