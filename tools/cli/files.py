"""Parse file names on the command line, relative to the user's current directory."""

import os
from pathlib import Path

from tools.local.paths import ROOT


def user_path(text: str) -> Path:
    """Return a path that stays valid after a change to the project directory: relative below it, otherwise absolute."""
    path = Path(os.path.abspath(text))  # noqa: PTH100 - keep symbolic links
    return path.relative_to(ROOT) if path.is_relative_to(ROOT) else path


def test_argument(text: str) -> str:
    """Convert the path in a pytest argument (``PATH`` or ``FILE::TEST``); return other arguments unchanged."""
    path, separator, test = text.partition("::")
    is_path = not text.startswith("-") and Path(path).exists()
    return f"{user_path(path)}{separator}{test}" if is_path else text


def path_or_stdin(text: str) -> str:
    """Parse a file name, or ``-`` for standard input."""
    return text if text == "-" else str(user_path(text))
