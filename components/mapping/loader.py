"""Read ``schema-mapping.yaml``: YAML with positions -> pydantic model -> cross-checks, with all errors at once.

``load(path)`` returns a ``Mapping`` or raises ``MappingError`` whose ``problems`` each name file, line, column and
path. Nothing is looked up anywhere else and nothing is written.
"""

import difflib
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from components.mapping.checks import cross_check
from components.mapping.document import Document, MappingProblem, Path_
from components.mapping.findings import Finding
from components.mapping.mapping import Mapping

MOST_LINES = 200  # of one message
LONGEST_GUESS = 100  # characters of a name for which the nearest valid one is looked for

__all__ = ["MappingError", "MappingProblem", "Path_", "load", "loads", "located"]


class MappingError(Exception):
    """The mapping cannot be used. ``problems`` holds every one found, in the order of the file."""

    def __init__(self, problems: list[MappingProblem]) -> None:
        self.problems = sorted(set(problems))
        lines = [str(problem) for problem in self.problems[:MOST_LINES]]
        more = len(self.problems) - len(lines)
        super().__init__("\n".join([*lines, f"{self.problems[-1].file}: and {more} more"] if more else lines))


def load(path: Path) -> Mapping:
    """The checked mapping at ``path``. Raises ``MappingError``."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise MappingError([MappingProblem(str(path), 1, 1, "", f"cannot be read: {error.strerror}")]) from None
    return loads(raw, path.name, str(path))


def loads(raw: bytes, file: str, path: str = "") -> Mapping:
    """The checked mapping in ``raw``; ``file`` is the name that errors carry. Raises ``MappingError``."""
    document = Document(file)
    data = document.parse(raw)
    if document.problems:
        raise MappingError(document.problems)
    try:
        mapping = Mapping.read_from(path, data)
    except ValidationError as error:
        for item in error.errors():
            _report_shape(document, dict(item))
        raise MappingError(document.problems) from None
    for finding in cross_check(mapping):
        _report_finding(document, finding)
    if document.problems:
        raise MappingError(document.problems)
    return mapping


def located(raw: bytes, file: str) -> tuple[Any, dict[Path_, tuple[int, int]]]:
    """Plain data of a mapping that need not be valid, with line and column of every key and value in it."""
    document = Document(file)
    return document.parse(raw), document.places


def _report_shape(document: Document, item: dict[str, Any]) -> None:
    # pydantic puts "[key]" behind the name of a mapping's key that is wrong itself.
    path: list[str | int] = [part for part in item["loc"] if part != "[key]"]
    kind, message = item["type"], item["msg"].removeprefix("Value error, ")
    if kind in ("missing", "extra_forbidden"):
        *above, name = path
        if kind == "missing":
            document.report(tuple(above), f"{name!r} is missing; add it")
        else:
            document.report(tuple(path), f"unknown key {name!r}{_nearest(document, str(name), _field_names(above))}")
        return
    if kind == "literal_error":
        expected = [choice.strip("'\"") for choice in str(item["ctx"]["expected"]).replace(" or ", ", ").split(", ")]
        message = (
            f"{item['input']!r} is not one of {', '.join(expected)}{_nearest(document, str(item['input']), expected)}"
        )
    elif kind in _KINDS:
        message = f"must be {_KINDS[kind]}, not {_shown(item['input'])}"
    document.report(tuple(path), message)


_KINDS = {
    "string_type": "text",
    "int_type": "a whole number",
    "bool_type": "true or false",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "tuple_type": "a list",
}


def _shown(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    return f"{str(value)[:60]!r}" if isinstance(value, str) else f"{value} ({type(value).__name__})"


def _report_finding(document: Document, finding: Finding) -> None:
    document.report(finding.path, finding.message + _nearest(document, finding.wrong, finding.known))


def _nearest(document: Document, wrong: str | None, known: list[str] | tuple[str, ...]) -> str:
    # A guess takes longer than all the rest: none for what nobody will see.
    if wrong is None or not known or len(wrong) > LONGEST_GUESS or len(document.problems) > MOST_LINES:
        return ""
    close = difflib.get_close_matches(wrong.lower(), known, n=1, cutoff=0.6)
    if close:
        return f'; did you mean "{close[0]}"?'
    return f"; known: {', '.join(sorted(known))}" if len(known) <= 12 else ""


def _field_names(path: list[str | int]) -> list[str]:
    """The names that the model knows at ``path``."""
    model: Any = Mapping
    for part in path:
        model = _inner(model, part)
        if model is None:
            return []
    return list(model.model_fields) if isinstance(model, type) and issubclass(model, BaseModel) else []


def _inner(annotation: Any, part: str | int) -> Any:
    """The type behind one step of a path, through Annotated, Optional, dict and tuple."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        known = annotation.model_fields.get(str(part))
        annotation = known.annotation if known else None
        return _strip(annotation)
    arguments: tuple[Any, ...] = getattr(annotation, "__args__", ())
    origin = getattr(annotation, "__origin__", None)
    if origin is dict and len(arguments) == 2:
        return _strip(arguments[1])
    if origin is tuple and arguments:
        return _strip(arguments[0])
    return None


def _strip(annotation: Any) -> Any:
    if hasattr(annotation, "__metadata__"):
        return _strip(annotation.__origin__)
    arguments = [item for item in getattr(annotation, "__args__", ()) if item is not type(None)]
    if getattr(annotation, "__origin__", None) is None and len(arguments) == 1:
        return _strip(arguments[0])
    return annotation
