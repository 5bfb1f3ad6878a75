"""``lint`` and ``format``: every check runs, also after one failed, so that all findings are seen at once."""

import sys
from collections.abc import Sequence

from tools.development import programs
from tools.local.errors import UserError

LINT = (
    ("ruff", "check"),
    ("ruff", "format", "--check"),
    ("mypy",),
    ("lint-imports", "--no-logo"),
    ("zizmor", "--offline", "--quiet", "--no-progress", ".github"),
    ("python", "-m", "tools", "check-mapping"),
    ("python", "-m", "tools", "check-migrations"),
    ("python", "-m", "tools", "schemas", "--check"),
    ("python", "-m", "tools", "docs", "--check"),
)
FORMAT = (
    ("ruff", "check", "--fix"),
    ("ruff", "format"),
)


def lint() -> int:
    """Change nothing. Raises ``UserError`` with the checks that failed."""
    return _each(LINT)


def rewrite() -> int:
    """Correct what can be corrected automatically. Raises ``UserError`` with the programs that failed."""
    return _each(FORMAT)


def _each(commands: Sequence[Sequence[str]]) -> int:
    failed = []
    for number, command in enumerate(commands, 1):
        shown = " ".join(command)
        if sys.stderr.isatty():
            print(f"[{number}/{len(commands)}] {shown}", file=sys.stderr)
        if programs.run(*command):
            failed.append(shown)
    if failed:
        raise UserError(f"{', '.join(failed)} failed, see above", "make format corrects style")
    return 0
