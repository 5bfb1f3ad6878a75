"""Full and read-only file systems for a test. Only root may mount; other users get none.

Alternatives do not simulate these faults: a limit on file sizes (RLIMIT_FSIZE) causes a different error than a full
disk, /dev/full is a file and not a directory, and permissions of a directory do not apply to root.
"""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MIB = 2**20
# The first files of the servers, plus the free space that MinIO requires before it writes.
SIZE_MIB = 400
MARK = ".of-a-test"


@contextmanager
def mounted(directory: Path) -> Iterator[bool]:
    """Return whether a file system in memory is mounted there."""
    directory.mkdir()
    done = _command("mount", "-t", "tmpfs", "-o", f"size={SIZE_MIB}m,mode=0755", "tmpfs", str(directory))
    if done:
        (directory / MARK).touch()
    try:
        yield done
    finally:
        unmount(directory)


def unmount(directory: Path) -> None:
    """Unmount it if a test mounted it."""
    if os.path.ismount(directory) and (directory / MARK).exists():
        _command("umount", "--lazy", str(directory))


@contextmanager
def full(directory: Path) -> Iterator[None]:
    """Fill the file system completely until the end of the block."""
    filler = directory / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (MIB, 4096):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue
    try:
        yield
    finally:
        filler.unlink()


@contextmanager
def read_only(directory: Path) -> Iterator[None]:
    """Make a directory below a mounted one read-only until the end of the block; open files stay writable."""
    assert _command("mount", "--bind", str(directory), str(directory))
    try:
        assert _command("mount", "-o", "remount,bind,ro", str(directory))
        yield
    finally:
        _command("umount", "--lazy", str(directory))


def _command(*words: str) -> bool:
    try:
        return subprocess.run(words, capture_output=True, check=False).returncode == 0
    except OSError:
        return False
