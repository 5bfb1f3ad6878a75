"""Progress on a stream that its reader has left, and colours."""

import io
import threading
import time

import pytest

from tools.local import console as module
from tools.local.console import Console


class Left(io.StringIO):
    """A pipe without a reader."""

    def write(self, _text: str) -> int:
        raise BrokenPipeError


def test_a_reader_that_leaves_during_a_step_ends_the_command_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.stdout", Left())
    monkeypatch.setattr(module, "TICK_SECONDS", 0.01)
    failures: list[object] = []
    monkeypatch.setattr(threading, "excepthook", failures.append)
    console = Console()
    with console.step("build") as step:
        step.update("building")
        time.sleep(0.1)
    assert failures == [], "the progress thread would print a traceback"
    with pytest.raises(BrokenPipeError):
        console.say("the end")


@pytest.mark.parametrize(
    ("terminal", "no_color", "coloured"), [(True, "", True), (True, "1", False), (False, "", False)]
)
def test_colours_are_for_terminals_whose_user_wants_them(
    terminal: bool, no_color: str, coloured: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: terminal)
    monkeypatch.setattr("sys.stdout", stream)
    monkeypatch.setenv("NO_COLOR", no_color)
    monkeypatch.setenv("TERM", "xterm")
    assert ("\033[" in Console().paint("red", "x")) == coloured
