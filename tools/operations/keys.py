"""``keys``: audit the keyspace. On Kubernetes a CronJob runs the same code."""

import argparse
import sys

from components.valkey.plan import maintenance_plan
from pods.valkey_upkeep import keys
from pods.valkey_upkeep.__main__ import report_audit
from tools.operations.stack import Stack
from tools.operations.upkeep import connected

SHOWN_EVERY_KEYS = 20_000


def run(stack: Stack, options: argparse.Namespace) -> int:
    with connected(stack) as connection:
        total = connection.call("DBSIZE")
        result = keys.audit(connection, maintenance_plan(stack.mapping), options.rate, _progress(total))
    return report_audit(result, options)


def _progress(total: int) -> keys.Progress | None:
    """Show progress in one line of standard error, on a terminal only; the report goes to standard output."""
    if not sys.stderr.isatty():
        return None
    last = 0

    def show(seen: int) -> None:
        nonlocal last
        if seen - last >= SHOWN_EVERY_KEYS:
            last = seen
            print(f"\r{seen} of about {total} keys\033[K", end="", file=sys.stderr, flush=True)
        if seen >= total:
            print("\r\033[K", end="", file=sys.stderr, flush=True)

    return show
