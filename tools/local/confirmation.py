"""Ask before a command removes or rewrites data."""

import sys

from tools.local.errors import UserError


def confirm(command: str, action: str, remedy: str) -> bool:
    """Whether the user agrees to ``action``. Raises ``UserError`` with ``remedy`` without a terminal."""
    if not sys.stdin.isatty():
        raise UserError(f"{command} would {action}", remedy)
    try:
        return input(f"{action}? [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        return False
