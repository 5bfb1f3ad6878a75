"""How much of a file is in memory alone: what a machine that loses power would lose."""

import ctypes
import errno
import os
from pathlib import Path

import pytest

CACHESTAT = 451  # the same number on every architecture; Linux 6.5 and later


def unsynced_pages(path: Path) -> int:
    """Pages that were written and are not on the disk yet. Skips the test where the kernel can't tell."""
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
