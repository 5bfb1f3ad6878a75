"""Compare patterns of policies, in which ``*`` matches any text, also with slashes, and ``?`` one character."""

from collections.abc import Callable
from functools import lru_cache

Step = tuple[int, int]


@lru_cache(maxsize=100_000)
def overlaps(first: str, second: str) -> bool:
    """Whether some text matches both patterns."""

    def steps(left: int, right: int) -> list[Step]:
        found = []
        if first[left : left + 1] == "*":
            found += [(left + 1, right), (left, right + 1)]
        if second[right : right + 1] == "*":
            found += [(left, right + 1), (left + 1, right)]
        if (
            left < len(first)
            and right < len(second)
            and (first[left] == second[right] or "?" in first[left] + second[right])
        ):
            found.append((left + 1, right + 1))
        return found

    return _reaches_end(first, second, steps)


@lru_cache(maxsize=100_000)
def covers(pattern: str, special: str) -> bool:
    """Whether ``pattern`` matches every text that ``special`` matches, as far as their form shows it."""

    def steps(left: int, right: int) -> list[Step]:
        found = []
        if pattern[left : left + 1] == "*":
            found += [(left + 1, right), (left, right + 1)]
        elif (
            left < len(pattern)
            and right < len(special)
            and special[right] != "*"
            and pattern[left] in ("?", special[right])
        ):
            found.append((left + 1, right + 1))
        return found

    return _reaches_end(pattern, special, steps)


def _reaches_end(first: str, second: str, steps: Callable[[int, int], list[Step]]) -> bool:
    """Whether both texts can be consumed from their starts to their ends by ``steps``."""
    end = (len(first), len(second))
    seen = {(0, 0)}
    pending = [(0, 0)]
    while pending:
        for step in steps(*pending.pop()):
            if step not in seen and step[0] <= end[0] and step[1] <= end[1]:
                seen.add(step)
                pending.append(step)
    return end in seen
