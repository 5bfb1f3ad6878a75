"""``make bench``: how fast the stack is, as ratios within one run; prints a table and draws a plot."""

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
    """The exit code. Raises ``UserError``."""
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
    if options.write:
        readme = ROOT / "README.md"
        readme.write_text(report.into_readme(readme.read_text(encoding="utf-8"), results), encoding="utf-8")
    print(f"table and plot are in {target}")
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
        f"load {load:.1f}, commit {commit.strip() or 'unknown'}. Processor seconds of the engine, the program with its "
        f"language host, the plugins, and what else the language host runs; peak memory of all together."
    )
