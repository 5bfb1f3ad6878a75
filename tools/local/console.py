"""Progress on the user's terminal: one line per step with its duration, and a live line during the step.

Standard library only: it also runs before the virtual environment exists.
"""

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

NAME_WIDTH = 16
TICK_SECONDS = 0.5
QUIET_TICK_SECONDS = 30.0  # if the output is not a terminal
MINUTE = 60
SHOWN_FROM_SECONDS = 0.1
_CODES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33"}


def elapsed(seconds: float) -> str:
    """``3.2 s`` or ``2 min 05 s``."""
    if seconds < MINUTE:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), MINUTE)
    return f"{minutes} min {rest:02d} s"


class Step:
    """One line of progress: ``update`` sets the text during the step, ``done`` the result."""

    def __init__(self, console: "Console", name: str) -> None:
        self._console = console
        self._name = name
        self._text = ""
        self._result: str | None = None
        self._started = time.monotonic()
        self._ended = threading.Event()
        self._ticker = threading.Thread(target=self._tick, daemon=True)
        self._ticker.start()

    def update(self, text: str) -> None:
        """Set the text of the live line."""
        self._text = text

    def done(self, text: str) -> None:
        """Set the result, shown when the step ends."""
        self._result = text

    def close(self, *, failed: bool) -> None:
        """Print the result; called by ``Console.step``."""
        self._ended.set()
        self._ticker.join()
        self._console.clear()
        duration = time.monotonic() - self._started
        if failed:
            self._console.line(self._name, self._console.paint("red", f"failed after {elapsed(duration)}"))
        elif self._result is not None:
            suffix = f"  {self._console.paint('dim', elapsed(duration))}" if duration >= SHOWN_FROM_SECONDS else ""
            self._console.line(self._name, self._result + suffix)

    def _tick(self) -> None:
        pause = TICK_SECONDS
        while not self._ended.wait(pause):
            duration = time.monotonic() - self._started
            if not self._text:
                continue
            if self._console.terminal:
                self._console.live(self._name, f"{self._text}, {elapsed(duration)}")
                continue
            try:
                self._console.line(
                    self._name, f"{self._text} ..." if pause == TICK_SECONDS else f"{self._text}, {elapsed(duration)}"
                )
            except BrokenPipeError:
                return  # the reader closed the pipe; the main thread fails on its next line and ends the command
            pause = QUIET_TICK_SECONDS


class Console:
    """Writes lines to a stream. Uses colours and live lines only on a terminal, and honours NO_COLOR."""

    def __init__(self) -> None:
        self.use(errors=False)

    def use(self, *, errors: bool) -> None:
        """Write to standard output, or with ``errors`` to standard error, if a program reads standard output."""
        self._stream = sys.stderr if errors else sys.stdout
        self.terminal = self._stream.isatty() and os.environ.get("TERM") != "dumb"
        self.coloured = self.terminal and not os.environ.get("NO_COLOR")

    def paint(self, colour: str, text: str) -> str:
        """``text`` in a colour, if the stream shows colours."""
        return f"\033[{_CODES[colour]}m{text}\033[0m" if self.coloured else text

    def say(self, text: str = "") -> None:
        """Print a line."""
        self.clear()
        self._stream.write(text + "\n")
        self._stream.flush()

    def line(self, name: str, text: str) -> None:
        """Print a line of progress."""
        self.say(f"  {name:<{NAME_WIDTH - 1}} {text}")

    def live(self, name: str, text: str) -> None:
        """Overwrite the current line of a terminal."""
        try:
            width = os.get_terminal_size(self._stream.fileno()).columns or 80
        except OSError:
            width = 80
        self._stream.write("\r\033[K" + f"  {name:<{NAME_WIDTH - 1}} {text}"[: width - 1])
        self._stream.flush()

    def clear(self) -> None:
        """Remove a live line."""
        if self.terminal:
            self._stream.write("\r\033[K")

    @contextmanager
    def step(self, name: str) -> Iterator[Step]:
        """Show a step's progress, and its result if ``done`` was called or it failed."""
        step = Step(self, name)
        failed = True
        try:
            yield step
            failed = False
        finally:
            step.close(failed=failed)


console = Console()
