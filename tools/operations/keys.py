"""``keys``: audit the keyspace. On Kubernetes a CronJob runs the same code."""

import argparse
import sys
from collections import Counter

from components.valkey.plan import maintenance_plan
from pods.valkey_upkeep import keys
from pods.valkey_upkeep.__main__ import report_audit
from pods.valkey_upkeep.resp import Connection
from tools.operations.progress import ProgressLine
from tools.operations.stack import Stack
from tools.operations.upkeep import connected

TTL_SET, TTL_REMOVED, DELETED = "have their pattern's TTL", "have no TTL any more", "were deleted"


def run(stack: Stack, options: argparse.Namespace) -> int:
    plan = maintenance_plan(stack.mapping)
    with connected(stack) as connection:
        total = connection.call("DBSIZE")
        if options.repair:
            changes = repair(connection, stack, options.rate)
            for change, count in sorted(changes.items()):
                print(f"{count} keys {change}", file=sys.stderr)
        progress = ProgressLine("valkey", "keys", total)
        result = keys.audit(connection, plan, options.rate, progress)
        progress.clear()
    return report_audit(result, options)


def repair(connection: Connection, stack: Stack, rate: int) -> Counter[str]:
    """Correct the TTL of every key that has a wrong one. Delete keys of a wrong type whose names are secrets: nobody can be shown
    a command with such a name. Return change -> number of keys."""
    changes: Counter[str] = Counter()

    def correct(item: keys.KeyFault) -> None:
        if item.fault in (keys.NO_TTL, keys.LONGER_TTL):
            # LT: a key that has got a shorter TTL meanwhile keeps it.
            changes[TTL_SET] += connection.call("PEXPIRE", item.key, item.longest_ttl_ms, "LT")
        elif item.fault == keys.MUST_NOT_EXPIRE:
            changes[TTL_REMOVED] += connection.call("PERSIST", item.key)
        elif item.pattern is not None and item.pattern.secret:
            changes[DELETED] += connection.call("DEL", item.key)

    keys.audit(connection, maintenance_plan(stack.mapping), rate, on_fault=correct)
    return +changes
