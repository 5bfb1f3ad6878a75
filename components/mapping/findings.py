"""Findings of cross-checks, and the comparison of globs, which the checks of several stores use."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """An error at ``path``. The loader appends the name in ``known`` that is most similar to ``wrong``."""

    path: tuple[str | int, ...]
    message: str
    wrong: str | None = None
    known: tuple[str, ...] = ()


def globs_overlap(first: str, second: str) -> bool:
    """Whether some text matches both globs. ``*`` is the only special character."""
    # Most pairs already differ before the first star.
    first_literal, second_literal = first.partition("*")[0], second.partition("*")[0]
    if not (first_literal.startswith(second_literal) or second_literal.startswith(first_literal)):
        return False
    reachable = {(0, 0)}
    pending = [(0, 0)]
    while pending:
        left, right = pending.pop()
        steps = []
        if left < len(first) and first[left] == "*":
            steps += [(left + 1, right)] + ([(left, right + 1)] if right < len(second) else [])
        if right < len(second) and second[right] == "*":
            steps += [(left, right + 1)] + ([(left + 1, right)] if left < len(first) else [])
        if left < len(first) and right < len(second) and first[left] == second[right]:
            steps.append((left + 1, right + 1))
        for step in steps:
            if step not in reachable:
                reachable.add(step)
                pending.append(step)
    return (len(first), len(second)) in reachable
