"""Places in the mapping, for messages."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from components.mapping.document import dotted
from components.mapping.loader import located


@dataclass(frozen=True)
class MappingPlaces:
    """``file`` is the mapping; empty if there is none."""

    file: str = ""

    def describe(self, *path: str | int) -> str:
        """Name an entry like ``schema-mapping.yaml:57:15 postgres.schemas.vuln``; without a place where the file is missing."""
        name = dotted(path)
        if self._places is None:
            return name
        found = next((self._places[path[:end]] for end in range(len(path), 0, -1) if path[:end] in self._places), None)
        return f"{self.file}:{found[0]}:{found[1]} {name}" if found else f"{self.file} {name}"

    @cached_property
    def _places(self) -> Mapping[tuple[str | int, ...], tuple[int, int]] | None:
        """Path in the mapping -> line and column."""
        try:
            return located(Path(self.file).read_bytes(), self.file)[1] if self.file else None
        except OSError:
            return None
