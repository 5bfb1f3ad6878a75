"""File systems of a test's own: full and read-only ones. Only root may mount; for others there is none.

Other ways were no real ones: a limit on the size of files (RLIMIT_FSIZE) is another error than a full disk, /dev/full
is a file and no directory, and root does not heed a directory's permissions.
"""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MIB = 2**20
# A server's first files, with what MinIO wants to be free before it writes.
SIZE_MIB = 400
MARK = ".of-a-test"


@contextmanager
def mounted(directory: Path) -> Iterator[bool]:
    """Whether a file system in memory is mounted there."""
    directory.mkdir()
    done = _command("mount", "-t", "tmpfs", "-o", f"size={SIZE_MIB}m,mode=0755", "tmpfs", str(directory))
    if done:
        (directory / MARK).touch()
    try:
        yield done
    finally:
        unmount(directory)


def unmount(directory: Path) -> None:
    """If it is one of ours."""
    if os.path.ismount(directory) and (directory / MARK).exists():
        _command("umount", "--lazy", str(directory))


@contextmanager
def full(directory: Path) -> Iterator[None]:
    """Not one byte is left, until the end of the block."""
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
    """A directory below a mounted one, until the end of the block; files that are open for writing stay so."""
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
