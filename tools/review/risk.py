"""Risk classes, from the lowest to the highest."""

import re
from enum import IntEnum


class Risk(IntEnum):
    """Risk of a change, in ascending order. A stack's risk is the highest of its changes."""

    NONE = 0
    ADDITIVE = 1
    RESTART = 2
    RETENTION_SHORTENED = 3
    ACCESS_REVOKED = 4
    ACCESS_WIDENED = 5
    DATA_LOSS = 6

    @property
    def words(self) -> str:
        """The name in a sentence: ``data loss``."""
        return self.name.lower().replace("_", " ")

    @property
    def slug(self) -> str:
        """The name in a label or an option: ``data-loss``."""
        return self.name.lower().replace("_", "-")

    @staticmethod
    def parse(text: str) -> "Risk":
        """The class named ``text``, with spaces, ``-`` or ``_``. Raises ``ValueError``."""
        name = re.sub(r"[\s-]", "_", text.strip()).upper()
        try:
            return Risk[name]
        except KeyError:
            known = ", ".join(risk.slug for risk in sorted(Risk, reverse=True))
            raise ValueError(f"{text!r} is not a risk class; choose one of {known}") from None
