"""File locks that the kernel releases when their holder dies."""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


class Busy(Exception):  # noqa: N818 - a state, not a failure
    """Somebody else holds the lock; ``pid`` is who, as far as known."""

    def __init__(self, pid: str) -> None:
        super().__init__(pid)
        self.pid = pid


@contextmanager
def lock(path: Path, waiting: Callable[[str], None] | None = None) -> Iterator[None]:
    """Hold ``path`` exclusively. If it is held elsewhere: raise ``Busy``, or tell ``waiting`` the pid and wait."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = os.pread(descriptor, 20, 0).decode().strip() or "unknown"
            if waiting is None:
                raise Busy(pid) from None
            waiting(pid)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(descriptor)
