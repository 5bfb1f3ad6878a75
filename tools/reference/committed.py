"""Write generated files that are committed, or check that they are current."""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path


def update(files: Mapping[str, Callable[[], str]], command: str, *, check: bool) -> int:
    """Write the files that are not current. With ``check``, write nothing and return 1 if there are any.

    ``files`` maps the path of each file to the function that returns its text. Messages tell the user to run ``command``.
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
