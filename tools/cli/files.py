"""File names as a user gives them: relative to the directory in which the command was called."""

import os
from pathlib import Path

from tools.local.paths import ROOT


def given(text: str) -> Path:
    """The file, however the current directory changes later: relative to the project inside of it, else absolute."""
    path = Path(os.path.abspath(text))  # noqa: PTH100 - symbolic links stay as they were given
    return path.relative_to(ROOT) if path.is_relative_to(ROOT) else path


def given_test(text: str) -> str:
    """A file of tests, or a test in one (``FILE::NAME``), as ``given``; anything else as it is."""
    place, mark, name = text.partition("::")
    is_file = not text.startswith("-") and Path(place).exists()
    return f"{given(place)}{mark}{name}" if is_file else text


def given_or_stdin(text: str) -> str:
    """The file's name, or ``-`` for standard input."""
    return text if text == "-" else str(given(text))
