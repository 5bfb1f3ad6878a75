"""A line that shows how far a long listing is."""

import sys

REPORT_EVERY = 100_000


class ProgressLine:
    """Print the number of listed ``things`` on standard error: in one line on a terminal, else in a line per 100,000."""

    def __init__(self, bucket: str, things: str) -> None:
        self._bucket = bucket
        self._things = things
        self._last = 0
        self._live = sys.stderr.isatty()
        self._shown = False

    def __call__(self, count: int) -> None:
        if self._live:
            print(f"\r{self._bucket}: {count:,} {self._things}", end="", file=sys.stderr, flush=True)
            self._shown = True
        elif count // REPORT_EVERY > self._last // REPORT_EVERY:
            print(f"{self._bucket}: {count:,} {self._things} so far", file=sys.stderr, flush=True)
        self._last = count

    def clear(self) -> None:
        """Erase the progress line before a line of the result."""
        if self._shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
            self._shown = False
