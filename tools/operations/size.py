"""``size``: compare the memory that the mapping's estimates need with ``maxmemory``."""

import argparse
import json
from dataclasses import asdict

from components.valkey.keyspace_size import KeyspaceSize, sizing
from tools.operations.stack import Stack

FINDINGS = 2
MIB = 1 << 20


def run(stack: Stack, options: argparse.Namespace) -> int:
    result = sizing(stack.mapping)
    if options.json:
        totals = {"total": result.total, "kept": result.kept, "warnings": result.warnings}
        print(json.dumps({**asdict(result), **totals}, indent=2))
    else:
        print("\n".join(table(result)))
    return FINDINGS if result.warnings else 0


def table(result: KeyspaceSize) -> list[str]:
    """Format one row per pattern, the largest first, then totals and warnings."""
    width = max(len(row.pattern) for row in result.patterns)
    lines = [f"{'PATTERN':{width}}  {'KEYS':>8}  {'ENTRIES':>9}  {'MEMORY':>10}  WHEN MEMORY IS FULL"]
    for row in sorted(result.patterns, key=lambda item: (-item.bytes, item.pattern)):
        entries = "" if row.elements is None else str(row.elements)
        policy = "evicted" if row.evictable else "kept"
        lines.append(f"{row.pattern:{width}}  {row.keys:>8}  {entries:>9}  {_mib(row.bytes):>10}  {policy}")
    for name, count in (("total", result.total), ("never evicted", result.kept)):
        share = f"{count / result.maxmemory:.0%} of maxmemory, {_mib(result.maxmemory)}"
        lines.append(f"{name:{width}}  {'':>8}  {'':>9}  {_mib(count):>10}  {share}")
    lines += [f"warning: {text}" for text in result.warnings]
    return lines


def _mib(count: int) -> str:
    return f"{count / MIB:.1f} MiB"
