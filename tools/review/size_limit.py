"""Join the blocks of a comment within GitHub's size limit, omitting whole blocks if necessary."""

from collections.abc import Callable
from dataclasses import dataclass

from tools.review.risk import Risk

LIMIT = 65_536  # characters that GitHub accepts
NOTE_ROOM = 300  # characters for the line about omitted blocks, including its URL

FIXED, SENTENCES, DETAILS = 2, 1, 0


@dataclass
class CommentBlock:
    """Part of the comment. Blocks are omitted in the order of ``kind``, then ``risk``; ``FIXED`` ones never are. If the
    fixed blocks alone exceed the limit, ``short`` replaces their text."""

    text: str
    kind: int = FIXED
    risk: Risk = Risk.NONE
    short: str = ""


def fit_to_limit(blocks: list[CommentBlock], ending: str, report: str, limit: int) -> str:
    """Join ``blocks`` and ``ending``, omitting whole blocks until the text has at most ``limit`` characters."""
    omitted = 0

    def joined() -> str:
        reference = report or "the full report"
        note = f"_{omitted} section{'' if omitted == 1 else 's'} omitted because of the size limit; for all details, see {reference}._"
        footer = [] if omitted or not report else [f"_For all details, see {report}._"]
        return "\n\n".join([*(item.text for item in blocks), *([note] if omitted else footer), ending]) + "\n"

    candidates = sorted(
        (item for item in blocks if item.kind != FIXED), key=lambda item: (item.kind, item.risk, -len(item.text))
    )
    excess = size(joined()) - limit
    omitted_ids: set[int] = set()
    for item in candidates:
        if excess <= 0:
            break
        if not omitted_ids:
            excess += NOTE_ROOM
        omitted_ids.add(id(item))
        excess -= size(item.text) + len("\n\n")
    blocks, omitted = [item for item in blocks if id(item) not in omitted_ids], len(omitted_ids)
    if size(joined()) > limit:
        omitted += 1
        _shorten(blocks, lambda: size(joined()) - limit)
    return joined()


def _shorten(blocks: list[CommentBlock], excess: Callable[[], int]) -> None:
    """Shorten fixed blocks that alone exceed the limit: names replace sentences, then last lines are cut off.

    Blocks with data loss are cut last.
    """
    for item in blocks:
        if item.short:
            item.text = item.short
    for item in sorted(blocks[1:], key=lambda item: (item.risk, -len(item.text))):
        excess_size = excess() + 200
        if excess_size <= 200:
            return
        lines = item.text.split("\n")
        while len(lines) > 1 and excess_size > 0:
            excess_size -= size(lines.pop()) + 1
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
    """Length in UTF-16 code units: GitHub may count characters outside the Basic Multilingual Plane as two."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2
