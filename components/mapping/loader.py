"""Read ``schema-mapping.yaml``: YAML with positions -> pydantic model -> cross-checks, with all errors at once.

``load(path)`` returns a ``Mapping`` or raises ``MappingError`` whose ``problems`` each name file, line, column and
path. Nothing is looked up anywhere else and nothing is written.
"""

import difflib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from components.mapping.checks import Finding, cross_check
from components.mapping.model import Mapping

LARGEST_FILE = 2 * 1024 * 1024  # bytes; the reference's mapping is under 60 kB
DEEPEST_NESTING = 20

Path_ = tuple[str | int, ...]


@dataclass(frozen=True, order=True)
class Problem:
    """One thing wrong at one place. Lines and columns count from 1."""

    file: str
    line: int
    column: int
    path: str
    message: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column}"
        return f"{where} {self.path}: {self.message}" if self.path else f"{where}: {self.message}"


class MappingError(Exception):
    """The mapping cannot be used. ``problems`` holds every one found, in the order of the file."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = sorted(set(problems))
        super().__init__("\n".join(str(problem) for problem in self.problems))


@dataclass
class _Document:
    """Plain data with the place of every key and value."""

    file: str
    places: dict[Path_, tuple[int, int]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def report(self, path: Path_, message: str) -> None:
        line, column = self.place(path)
        self.problems.append(Problem(self.file, line, column, dotted(path), message))

    def place(self, path: Path_) -> tuple[int, int]:
        """The nearest known place: of the path, or of what encloses it."""
        while path and path not in self.places:
            path = path[:-1]
        return self.places.get(path, (1, 1))


def dotted(path: Path_) -> str:
    """``("modules", "vexlens", "reads", 2)`` as ``modules.vexlens.reads[2]``; odd keys are quoted."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif part.replace("_", "").isalnum():
            text += f".{part}" if text else part
        else:
            text += f'["{part}"]'
    return text


def load(path: Path) -> Mapping:
    """The checked mapping at ``path``. Raises ``MappingError``."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise MappingError([Problem(str(path), 1, 1, "", f"cannot be read: {error.strerror}")]) from None
    return loads(raw, path.name)


def loads(raw: bytes, file: str) -> Mapping:
    """The checked mapping in ``raw``; ``file`` is the name that errors carry. Raises ``MappingError``."""
    document = _Document(file)
    data = _parse(raw, document)
    if document.problems:
        raise MappingError(document.problems)
    try:
        mapping = Mapping.model_validate(data)
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
    document = _Document(file)
    return _parse(raw, document), document.places


def _parse(raw: bytes, document: _Document) -> Any:
    if len(raw) > LARGEST_FILE:
        document.report((), f"is {len(raw)} bytes long; a mapping has at most {LARGEST_FILE}")
        return None
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        document.problems.append(Problem(document.file, line, 1, "", "is not UTF-8 text; save it as UTF-8"))
        return None
    try:
        _refuse_aliases_and_depth(text, document)
        if document.problems:
            return None
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        what = f"{error.context or ''} {error.problem or ''}".strip()
        document.problems.append(Problem(document.file, line, column, "", f"is not valid YAML: {what}"))
        return None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        document.problems.append(
            Problem(
                document.file,
                line,
                1,
                "",
                f"has a character that YAML does not allow: U+{ord(text[error.position]):04X}",
            )
        )
        return None
    if node is None:
        document.report((), "is empty; it must hold the mapping")
        return None
    constructor = yaml.SafeLoader("")
    return _plain(node, (), document, constructor)


def _refuse_aliases_and_depth(text: str, document: _Document) -> None:
    """Before anything is built: aliases make a few lines into gigabytes, deep nesting exhausts the stack."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        mark = event.start_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        if isinstance(event, yaml.AliasEvent):
            document.problems.append(
                Problem(
                    document.file, line, column, "", f"alias *{event.anchor}: write the value out, aliases are not read"
                )
            )
            return
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > DEEPEST_NESTING:
                document.problems.append(
                    Problem(document.file, line, column, "", f"is nested deeper than {DEEPEST_NESTING} levels")
                )
                return
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _plain(node: yaml.Node, path: Path_, document: _Document, constructor: yaml.SafeLoader) -> Any:
    document.places.setdefault(path, (node.start_mark.line + 1, node.start_mark.column + 1))
    if isinstance(node, yaml.MappingNode):
        return _plain_mapping(node, path, document, constructor)
    if isinstance(node, yaml.SequenceNode):
        return [_plain(item, (*path, index), document, constructor) for index, item in enumerate(node.value)]
    try:
        return constructor.construct_object(node)
    except (yaml.YAMLError, ValueError):
        document.report(path, f"{node.value!r} cannot be read as {node.tag.rpartition(':')[2]}; put it in quotes")
        return None


def _plain_mapping(
    node: yaml.MappingNode, path: Path_, document: _Document, constructor: yaml.SafeLoader
) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key_node, value_node in node.value:
        line, column = key_node.start_mark.line + 1, key_node.start_mark.column + 1
        if not isinstance(key_node, yaml.ScalarNode) or key_node.tag != "tag:yaml.org,2002:str":
            shown = key_node.value if isinstance(key_node, yaml.ScalarNode) else "a list or mapping"
            document.problems.append(
                Problem(document.file, line, column, dotted(path), f"key {shown!r} is not text; put it in quotes")
            )
            continue
        key = key_node.value
        where = (*path, key)
        if key in result:
            first = document.places[where][0]
            document.problems.append(
                Problem(document.file, line, column, dotted(where), f"duplicate key; it stands already in line {first}")
            )
            continue
        document.places[where] = (line, column)
        result[key] = _plain(value_node, where, document, constructor)
    return result


def _report_shape(document: _Document, item: dict[str, Any]) -> None:
    # pydantic puts "[key]" behind the name of a mapping's key that is wrong itself.
    path: list[str | int] = [part for part in item["loc"] if part != "[key]"]
    kind, message = item["type"], item["msg"].removeprefix("Value error, ")
    if kind in ("missing", "extra_forbidden"):
        *above, name = path
        if kind == "missing":
            document.report(tuple(above), f"{name!r} is missing; add it")
        else:
            document.report(tuple(path), f"unknown key {name!r}{_nearest(str(name), _field_names(above))}")
        return
    if kind == "literal_error":
        expected = [choice.strip("'\"") for choice in str(item["ctx"]["expected"]).replace(" or ", ", ").split(", ")]
        message = f"{item['input']!r} is not one of {', '.join(expected)}{_nearest(str(item['input']), expected)}"
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


def _report_finding(document: _Document, finding: Finding) -> None:
    document.report(finding.path, finding.message + _nearest(finding.wrong, finding.known))


def _nearest(wrong: str | None, known: list[str] | tuple[str, ...]) -> str:
    if wrong is None or not known:
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
