"""YAML as plain data, with the line and column of every key and value. Independent of the mapping's model.

Only plain YAML is accepted: no aliases (a few lines can expand to gigabytes), no tags, no second document. Files that
contain them are rejected before any data is built.
"""

import re
from dataclasses import dataclass, field
from typing import Any

import yaml

from components.mapping.printable import printable

LARGEST_FILE = 2 * 1024 * 1024  # bytes; a mapping with 40 times the reference's modules takes 1.3 MB
MOST_NODES = 300_000  # keys and values; each needs about 500 bytes while it is parsed
DEEPEST_NESTING = 20
LARGEST_NUMBER = 2**63 - 1
LONGEST_NUMBER = 100  # characters; the parsing time grows with the square of the length
LONGEST_MESSAGE = 600
LONGEST_PATH = 200

# libyaml, included in every PyYAML wheel, is about 15 times as fast; both loaders report lines and columns.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_ILLEGAL_CHARACTERS = yaml.reader.Reader.NON_PRINTABLE

# The one spelling of each kind of value that is not text.
_PLAIN = {
    "int": re.compile(r"0|-?[1-9][0-9]*"),
    "float": re.compile(r"-?[0-9]+\.[0-9]+"),
    "bool": re.compile(r"true|false"),
    "null": re.compile(r"null|~|"),
}

Path_ = tuple[str | int, ...]


@dataclass(frozen=True, order=True)
class MappingProblem:
    """An error at one place. Lines and columns count from 1."""

    file: str
    line: int
    column: int
    path: str
    message: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column}"
        message = visible(self.message, LONGEST_MESSAGE)
        return f"{where} {visible(self.path, LONGEST_PATH)}: {message}" if self.path else f"{where}: {message}"


def visible(text: str, longest: int) -> str:
    """Return ``text`` for a terminal: on one line, control characters escaped, the middle of a longer text omitted."""
    shortened = text if len(text) <= longest else f"{text[: longest // 2]} ... {text[-longest // 2 :]}"
    return printable(shortened)


@dataclass
class Document:
    """Plain data with the place of every key and value."""

    file: str
    places: dict[Path_, tuple[int, int]] = field(default_factory=dict)
    problems: list[MappingProblem] = field(default_factory=list)

    def report(self, path: Path_, message: str) -> None:
        self.report_at(self.place(path), message, path)

    def report_at(self, place: tuple[int, int], message: str, path: Path_ = ()) -> None:
        """Report an error at (line, column), for a place that has no path."""
        self.problems.append(MappingProblem(self.file, *place, dotted(path), message))

    def place(self, path: Path_) -> tuple[int, int]:
        """The line and column of the path, or of its nearest ancestor that has a place."""
        while path and path not in self.places:
            path = path[:-1]
        return self.places.get(path, (1, 1))

    def parse(self, raw: bytes) -> Any:
        """Return the data in ``raw``. If this adds errors to ``problems``, the data is unusable."""
        if len(raw) > LARGEST_FILE:
            self.report((), f"is {len(raw)} bytes long; the limit is {LARGEST_FILE}")
            return None
        try:
            text = raw.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = raw.count(b"\n", 0, error.start) + 1
            self.report_at((line, 1), "is not UTF-8 text; save it as UTF-8")
            return None
        if illegal := _ILLEGAL_CHARACTERS.search(text):
            before = text[: illegal.start()]
            place = before.count("\n") + 1, len(before) - before.rfind("\n")
            self.report_at(place, f"has a character that YAML does not allow: U+{ord(illegal.group()):04X}")
            return None
        try:
            self._reject_unsafe(text)
            node = None if self.problems else yaml.compose(text, Loader=_LOADER)
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
            reason = f"{getattr(error, 'context', None) or ''} {getattr(error, 'problem', None) or error}".strip()
            self.report_at(_place(mark), f"is not valid YAML: {reason}")
            return None
        if node is None:
            if not self.problems:
                self.report((), "is empty; it must contain the mapping")
            return None
        return self._plain(node, (), yaml.SafeLoader(""))

    def _reject_unsafe(self, text: str) -> None:
        """Report aliases, tags and excessive size or nesting, without building any data."""
        depth = nodes = 0
        for event in yaml.parse(text, Loader=_LOADER):
            place = _place(event.start_mark)
            if isinstance(event, yaml.AliasEvent):
                self.report_at(place, f"alias *{event.anchor}: aliases are not supported; write the value out")
                return
            if isinstance(event, yaml.NodeEvent):
                nodes += 1
                if nodes > MOST_NODES:
                    self.report_at(place, f"has more than {MOST_NODES} keys and values")
                    return
                if (tag := getattr(event, "tag", None)) is not None:
                    self.report_at(place, f"tag {tag}: tags are not supported; remove it, and put text in quotes")
                    return
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
                if depth > DEEPEST_NESTING:
                    self.report_at(place, f"is nested deeper than {DEEPEST_NESTING} levels")
                    return
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1

    def _plain(self, node: yaml.Node, path: Path_, constructor: yaml.SafeLoader) -> Any:
        self.places.setdefault(path, _place(node.start_mark))
        if isinstance(node, yaml.MappingNode):
            return self._plain_mapping(node, path, constructor)
        if isinstance(node, yaml.SequenceNode):
            return [self._plain(item, (*path, index), constructor) for index, item in enumerate(node.value)]
        if len(node.value) > LONGEST_NUMBER and node.tag == "tag:yaml.org,2002:int":
            self.report(path, "number is too large")
            return None
        try:
            value = constructor.construct_object(node)
        except (yaml.YAMLError, ValueError, OverflowError):
            kind = node.tag.rpartition(":")[2]
            self.report(path, f"{visible(node.value, 80)!r} cannot be read as {kind}; put it in quotes")
            return None
        if isinstance(value, int) and abs(value) > LARGEST_NUMBER:
            self.report(path, "number is too large")
            return None
        if problem := _misleading(node, value):
            self.report(path, problem)
            return None
        return value

    def _plain_mapping(self, node: yaml.MappingNode, path: Path_, constructor: yaml.SafeLoader) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            place = _place(key_node.start_mark)
            if not isinstance(key_node, yaml.ScalarNode) or key_node.tag != "tag:yaml.org,2002:str":
                shown = visible(key_node.value, 80) if isinstance(key_node, yaml.ScalarNode) else "a list or mapping"
                self.report_at(place, f"key {shown!r} is not text; put it in quotes", path)
                continue
            key_path = (*path, key_node.value)
            if key_node.value in result:
                first = self.places[key_path][0]
                self.report_at(place, f"duplicate key; the first is on line {first}", key_path)
                continue
            self.places[key_path] = place
            result[key_node.value] = self._plain(value_node, key_path, constructor)
        return result


def _misleading(node: yaml.Node, value: object) -> str:
    """Return the remedy for a value that YAML 1.1 reads as something else than it looks like: 010 is 8, 1:30 is 90, and
    ``yes`` is true. Otherwise an empty string."""
    kind = node.tag.rpartition(":")[2]
    if kind == "str" or (kind in _PLAIN and _PLAIN[kind].fullmatch(node.value)):
        return ""
    shown = visible(node.value, 80)
    if kind in ("int", "bool", "null"):
        plain = "null" if value is None else str(value).lower()
        return f"{shown} is read as {plain}; write {plain} or, if it is text, put it in quotes"
    return f"{shown} is read as {kind}; if it is text, put it in quotes"


def _place(mark: Any) -> tuple[int, int]:
    return (mark.line + 1, mark.column + 1) if mark else (1, 1)


def dotted(path: Path_) -> str:
    """``("modules", "vexlens", "reads", 2)`` as ``modules.vexlens.reads[2]``; keys with other characters are quoted."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif part.replace("_", "").isalnum():
            text += f".{part}" if text else part
        else:
            text += f'["{part}"]'
    return text
