"""The coverage figure of a run of all tests: how many lines of the project ran in the tests' own processes.

What tests start (the engine, pods, most commands) is not measured. A run of selected tests is not measured either: the
figure would say little, and measuring makes tests that only compute half as slow again.
"""

import subprocess
import sys
from collections.abc import Sequence

from tools.local.paths import ROOT, VENV

FAST_CORE = (3, 12)  # the first Python with sys.monitoring, which costs almost nothing
SELECTING = ("-k", "-m", "--lf", "--last-failed", "--pdb", "--collect-only", "--co", "-h", "--help")


def options(arguments: Sequence[str]) -> list[str]:
    """What pytest needs to measure a run with these arguments; nothing when they select tests."""
    chosen = any(part.startswith(SELECTING) or (ROOT / part.partition("::")[0]).exists() for part in arguments)
    return [] if chosen else ["--cov", "--cov-report="]


def settings() -> dict[str, str]:
    """The variables with which coverage uses the cheapest way to measure."""
    return {"COVERAGE_CORE": "sysmon"} if sys.version_info >= FAST_CORE else {}


def summary() -> str:
    """One line on the last measured run."""
    program = VENV / "bin" / "coverage"
    done = subprocess.run([program, "report", "--format=total"], cwd=ROOT, capture_output=True, text=True, check=False)
    total = done.stdout.strip()
    if done.returncode:
        return f"coverage: none ({total})"
    return f"coverage: {total}% of lines, without what runs in other processes; by file: .venv/bin/coverage report"
