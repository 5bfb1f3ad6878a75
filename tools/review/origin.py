"""Find the line of ``schema-mapping.yaml`` that causes a change, and link to it."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from components.mapping import Mapping, MappingError
from components.mapping.loader import loads, located
from tools.review.change import MappingPath
from tools.review.escape import code

MAPPING = "schema-mapping.yaml"
_COLLECTIONS = frozenset({"modules", "services", "schemas", "tables", "runtime_tables", "keys", "streams", "buckets"})


@dataclass(frozen=True)
class MappingOrigins:
    """The mapping's data and the line of each path; empty if the mapping cannot be read."""

    data: dict[str, Any] = field(default_factory=dict)
    lines: dict[MappingPath, int] = field(default_factory=dict)
    file: str = MAPPING
    source_url: str = ""
    raw: bytes = field(default=b"", repr=False)

    @cached_property
    def mapping(self) -> Mapping | None:
        """The mapping; None if it is invalid, which the preview reports."""
        try:
            return loads(self.raw, self.file)
        except MappingError:
            return None

    @staticmethod
    def read(path: Path, source_url: str = "") -> "MappingOrigins":
        """Read the mapping at ``path``. ``source_url`` is the repository at a commit: ``https://host/owner/name/blob/SHA``.

        An unreadable mapping is not an error here: the preview reports it.
        """
        try:
            raw = path.read_bytes()
        except OSError:
            return MappingOrigins(file=path.name, source_url=source_url)
        data, found = located(raw, path.name)
        known = {where: line for where, (line, _) in found.items()}
        return MappingOrigins(data if isinstance(data, dict) else {}, known, path.name, source_url, raw)

    def access(self, module: str, store: str, *targets: str) -> MappingPath:
        """The path of the entry that grants ``module`` access to one of ``targets``, else of its section for the store.

        Earlier targets take precedence, such as a table over its schema.
        """
        user = "modules" if module in self._get("modules") else "services"
        base: MappingPath = (user, module, store)
        verbs = self._get(*base)
        for target in targets:
            for verb, entries in verbs.items():
                for index, entry in enumerate(entries if isinstance(entries, list) else ()):
                    if isinstance(entry, str) and (entry == target or entry.startswith(f"{target}(")):
                        return (*base, verb, index)
        return base

    def names(self, *path: str) -> set[str]:
        """The keys of the mapping's object at ``path``."""
        return {str(name) for name in self._get(*path)}

    def _get(self, *path: str | int) -> dict[str, Any]:
        value: Any = self.data
        for part in path:
            value = value.get(part, {}) if isinstance(value, dict) else {}
        return value if isinstance(value, dict) else {}

    def line(self, path: MappingPath) -> int | None:
        """The line of ``path`` or of its nearest enclosing entry; None if only a collection, like ``modules``, encloses it."""
        while path and path not in self.lines:
            path = path[:-1]
            if len(path) < 2 or path[-1] in _COLLECTIONS:
                return None
        return self.lines[path] if path else None

    def link(self, origin: MappingPath | str) -> str:
        """Markdown with file and line, linked if ``source_url`` is set; empty if the line is unknown.

        A string is the path of a file.
        """
        if isinstance(origin, str):
            return self._linked(origin, origin) if origin else ""
        line = self.line(origin)
        return self._linked(f"{self.file}:{line}", f"{self.file}#L{line}") if line else ""

    def _linked(self, shown: str, target: str) -> str:
        return f"[{code(shown)}]({self.source_url.rstrip('/')}/{target})" if self.source_url else code(shown)
