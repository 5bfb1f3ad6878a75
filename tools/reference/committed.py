"""Files that are generated and committed: written by one command, which with ``--check`` reports those that are stale."""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path


def update(files: Mapping[str, Callable[[], str]], command: str, *, check: bool) -> int:
    """Write the files that are not current. With ``check``, write nothing and return 1 if there are any.

    ``files`` maps the path of each file to the function that returns its text; ``command`` is the one that writes them.
    """
    stale = 0
    for name, generate in files.items():
        path = Path(name)
        text = generate()
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        stale += 1
        if check:
            print(f"{name} is not current; run: {command}", file=sys.stderr)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            print(f"wrote {name}")
    return 1 if stale and check else 0


def checks(command: str, description: str | None, arguments: Sequence[str] | None) -> bool:
    """Whether the command line has ``--check``."""
    parser = argparse.ArgumentParser(prog=command, description=description)
    parser.add_argument("--check", action="store_true", help="write nothing; fail when a file is not current")
    return bool(parser.parse_args(arguments).check)
