"""Risk classes, from the harmless to the worst."""

import re
from enum import IntEnum


class Risk(IntEnum):
    """What a change may cost. Later members are worse; a stack's verdict is its worst change."""

    NONE = 0
    ADDITIVE = 1
    RESTART = 2
    RETENTION_SHORTENED = 3
    ACCESS_REVOKED = 4
    ACCESS_WIDENED = 5
    DATA_LOSS = 6

    @property
    def words(self) -> str:
        """As a sentence has it: ``data loss``."""
        return self.name.lower().replace("_", " ")

    @property
    def slug(self) -> str:
        """As a label or an option has it: ``data-loss``."""
        return self.name.lower().replace("_", "-")

    @staticmethod
    def parse(text: str) -> "Risk":
        """The class named ``text``, with spaces, ``-`` or ``_``. Raises ``ValueError``."""
        name = re.sub(r"[\s-]", "_", text.strip()).upper()
        try:
            return Risk[name]
        except KeyError:
            known = ", ".join(risk.slug for risk in sorted(Risk, reverse=True))
            raise ValueError(f"{text!r} is no risk class; choose one of {known}") from None
