"""A finding of ``drift``."""

from dataclasses import dataclass

from provider.difference import Difference


@dataclass(frozen=True, order=True)
class DriftFinding:
    """A difference between a store and the mapping. ``store`` is postgres, valkey or rustfs."""

    store: str
    difference: Difference

    @property
    def sentence(self) -> str:
        """What differs and where, like ``role policy may UPDATE vex.vex_raw: not in the mapping``."""
        return self.difference.sentence

    def remedy(self, up: str) -> str:
        """Return the command or statement that corrects it; ``up`` is the command that applies the mapping again."""
        return self.difference.remedy or up
