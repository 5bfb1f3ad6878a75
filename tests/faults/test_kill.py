"""``pulumi up`` killed with -9 at five points: each next ``make up`` goes on, and the last one converges."""

import re
import subprocess
import sys
from collections.abc import Iterator

import psutil
import pytest

from tests.stack import LocalStack, temporary_stack
from tests.watchdog import Watchdog

# After so many created resources: group roles, logins, migrations, grants, streams.
POINTS = (5, 25, 40, 60, 60)
FINISHED = re.compile(r"\b(created|updated)\b")


@pytest.fixture
def stack(tmp_path_factory: pytest.TempPathFactory, watchdog: Watchdog) -> Iterator[LocalStack]:
    with temporary_stack(tmp_path_factory.mktemp("killed"), watchdog) as stack:
        yield stack


def kill_after(stack: LocalStack, finished: int) -> bool:
    """Start ``make up`` and kill the engine and its plugins after ``finished`` resources; False if it ended before."""
    process = subprocess.Popen(
        [sys.executable, "-m", "local", "up"], env=stack.environment, cwd=stack.project, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    seen = 0
    killed = False
    with process:
        assert process.stdout is not None
        for line in process.stdout:
            seen += bool(FINISHED.search(line))
            if seen >= finished and not killed:
                killed = True
                _kill_engine(process.pid)
    return killed


def _kill_engine(pid: int) -> None:
    for child in psutil.Process(pid).children(recursive=True):
        if child.name().startswith(("pulumi", "pulumi-")):
            for process in [child, *child.children(recursive=True)]:
                try:
                    process.kill()
                except psutil.NoSuchProcess:
                    continue
            return


@pytest.mark.xdist_group("killed")
def test_up_converges_after_the_engine_was_killed_at_five_points(stack: LocalStack) -> None:
    killed = [kill_after(stack, point) for point in POINTS]
    assert sum(killed) >= 4, f"the engine must have been killed while it worked, or this shows nothing: {killed}"
    up = stack.run("up")
    assert up.returncode == 0, f"a killed run must need no manual step:\n{up.stdout}\n{up.stderr}"
    preview = stack.run("preview", "--expect-no-changes")
    assert preview.returncode == 0, f"up left something undone:\n{preview.stdout}"
