"""Names of tables that functions create at run time, and their patterns, like ``effective_finding_{policyId}``."""

import re
from collections.abc import Iterable


def is_pattern(name: str) -> bool:
    """Whether the entry is a pattern of run-time tables, like ``effective_finding_{policyId}_history``."""
    return "{" in name


def matches(pattern: str, table: str) -> bool:
    """Whether the name of a run-time table matches the pattern."""
    parts = re.split(r"\{[^}]*\}", pattern)
    return re.fullmatch(".+".join(re.escape(part) for part in parts), table) is not None


def pattern_of(names: Iterable[str], table: str) -> str | None:
    """Return the longest pattern among ``names`` that matches: a history table also matches its current table's pattern."""
    return max((name for name in names if is_pattern(name) and matches(name, table)), key=len, default=None)
