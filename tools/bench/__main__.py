"""``make bench``: how fast the stack is, as ratios within one run; prints a table and draws a plot."""

import argparse
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

from tools.bench import measure, report
from tools.bench.processes import CommandError
from tools.local import environment
from tools.local.console import console
from tools.local.errors import UserError

ROOT = Path(__file__).parents[2]
PARTS = ("no-op", "first-up", "growth")


def main(arguments: list[str]) -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="make bench ARGS=...", description="Measure the stack's speed.")
    parser.add_argument("--part", choices=PARTS, action="append", help="measure this alone; may be repeated")
    parser.add_argument("--rounds", type=int, default=5, help="runs of each command; medians are shown (default 5)")
    parser.add_argument(
        "--factors", default="1,4,10", help="sizes of the growth part, as multiples of the shipped modules (default 1,4,10;"
        " 40 takes about 10 minutes more)",
    )  # fmt: skip
    parser.add_argument(
        "--saved", type=int, default=4, help="largest factor for a first up with checkpoints, whose time grows with the"
        " square of the resources (default 4)",
    )  # fmt: skip
    parser.add_argument("--write", action="store_true", help="write the table and the plot to docs/ and README.md")
    options = parser.parse_args(arguments)
    try:
        factors = [int(part) for part in options.factors.split(",")]
    except ValueError:
        parser.error(f"--factors {options.factors!r} is not a list of whole numbers like 1,4,10")
    if options.rounds < 1 or min(factors) < 1:
        parser.error("--rounds and --factors begin at 1")
    parts = options.part or list(PARTS)
    environment.scrub()
    os.chdir(ROOT)
    try:
        results = _measure(parts, options.rounds, factors, options.saved)
    except (CommandError, UserError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
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


def _measure(parts: list[str], rounds: int, factors: list[int], saved: int) -> measure.Results:
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


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
