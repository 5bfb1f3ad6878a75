"""Disk space reserved for the engine's state, for a disk that fills up during a run.

On a full disk the engine truncates its state file, then retries for half a minute. Deleting a
reserved file as soon as the disk is full leaves enough space to write the whole state.
"""

import os
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

MINIMUM_BYTES = 16 * 2**20
FULL_BELOW_BYTES = 2**20
STATE_COPIES = 8  # the engine also writes temporary files, a backup and the history
POLL_SECONDS = 0.1


class DiskReserve:
    """A context manager that holds the reserve. When the disk is full, it frees the reserve and calls ``on_full`` once.

    ``released`` is then true. Entering raises ``OSError`` if the disk has no space for the reserve.
    """

    def __init__(self, directory: Path, checkpoint: Path, on_full: Callable[[], None]) -> None:
        size = checkpoint.stat().st_size if checkpoint.exists() else 0
        self._size = max(MINIMUM_BYTES, STATE_COPIES * size)
        self._file = directory / "disk-reserve"
        self._on_full = on_full
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.released = False

    def __enter__(self) -> Self:
        try:
            self._allocate()
        except OSError as error:
            self._file.unlink(missing_ok=True)
            # posix_fallocate's error does not name the file.
            raise OSError(error.errno, error.strerror, str(self._file.parent)) from None
        self._thread.start()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()
        self._file.unlink(missing_ok=True)

    def _allocate(self) -> None:
        with self._file.open("wb") as file:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, self._size)
            else:
                file.write(bytes(self._size))

    def _watch(self) -> None:
        while not self._ended.wait(POLL_SECONDS):
            disk = os.statvfs(self._file.parent)
            if disk.f_bavail * disk.f_frsize < FULL_BELOW_BYTES:
                self._file.unlink(missing_ok=True)
                self.released = True
                self._on_full()
                return
