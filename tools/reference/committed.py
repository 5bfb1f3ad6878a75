"""Files that are committed and generated: one command writes them, with ``--check`` it reports those that are stale."""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path


def main(
    module: str, description: str | None, files: Mapping[str, Callable[[], str]], arguments: Sequence[str] | None
) -> int:
    """Exit code 0, or 1 when ``--check`` finds a file that is not current.

    ``files`` maps the path of each file to the function that returns its text.
    """
    program = f"python -m {module}"
    parser = argparse.ArgumentParser(prog=program, description=description)
    parser.add_argument("--check", action="store_true", help="write nothing; fail when a file is not current")
    check: bool = parser.parse_args(arguments).check
    stale = 0
    for name, generate in files.items():
        path = Path(name)
        text = generate()
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        stale += 1
        if check:
            print(f"{name} is not current; run: {program}", file=sys.stderr)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            print(f"wrote {name}")
    return 1 if stale and check else 0
