"""``sql/lint.yaml``: accepted findings, by file and rule, with a reason.

For applied files: editing one, even to add a waiver, would change its checksum.
"""

from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import yaml

from provider.postgres.lint import NOT_WAIVABLE, RULES, LintFinding

FILE = "lint.yaml"
_FIELDS = {"file", "rule", "reason"}


@dataclass
class Accepted:
    """The entries of one directory of schemas. ``wrong`` has the problems of the file itself, a line each."""

    path: Path
    entries: list[dict[str, str]] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    _used: set[int] = field(default_factory=set)

    @staticmethod
    def read(directory: Path) -> "Accepted":
        """Read the file. Without one there are no entries."""
        found = Accepted(directory / FILE)
        if not found.path.exists():
            return found
        try:
            document: Any = yaml.safe_load(found.path.read_text(encoding="utf-8")) or {}
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            found.wrong.append(f"{found.path}: it cannot be read: {' '.join(str(error).split())}")
            return found
        entries = document.get("accepted", []) if isinstance(document, dict) else None
        if not isinstance(entries, list):
            found.wrong.append(f"{found.path}: write a list under accepted, each with file, rule and reason")
            return found
        for number, entry in enumerate(entries, start=1):
            problem = _problem(entry)
            if problem:
                found.wrong.append(f"{found.path}: accepted[{number}]: {problem}")
            else:
                found.entries.append(entry)
        return found

    def covers(self, path: Path, finding: LintFinding) -> bool:
        """Whether an entry accepts the finding on that file; ``path`` is ``<directory>/<schema>/<file>``."""
        name = f"{path.parent.name}/{path.name}"
        covering = {
            number
            for number, entry in enumerate(self.entries)
            if entry["rule"] == finding.rule and fnmatchcase(name, entry["file"])
        }
        self._used |= covering
        return bool(covering)

    def unused(self) -> list[str]:
        """A line for each entry that matched nothing, once all files were checked."""
        return [
            f"{self.path}: nothing in {entry['file']} breaks {entry['rule']}; remove the entry"
            for number, entry in enumerate(self.entries)
            if number not in self._used
        ]


def _problem(entry: Any) -> str | None:
    if (
        not isinstance(entry, dict)
        or set(entry) != _FIELDS
        or not all(isinstance(text, str) for text in entry.values())
    ):
        return "write file, rule and reason, each as text"
    if entry["rule"] not in RULES or entry["rule"] in NOT_WAIVABLE:
        return f"there is no rule {entry['rule']} to accept"
    return None if entry["reason"].strip() else "give a reason"
