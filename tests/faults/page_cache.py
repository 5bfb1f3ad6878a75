"""Count the pages of a file that are only in memory: a power loss would lose them."""

import ctypes
import errno
import os
from pathlib import Path

import pytest

CACHESTAT = 451  # the same number on every architecture; Linux 6.5 and later


def unsynced_pages(path: Path) -> int:
    """Return the number of written pages that are not on disk yet. Skips the test if the kernel cannot report it."""
    library = ctypes.CDLL(None, use_errno=True)
    whole = (ctypes.c_uint64 * 2)(0, 0)
    # cached, dirty, being written, evicted, recently evicted
    found = (ctypes.c_uint64 * 5)()
    descriptor = os.open(path, os.O_RDONLY)
    try:
        failed = library.syscall(CACHESTAT, descriptor, ctypes.byref(whole), ctypes.byref(found), 0)
    finally:
        os.close(descriptor)
    if failed:
        code = ctypes.get_errno()
        if code in (errno.ENOSYS, errno.EPERM, errno.EOPNOTSUPP):
            pytest.skip(f"cachestat: {os.strerror(code)}; Linux 6.5 and a file system on a disk can tell")
        raise OSError(code, os.strerror(code))
    return int(found[1] + found[2])
