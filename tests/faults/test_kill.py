"""``make up`` repairs the stack without a manual step after ``up`` or ``destroy`` was killed with -9 at random moments.

``FAULTS_SEED`` repeats the moments of a failed run. By default the seed is the date, so that a failure can be repeated on
the same day, and other moments are tested the next day. ``FAULTS_MOMENTS`` is the number of moments.
"""

import itertools
import os
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.faults import killing, small, stores
from tests.support.stack import LocalStack, temporary_stack
from tests.support.watchdog import Watchdog

SEED = int(os.environ.get("FAULTS_SEED") or datetime.now(UTC).strftime("%Y%m%d"))
MOMENTS = int(os.environ.get("FAULTS_MOMENTS") or 20)
SHARE = 7  # consecutive kills of one kind of run
# The approximate number of resources of each kind of run with the small mapping.
CREATED, CHANGED, DELETED = 75, 55, 70

pytestmark = pytest.mark.xdist_group("killed")

Contents = dict[str, Any]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return small.project(tmp_path / "project")


@pytest.fixture
def undisturbed(project: Path, tmp_path: Path, watchdog: Watchdog) -> tuple[Contents, Contents]:
    """Return the content of the stores after the first mapping, and after the change to the second one."""
    with temporary_stack(tmp_path / "undisturbed", watchdog, project) as stack:
        stack.must("up")
        first = stores.contents(stack)
        small.write(project, small.second())
        stack.must("up")
        second = stores.contents(stack)
    small.write(project, small.first())
    return first, second


@pytest.fixture
def stack(project: Path, tmp_path: Path, watchdog: Watchdog) -> Iterator[LocalStack]:
    with temporary_stack(tmp_path / "killed", watchdog, project) as made:
        yield made


@pytest.fixture
def begun(stack: LocalStack) -> LocalStack:
    """Use existing servers, so that the engine writes its state after each resource and continues from it."""
    stack.must("up", "--servers-only")
    return stack


@dataclass
class Disturbed:
    """A stack whose runs are killed. ``left`` is the number of remaining kills."""

    stack: LocalStack
    chance: random.Random = field(default_factory=lambda: random.Random(SEED))
    left: int = MOMENTS
    told: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        order = list(killing.VICTIMS)
        self.chance.shuffle(order)
        self._victims = itertools.cycle(order)

    def run(self, verb: list[str], resources: int, most: int) -> bool:
        """Kill runs repeatedly, up to a maximum; return whether a run ended before it was killed."""
        for times in range(min(most, self.left), 0, -1):
            at = killing.moment(self.chance, next(self._victims), resources, times)
            killed = killing.run(self.stack, verb, at)
            self.told.append(f"{' '.join(verb)}: {at}: {'killed' if killed.in_time else 'had ended'}")
            print(self.told[-1], flush=True)
            assert "Traceback" not in killed.said, f"{self.story}\n{killed.said}"
            if not killed.in_time:
                assert killed.code == 0, f"a run after a killed one failed by itself:\n{self.story}\n{killed.said}"
                return True
            self.left -= 1
            resources -= killed.finished
        return False

    @property
    def story(self) -> str:
        return "\n".join([f"FAULTS_SEED={SEED} FAULTS_MOMENTS={MOMENTS} repeats this:", *self.told])

    def converges(self, wanted: Contents) -> None:
        """Assert that one undisturbed ``make up`` repairs everything."""
        up = self.stack.run("up")
        said = up.stdout + up.stderr
        assert up.returncode == 0, f"a killed run must need no manual step:\n{self.story}\n{said}"
        difference = stores.differences(wanted, stores.contents(self.stack))
        assert not difference, (
            f"the stores are not as an undisturbed run leaves them:\n{self.story}\n{difference}\n{said}"
        )
        refused = stores.refused_logins(self.stack)
        assert not refused, f"passwords in the outputs are stale: {refused}\n{self.story}"
        self.told.append("up: converged")


def test_up_converges_after_it_was_killed_at_random_moments_of_create_update_and_destroy(
    undisturbed: tuple[Contents, Contents], begun: LocalStack
) -> None:
    first, second = undisturbed
    stack = begun
    disturbed = Disturbed(stack)
    print(f"\nFAULTS_SEED={SEED}", flush=True)
    while disturbed.left:
        afterwards = disturbed.left - min(disturbed.left, 3 * SHARE)
        small.write(stack.project, small.first())
        disturbed.run(["up"], CREATED, SHARE)
        disturbed.converges(first)
        small.write(stack.project, small.second())
        disturbed.run(["up"], CHANGED, SHARE)
        disturbed.converges(second)
        disturbed.run(["destroy", "--yes"], DELETED, disturbed.left - afterwards)
        disturbed.converges(second)
    preview = stack.run("preview", "--expect-no-changes")
    assert preview.returncode == 0, f"up left something undone:\n{disturbed.story}\n{preview.stdout}"


def test_a_first_run_that_was_killed_begins_anew_on_new_servers(stack: LocalStack) -> None:
    killed = killing.run(stack, ["up"], killing.Moment("engine and plugins", CREATED // 2, 0.1))
    assert killed.in_time, killed.said
    shown = stack.must("up")
    assert "starting from scratch" in shown, shown
    assert not stores.refused_logins(stack), shown
    preview = stack.run("preview", "--expect-no-changes")
    assert preview.returncode == 0, preview.stdout
    assert not list(stack.state.glob("first-run")), "the next run that is killed would lose its servers' data"


def test_a_first_run_that_fails_is_gone_on_with(stack: LocalStack) -> None:
    broken = stack.project / "sql" / "scanner" / "0003_broken.sql.j2"
    broken.write_text("SELECT no_such_function();\n")
    failed = stack.run("up")
    assert failed.returncode == 1 and "no_such_function" in failed.stdout, failed
    made = int(re.findall(r"\+ (\d+) created", failed.stdout)[0])
    broken.unlink()
    shown = stack.must("up")
    assert "starting from scratch" not in shown and f"{made} unchanged" in shown, (
        "what was made would be made a second time"
    )
    assert not stores.refused_logins(stack), shown
