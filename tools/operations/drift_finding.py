"""What ``drift`` finds."""

from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class DriftFinding:
    """``store`` is postgres, valkey or rustfs; ``sentence`` says what differs from the mapping, like
    ``role policy may UPDATE vex.vex_raw: not in the mapping``."""

    store: str
    sentence: str
