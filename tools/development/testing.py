"""``test``: pytest on several workers, after what the tests need was built with progress."""

import os
from collections.abc import Sequence

from tools.development import coverage, programs
from tools.local import environment
from tools.local.console import console
from tools.local.engine import tools
from tools.local.paths import ROOT

WORKERS = 4  # each may start servers of its own


def run(arguments: Sequence[str]) -> int:
    """Run pytest with ``arguments``; its exit code."""
    environment.scrub()
    tools.engine(console)
    tools.object_store_program(console)
    if _needs_api_server(arguments):
        tools.api_server(console)
        tools.kubernetes_plugin(console)
    chosen = any(part.startswith(("-n", "--pdb")) for part in arguments)
    workers = [] if chosen else ["-n", str(max(2, min(WORKERS, os.cpu_count() or 1)))]
    measured = coverage.options(arguments)
    os.environ.update(coverage.settings())
    code = programs.run("python", "-m", "pytest", *measured, *workers, *arguments)
    if measured:
        console.say(coverage.summary())
    return code


def _needs_api_server(arguments: Sequence[str]) -> bool:
    """Whether tests of the Kubernetes deployment are among those that were named; without names, all tests are."""
    paths = [part for part in arguments if (ROOT / part.partition("::")[0]).exists()]
    return not paths or any("kubernetes" in part or part.rstrip("/") == "tests" for part in paths)
