"""A finding of ``drift``."""

from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class DriftFinding:
    """A difference between a store and the mapping. ``store`` is postgres, valkey or rustfs; ``sentence`` describes it,
    like ``role policy may UPDATE vex.vex_raw: not in the mapping``."""

    store: str
    sentence: str
