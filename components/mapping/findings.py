"""Findings of cross-checks."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """An error at ``path``. The loader appends the name in ``known`` that is most similar to ``wrong``."""

    path: tuple[str | int, ...]
    message: str
    wrong: str | None = None
    known: tuple[str, ...] = ()
