"""A full or read-only state directory causes a one-line error, and needs no manual repair."""

from contextlib import ExitStack

import pytest

from tests.faults import disks, killing
from tests.faults.conftest import SmallStack, clear


@pytest.fixture
def disk(small_stack: SmallStack) -> SmallStack:
    if not small_stack.state.parent.is_mount():
        pytest.skip("only root may mount a file system that can be full")
    small_stack.change()
    return small_stack


def test_a_disk_that_is_full_before_up_is_named_and_up_goes_on_when_there_is_room(disk: SmallStack) -> None:
    with disks.full(disk.state.parent):
        said = clear(disk.run("up"))
    assert "the disk is full" in said and "make room" in said, said
    disk.whole()


def test_a_disk_that_fills_up_during_up_is_named_and_up_goes_on_when_there_is_room(disk: SmallStack) -> None:
    filled: list[str] = []
    with ExitStack() as until_end:

        def fill(line: str) -> None:
            if not filled and killing.FINISHED.search(line):
                until_end.enter_context(disks.full(disk.state.parent))
                filled.append(line)

        said = clear(killing.watched(disk, ["up"], fill))
    assert filled, "the run ended before the disk was full"
    assert "the disk is full" in said and "make room" in said, said
    disk.whole()


def test_a_state_directory_that_cannot_be_written_is_named(disk: SmallStack) -> None:
    for directory in (disk.state, disk.state / "backend"):
        with disks.read_only(directory):
            said = clear(disk.run("up"))
        assert str(directory) in said and "read-only file system" in said.lower(), said
    disk.whole()


def test_a_state_of_which_a_part_is_left_is_taken_from_its_copy(small_stack: SmallStack) -> None:
    state = small_stack.state / "backend" / ".pulumi" / "stacks" / "stellaops-storage" / "local.json"
    state.write_text(state.read_text()[:5000])
    # An engine leaves this file if it is killed between writing its lock and renaming it.
    lock = small_stack.state / "backend/.pulumi/locks/organization/stellaops-storage/local/1f.json.18eb.tmp"
    lock.touch()
    small_stack.whole()
    assert not lock.exists()
    small_stack.at_rest()
