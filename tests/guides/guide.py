"""Parse a guide as a reader follows it: shell blocks, edits as diffs, and expected output.

- A ``sh`` block is run. ``<!-- fails -->`` on the line before means that it must fail, ``<!-- not run: REASON -->`` that
  a test cannot run it.
- A ``text`` block after it is its output: each of its lines must appear; ``...`` matches anything.
- A ``diff`` block whose first line is ``--- FILE`` edits that file; ``@@`` separates places.
"""

import re
from dataclasses import dataclass
from pathlib import Path

_FENCE = re.compile(r"(?:<!-- (?P<note>[^>]+) -->\n)?```(?P<kind>\w*)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A fenced block. ``kind`` is sh, text, diff or another language; ``note`` is the comment before the fence."""

    kind: str
    text: str
    line: int
    note: str


def blocks(path: Path) -> list[Block]:
    """Return all fenced blocks of a guide in order."""
    source = path.read_text(encoding="utf-8")
    return [
        Block(match["kind"], match["text"], source.count("\n", 0, match.start("text")) + 1, match["note"] or "")
        for match in _FENCE.finditer(source)
    ]


def edit(project: Path, diff: str) -> None:
    """Apply a diff. Fails if a place is not found, or is found twice."""
    head, _, body = diff.partition("\n")
    file = project / head.removeprefix("--- ").strip()
    text = file.read_text(encoding="utf-8")
    for hunk in re.split(r"^@@.*\n", body, flags=re.MULTILINE):
        lines = hunk.splitlines()
        old, new = ("".join(f"{line[1:]}\n" for line in lines if line[:1] != other) for other in ("+", "-"))
        count = text.count(old)
        assert count == 1, f"a reader finds this {count} times in {file.name}:\n{old}"
        text = text.replace(old, new)
    file.write_text(text, encoding="utf-8")


def missing(shown: str, output: str) -> list[str]:
    """Return the lines of ``shown`` that match no line of ``output``; several spaces count as one."""
    found = [" ".join(line.split()) for line in output.splitlines()]
    wanted = [" ".join(line.split()) for line in shown.splitlines() if line.strip()]
    return [line for line in wanted if not any(_pattern(line).search(other) for other in found)]


def _pattern(line: str) -> re.Pattern[str]:
    return re.compile(".*".join(re.escape(part.strip()) for part in line.split("...")))
