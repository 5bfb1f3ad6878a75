"""File locks that the kernel releases when their holder dies. The one lock helper of all tools.

Not ``filelock``: the virtual environment is installed under this lock, so only the standard library is available; and
its locks do not record the holder's pid, which the messages name.
"""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


class Busy(Exception):  # noqa: N818 - a state, not a failure
    """Another process holds the lock; ``pid`` is that process, ``unknown`` when it has not recorded itself."""

    def __init__(self, pid: str) -> None:
        super().__init__(pid)
        self.pid = pid


@contextmanager
def lock(path: Path, waiting: Callable[[str], None] | None = None) -> Iterator[None]:
    """Hold an exclusive lock on ``path``, a file that is created if missing and never deleted.

    When another process holds it: without ``waiting`` raises ``Busy``; else calls ``waiting`` with its pid and waits.
    """
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
