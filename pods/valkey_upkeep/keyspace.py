"""Find the pattern of a key: the most specific one that matches, such as ``feed:nvd:json`` before ``feed:*``."""

import re
from dataclasses import dataclass

from .plan import UpkeepPlan

SHOWN_CHARACTERS = 120


@dataclass(frozen=True)
class Pattern:
    """A row of the plan's ``keys``. ``ttl``: ``forbidden``, ``free``, ``at-most`` (``ttl_ms``) or ``utc-midnight``.
    ``secret``: reports must not show the value of the placeholder. ``entries``: the estimated number of entries of all its
    streams, or 0."""

    pattern: str
    types: frozenset[str]
    ttl: str
    ttl_ms: int
    secret: bool
    entries: int

    @property
    def literal_length(self) -> int:
        """The number of fixed characters. A pattern with more of them is more specific."""
        return len(re.sub(r"\*|\{[^}]*\}", "", self.pattern))

    @property
    def expression(self) -> re.Pattern[str]:
        parts = re.split(r"\*|\{[^}]*\}", self.pattern)
        return re.compile(".*".join(map(re.escape, parts)), re.DOTALL)


class Keyspace:
    """The plan's patterns, indexed by the first word of a key."""

    def __init__(self, plan: UpkeepPlan) -> None:
        self.patterns = [
            Pattern(row["pattern"], frozenset(row["types"]), row["ttl"], row["ttl_ms"], row["secret"], row["entries"])
            for row in plan["keys"]
        ]
        self._by_word: dict[str, list[tuple[re.Pattern[str], Pattern]]] = {}
        for pattern in sorted(self.patterns, key=lambda item: -item.literal_length):
            word = pattern.pattern.partition(":")[0]
            self._by_word.setdefault(word, []).append((pattern.expression, pattern))

    def of(self, key: str) -> Pattern | None:
        """Return the pattern of ``key``. If two have as many fixed characters, the plan's first one wins."""
        for expression, pattern in self._by_word.get(key.partition(":")[0], ()):
            if expression.fullmatch(key):
                return pattern
        return None

    def shown(self, key: str, pattern: Pattern | None) -> str:
        """Format ``key`` for a report: escape control characters, and show only the first characters of a secret."""
        text = key.encode(errors="surrogateescape").decode(errors="backslashreplace")
        text = "".join(character if character.isprintable() else repr(character)[1:-1] for character in text)
        if pattern is not None and pattern.secret:
            fixed = len(pattern.pattern.partition("{")[0])
            return f"{text[: fixed + 4]}..."
        return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}..."
