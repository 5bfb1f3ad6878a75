"""``make bench``: measure the stack's speed as ratios within one run; print tables and draw a plot."""

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
    """Run the benchmark and return the exit code."""
    parser = argparse.ArgumentParser(prog="make bench ARGS=...", description="Measure the stack's speed.")
    parser.add_argument("--part", choices=PARTS, action="append", help="measure this part only; may be repeated")
    parser.add_argument(
        "--rounds", type=int, default=5, help="runs of each command; the tables show medians (default 5)"
    )
    parser.add_argument(
        "--factors", default="1,4,10", help="sizes of the growth part, as multiples of the shipped modules (default 1,4,10;"
        " 40 takes about 10 minutes more)",
    )  # fmt: skip
    parser.add_argument(
        "--saved", type=int, default=4, help="largest factor for a first up that writes state after each resource; its time"
        " grows with the square of the number of resources (default 4)",
    )  # fmt: skip
    parser.add_argument("--write", action="store_true", help="write docs/bench.md and docs/bench.svg")
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
    print(f"wrote {target / 'bench.md'} and {target / 'bench.svg'}")
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
        f"load {load:.1f}, commit {commit.strip() or 'unknown'}. The columns in s are processor seconds of the engine, of the "
        f"program with its language host, of the plugins, and of other processes that the language host starts. Peak "
        f"memory is that of all processes together."
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
