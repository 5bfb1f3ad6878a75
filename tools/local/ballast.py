"""Room for the engine's state on a disk that fills up while it works.

On a full disk the engine replaces its state by the part that it could write, and tries again for half a minute. With
some room by then the state is whole again: it is kept free by a file that goes when nothing else is left.
"""

import os
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

LEAST_BYTES = 16 * 2**20
LOW_BYTES = 2**20
COPIES = 8  # of the state: aside, as a backup, in the history
POLL_SECONDS = 0.1


class Ballast:
    """``with Ballast(...)``: ``low`` is called once when the disk is full; then ``released`` is true.

    Entering raises ``OSError`` when there is not that much room.
    """

    def __init__(self, directory: Path, checkpoint: Path, low: Callable[[], None]) -> None:
        size = checkpoint.stat().st_size if checkpoint.exists() else 0
        self._size = max(LEAST_BYTES, COPIES * size)
        self._file = directory / "ballast"
        self._low = low
        self._over = threading.Event()
        self._watch = threading.Thread(target=self._look, daemon=True)
        self.released = False

    def __enter__(self) -> Self:
        try:
            self._fill()
        except OSError as error:
            self._file.unlink(missing_ok=True)
            # The call names no file.
            raise OSError(error.errno, error.strerror, str(self._file.parent)) from None
        self._watch.start()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._over.set()
        self._watch.join()
        self._file.unlink(missing_ok=True)

    def _fill(self) -> None:
        with self._file.open("wb") as file:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, self._size)
            else:
                file.write(bytes(self._size))

    def _look(self) -> None:
        while not self._over.wait(POLL_SECONDS):
            disk = os.statvfs(self._file.parent)
            if disk.f_bavail * disk.f_frsize < LOW_BYTES:
                self._file.unlink(missing_ok=True)
                self.released = True
                self._low()
                return
