"""A line that shows how far a long operation is."""

import sys

REPORT_EVERY = 100_000


class ProgressLine:
    """Print the number of ``things`` done on standard error: in one line on a terminal, else in a line per 100,000.

    ``total`` is the number that is expected, if that is known.
    """

    def __init__(self, subject: str, things: str, total: int | None = None) -> None:
        self._subject = subject
        self._things = things if total is None else f"of about {total:,} {things}"
        self._last = 0
        self._live = sys.stderr.isatty()
        self._shown = False

    def __call__(self, count: int) -> None:
        if self._live:
            print(f"\r{self._subject}: {count:,} {self._things}", end="", file=sys.stderr, flush=True)
            self._shown = True
        elif count // REPORT_EVERY > self._last // REPORT_EVERY:
            print(f"{self._subject}: {count:,} {self._things} so far", file=sys.stderr, flush=True)
        self._last = count

    def clear(self) -> None:
        """Erase the progress line before a line of the result."""
        if self._shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
            self._shown = False
