"""Compare globs: ``*`` matches any text, also with slashes."""

from collections.abc import Callable

Step = tuple[int, int]


def globs_overlap(first: str, second: str, one: str = "") -> bool:
    """Whether some text matches both globs. ``one`` is the special character that matches one character, if there is one."""
    # Most pairs already differ before the first special character.
    first_literal, second_literal = _literal(first, one), _literal(second, one)
    if not (first_literal.startswith(second_literal) or second_literal.startswith(first_literal)):
        return False

    def steps(left: int, right: int) -> list[Step]:
        found = []
        if "*" in (first[left : left + 1], second[right : right + 1]):
            found += [(left + 1, right), (left, right + 1)]
        if left < len(first) and right < len(second):
            characters = first[left], second[right]
            if characters[0] == characters[1] or (one and one in characters):
                found.append((left + 1, right + 1))
        return found

    return reaches_end(first, second, steps)


def _literal(glob: str, one: str) -> str:
    """The text before the first special character."""
    literal = glob.partition("*")[0]
    return literal.partition(one)[0] if one else literal


def reaches_end(first: str, second: str, steps: Callable[[int, int], list[Step]]) -> bool:
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
