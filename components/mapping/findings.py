"""What a cross-check finds, and what checks of several stores need."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """Something wrong at ``path``; with ``wrong`` and ``known`` the loader adds the nearest valid name."""

    path: tuple[str | int, ...]
    message: str
    wrong: str | None = None
    known: tuple[str, ...] = ()


def globs_overlap(first: str, second: str) -> bool:
    """Whether some text matches both globs, of which ``*`` is the only special character."""
    # Nearly all pairs differ before the first star.
    plain, other = first.partition("*")[0], second.partition("*")[0]
    if not (plain.startswith(other) or other.startswith(plain)):
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
