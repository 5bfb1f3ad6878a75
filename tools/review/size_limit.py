"""Blocks of a comment put together so that they fit, whole ones left out where they do not."""

from collections.abc import Callable
from dataclasses import dataclass

from tools.review.risk import Risk

LIMIT = 65_536  # characters that GitHub takes
NOTE_ROOM = 300  # for the line that says how much is left out, with an address in it

FIXED, SENTENCES, DETAILS = 2, 1, 0


@dataclass
class CommentBlock:
    """Part of the comment. ``kind`` and ``risk`` say what is left out first; ``short`` replaces a fixed one that is
    too long for the whole comment."""

    text: str
    kind: int = FIXED
    risk: Risk = Risk.NONE
    short: str = ""


def fit_to_limit(blocks: list[CommentBlock], ending: str, report: str, limit: int) -> str:
    """Blocks joined, whole ones left out until everything fits."""
    left_out = 0

    def joined() -> str:
        where = report or "the report"
        note = f"_{left_out} blocks are left out here to stay within the limit; everything is in {where}._"
        foot = [] if left_out or not report else [f"_Everything, for machines: {report}._"]
        return "\n\n".join([*(item.text for item in blocks), *([note] if left_out else foot), ending]) + "\n"

    candidates = sorted(
        (item for item in blocks if item.kind != FIXED), key=lambda item: (item.kind, item.risk, -len(item.text))
    )
    excess = size(joined()) - limit
    gone: set[int] = set()
    for item in candidates:
        if excess <= 0:
            break
        if not gone:
            excess += NOTE_ROOM
        gone.add(id(item))
        excess -= size(item.text) + len("\n\n")
    blocks, left_out = [item for item in blocks if id(item) not in gone], len(gone)
    if size(joined()) > limit:
        left_out += 1
        _shorten(blocks, lambda: size(joined()) - limit)
    return joined()


def _shorten(blocks: list[CommentBlock], excess: Callable[[], int]) -> None:
    """Only what must be said is left, and is too long: names instead of sentences, then the other fixed blocks by
    their first lines. Names of what is destroyed are kept to the last line that fits."""
    for item in blocks:
        if item.short:
            item.text = item.short
    for item in sorted(blocks[1:], key=lambda item: (item.risk, -len(item.text))):
        over = excess() + 200
        if over <= 200:
            return
        lines = item.text.split("\n")
        while len(lines) > 1 and over > 0:
            over -= size(lines.pop()) + 1
        fence = _open_fence(lines)
        item.text = "\n".join(
            [
                *lines,
                *([fence] if fence else []),
                "> and more: see the report" if item.short else "and more: see the report",
            ]
        )


def _open_fence(lines: list[str]) -> str:
    """The fence that is still open at the end of ``lines``."""
    fence = ""
    for line in lines:
        if line.startswith("```"):
            ticks = line[: len(line) - len(line.lstrip("`"))]
            fence = "" if fence == ticks else fence or ticks
    return fence


def size(text: str) -> int:
    """Length as GitHub may count it: characters beyond the first plane as two."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2
