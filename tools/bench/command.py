"""``make bench``: measure the stack's speed as ratios within one run; print tables and draw a plot."""

import argparse
import os
import platform
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tools.bench import measure, report
from tools.bench.parts import PARTS
from tools.bench.processes import CommandError
from tools.local.console import console
from tools.local.errors import UserError

ROOT = Path(__file__).parents[2]


def run(options: argparse.Namespace) -> int:
    """Run the benchmark and return the exit code. Raises ``UserError``."""
    parts = options.part or PARTS
    try:
        results = _measure(parts, options.rounds, options.factors, options.saved)
    except CommandError as error:
        raise UserError(str(error)) from None
    text = f"{_machine()}\n\n{report.table(results)}"
    print(text)
    target = ROOT / "docs" if options.write else Path(tempfile.mkdtemp(prefix="bench-"))
    (target / "bench.md").write_text(f"# Measurements\n\n{text}\n![plot](bench.svg)\n", encoding="utf-8")
    report.plot(results, target / "bench.svg")
    print(f"wrote {target / 'bench.md'} and {target / 'bench.svg'}")
    return 0


def _measure(parts: Sequence[str], rounds: int, factors: list[int], saved: int) -> measure.Results:
    results = measure.Results()

    def say(text: str) -> None:
        console.line("bench", text)

    with tempfile.TemporaryDirectory(prefix="stellaops-bench-") as name:
        directory = Path(name)
        if "no-op" in parts or "first-up" in parts:
            measure.imports(results, rounds)
            measure.no_op(results, directory, rounds, say)
        if "first-up" in parts:
            measure.first_up(results, directory, rounds, say)
        if "growth" in parts:
            measure.growth(results, directory, factors, saved, say)
    return results


def _machine() -> str:
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False).stdout
    load = os.getloadavg()[0]
    return (
        f"{os.cpu_count()} processors, {platform.system()} {platform.machine()}, Python {platform.python_version()}, "
        f"load {load:.1f}, commit {commit.strip() or 'unknown'}. The columns in s are processor seconds of the engine, of the "
        f"program with its language host, of the plugins, and of other processes that the language host starts. Peak "
        f"memory is that of all processes together."
    )
