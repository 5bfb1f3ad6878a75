"""``bench``: install what only the plot needs, then measure."""

import argparse
import subprocess

from tools.local import environment
from tools.local.bootstrap import PYTHON
from tools.local.console import console
from tools.local.errors import UserError
from tools.local.paths import ROOT

PACKAGES = ROOT / "requirements" / "bench.lock"


def run(options: argparse.Namespace) -> int:
    """The exit code. Raises ``UserError``."""
    environment.scrub()
    with console.step("python") as step:
        step.update("looking for the packages that draw the plot")
        command = [
            PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
            "--require-hashes", "--requirement", PACKAGES,
        ]  # fmt: skip
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    if done.returncode:
        raise UserError("pip could not install requirements/bench.lock", "see pip's output above", done.stderr)
    from tools.bench import command as bench

    return bench.run(options)
