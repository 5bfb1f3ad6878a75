"""A difference between a store and the mapping."""

from dataclasses import dataclass

BY_UP = ""


@dataclass(frozen=True, order=True)
class Difference:
    """``sentence`` says what differs and where. ``remedy`` is the statement or command that corrects it as it is printed, or
    ``BY_UP`` if a run with ``--refresh`` does."""

    sentence: str
    remedy: str = BY_UP

    def __str__(self) -> str:
        return f"{self.sentence}; run: {self.remedy}" if self.remedy else self.sentence
