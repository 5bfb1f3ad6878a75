"""Fixtures for two stacks with small mappings that the fault tests share; each test must leave them intact."""

import subprocess
from collections.abc import Iterator

import pytest

from tests.faults import disks, reserved, small, stores
from tests.support.stack import LocalStack
from tests.support.watchdog import Watchdog

SHARED = "small_stack"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if SHARED in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.xdist_group(SHARED))


class SmallStack(LocalStack):
    """A stack with a small mapping, and a change of it that affects every store."""

    _changed = False

    def change(self) -> None:
        """Edit the mapping, so that the next ``up`` has something to do in each store."""
        self._changed = not self._changed
        small.write(self.project, small.second() if self._changed else small.first())

    def whole(self) -> str:
        """Run ``make up`` and return its output; assert that it needs no manual step and that every password works."""
        shown = self.must("up")
        assert not stores.refused_logins(self), f"passwords in the outputs are stale:\n{shown}"
        return shown

    def at_rest(self) -> None:
        """Assert that ``up`` left nothing to change."""
        preview = self.run("preview", "--expect-no-changes")
        assert preview.returncode == 0, f"up left something undone:\n{preview.stdout}"


def clear(result: "subprocess.CompletedProcess[str]") -> str:
    """Return the output of a failed command; assert that it has no traceback and one line with the remedy."""
    said = result.stdout + result.stderr
    assert result.returncode not in (0, 130), f"it must fail:\n{said}"
    assert "Traceback" not in said and "panic:" not in said, said
    errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, f"one line that says what to do, not {len(errors)}:\n{said}"
    return said


@pytest.fixture(scope="session")
def small_stack(tmp_path_factory: pytest.TempPathFactory, watchdog: Watchdog) -> Iterator[SmallStack]:
    """The stack after ``make up``. Its state directory is on a separate file system if we may mount one."""
    directory = tmp_path_factory.mktemp("small-stack")
    project = small.project(directory / "project")
    disk = directory / "disk"
    with disks.mounted(disk):
        watchdog.watch(disk / "state")
        stack = SmallStack(disk / "state", project)
        try:
            stack.must("up")
            yield stack
        finally:
            if stack.shares_object_store:
                stack.run("destroy", "--yes")
            stack.run("clean", "--yes")


@pytest.fixture(scope="session")
def reserved_stack(watchdog: Watchdog) -> Iterator[reserved.Reserved]:
    """Tests must leave it unchanged. Put them into the xdist group ``reserved words``."""
    with reserved.reserved_stack(watchdog) as made:
        yield made
