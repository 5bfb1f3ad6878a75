"""``trim``: apply the retention of streams once. On Kubernetes a CronJob runs the same code."""

import argparse

from components.valkey.plan import maintenance_plan
from pods.valkey_upkeep import trim
from pods.valkey_upkeep.__main__ import report_trimmed
from tools.operations.stack import Stack
from tools.operations.upkeep import connected


def run(stack: Stack, options: argparse.Namespace) -> int:
    with connected(stack) as connection:
        results = list(trim.trim(connection, maintenance_plan(stack.mapping)))
    return report_trimmed(results, as_json=options.json)
