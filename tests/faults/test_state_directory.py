"""A state directory that is full, or that cannot be written: said in a line, and mended without a manual step."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.faults import disks, killing
from tests.faults.conftest import SmallStack, clear


@pytest.fixture
def disk(small_stack: SmallStack) -> Iterator[SmallStack]:
    if not small_stack.state.parent.is_mount():
        pytest.skip("only root may mount a file system that can be full")
    yield small_stack
    small_stack.whole()
    small_stack.at_rest()


def test_a_disk_that_is_full_before_up_is_named_and_up_goes_on_when_there_is_room(disk: SmallStack) -> None:
    disk.change()
    with disks.full(disk.state.parent):
        said = clear(disk.run("up"))
    assert "the disk is full" in said and "make room" in said, said


def test_a_disk_that_fills_up_during_up_is_named_and_up_goes_on_when_there_is_room(disk: SmallStack) -> None:
    disk.change()
    filled: list[Any] = []

    def fill(line: str) -> None:
        if not filled and killing.FINISHED.search(line):
            filler = disks.full(disk.state.parent)
            filler.__enter__()
            filled.append(filler)

    try:
        said = clear(killing.watched(disk, ["up"], fill))
    finally:
        for filler in filled:
            filler.__exit__(None, None, None)
    assert filled, "the run ended before the disk was full"
    assert "the disk is full" in said and "make room" in said, said


def test_a_state_directory_that_cannot_be_written_is_named(disk: SmallStack) -> None:
    disk.change()
    with disks.read_only(disk.state):
        said = clear(disk.run("up"))
        assert f"Read-only file system at {disk.state}" in said, said


def test_a_backend_that_cannot_be_written_is_named(disk: SmallStack) -> None:
    disk.change()
    with disks.read_only(disk.state / "backend"):
        said = clear(disk.run("up"))
    assert f"{disk.state / 'backend'}" in said and "read-only" in said.lower(), said
