"""Compare patterns of policies, in which ``*`` matches any text, also with slashes, and ``?`` one character."""

from functools import lru_cache

from components.mapping.globs import Step, globs_overlap, reaches_end


@lru_cache(maxsize=100_000)
def overlaps(first: str, second: str) -> bool:
    """Whether some text matches both patterns."""
    return globs_overlap(first, second, one="?")


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

    return reaches_end(pattern, special, steps)
