"""Read ``schema-mapping.yaml``: YAML with positions -> pydantic model -> cross-checks.

``load(path)`` returns a ``Mapping`` or raises ``MappingError``. Each of the error's ``problems`` has a file, line, column
and path. Each step reports all of its errors at once.
"""

import difflib
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from components.mapping.checks import cross_check
from components.mapping.document import Document, MappingProblem, Path_
from components.mapping.findings import Finding
from components.mapping.mapping import Mapping

MOST_LINES = 200  # in one error message
LONGEST_GUESS = 100  # characters; longer names get no suggestion

__all__ = ["MappingError", "MappingProblem", "Path_", "load", "loads", "located"]


class MappingError(Exception):
    """The mapping is invalid. ``problems`` holds every error, in file order."""

    def __init__(self, problems: list[MappingProblem]) -> None:
        self.problems = sorted(set(problems))
        lines = [str(problem) for problem in self.problems[:MOST_LINES]]
        more = len(self.problems) - len(lines)
        super().__init__("\n".join([*lines, f"{self.problems[-1].file}: and {more} more"] if more else lines))


def load(path: Path) -> Mapping:
    """Load and check the mapping at ``path``. Raises ``MappingError``."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise MappingError([MappingProblem(str(path), 1, 1, "", f"cannot be read: {error.strerror}")]) from None
    return loads(raw, path.name, str(path))


def loads(raw: bytes, file: str, path: str = "") -> Mapping:
    """Check the mapping in ``raw``; ``file`` is the file name in error messages. Raises ``MappingError``."""
    document = Document(file)
    data = document.parse(raw)
    if document.problems:
        raise MappingError(document.problems)
    try:
        mapping = Mapping.read_from(path, data)
    except ValidationError as error:
        for item in error.errors():
            _report_validation_error(document, dict(item))
        raise MappingError(document.problems) from None
    for finding in cross_check(mapping):
        _report_finding(document, finding)
    if document.problems:
        raise MappingError(document.problems)
    return mapping


def located(raw: bytes, file: str) -> tuple[Any, dict[Path_, tuple[int, int]]]:
    """Return the plain data of a mapping that may be invalid, and the line and column of every key and value."""
    document = Document(file)
    return document.parse(raw), document.places


def _report_validation_error(document: Document, item: dict[str, Any]) -> None:
    # If a key itself is invalid, pydantic appends "[key]" to its path.
    path: list[str | int] = [part for part in item["loc"] if part != "[key]"]
    kind, message = item["type"], item["msg"].removeprefix("Value error, ")
    if kind in ("missing", "extra_forbidden"):
        *parent, name = path
        if kind == "missing":
            document.report(tuple(parent), f"{name!r} is missing; add it")
        else:
            document.report(
                tuple(path), f"unknown key {name!r}{_suggestion(document, str(name), _field_names(parent))}"
            )
        return
    if kind == "literal_error":
        expected = [choice.strip("'\"") for choice in str(item["ctx"]["expected"]).replace(" or ", ", ").split(", ")]
        message = f"{item['input']!r} is not one of {', '.join(expected)}{_suggestion(document, str(item['input']), expected)}"
    elif kind in _EXPECTED:
        message = f"must be {_EXPECTED[kind]}, not {_describe(item['input'])}"
    document.report(tuple(path), message)


_EXPECTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "bool_type": "true or false",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "tuple_type": "a list",
}


def _describe(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    return f"{str(value)[:60]!r}" if isinstance(value, str) else f"{value} ({type(value).__name__})"


def _report_finding(document: Document, finding: Finding) -> None:
    document.report(finding.path, finding.message + _suggestion(document, finding.wrong, finding.known))


def _suggestion(document: Document, wrong: str | None, known: list[str] | tuple[str, ...]) -> str:
    # Suggestions are the slowest step, so omit them for problems that are not printed.
    if wrong is None or not known or len(wrong) > LONGEST_GUESS or len(document.problems) > MOST_LINES:
        return ""
    close = difflib.get_close_matches(wrong.lower(), known, n=1, cutoff=0.6)
    if close:
        return f'; did you mean "{close[0]}"?'
    return f"; known: {', '.join(sorted(known))}" if len(known) <= 12 else ""


def _field_names(path: list[str | int]) -> list[str]:
    """Return the field names of the model at ``path``; empty if there is no model."""
    model: Any = Mapping
    for part in path:
        model = _inner(model, part)
        if model is None:
            return []
    return list(model.model_fields) if isinstance(model, type) and issubclass(model, BaseModel) else []


def _inner(annotation: Any, part: str | int) -> Any:
    """Return the type of ``part`` in ``annotation``: of a model's field, a dict's value or a tuple's item."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        field = annotation.model_fields.get(str(part))
        annotation = field.annotation if field else None
        return _unwrap(annotation)
    arguments: tuple[Any, ...] = getattr(annotation, "__args__", ())
    origin = getattr(annotation, "__origin__", None)
    if origin is dict and len(arguments) == 2:
        return _unwrap(arguments[1])
    if origin is tuple and arguments:
        return _unwrap(arguments[0])
    return None


def _unwrap(annotation: Any) -> Any:
    if hasattr(annotation, "__metadata__"):
        return _unwrap(annotation.__origin__)
    arguments = [item for item in getattr(annotation, "__args__", ()) if item is not type(None)]
    if getattr(annotation, "__origin__", None) is None and len(arguments) == 1:
        return _unwrap(arguments[0])
    return annotation
