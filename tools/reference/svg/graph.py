"""Parse the subset of Mermaid that our pages use: ``flowchart LR`` and ``erDiagram``.

Anything else raises ``DiagramError``, so that the site never omits a diagram that GitHub shows.
"""

import re
from dataclasses import dataclass, field


class DiagramError(Exception):
    """A line that the site cannot draw; the message contains it."""


@dataclass
class Node:
    """``kind`` is box, store, stream or table; ``rows`` are a table's columns: type, name, keys."""

    id: str
    label: str
    kind: str = "box"
    rows: list[tuple[str, str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Edge:
    """An arrow; ``label`` may be empty. ``many`` marks the end of a foreign key, ``optional`` one that may be null."""

    start: str
    end: str
    label: str = ""
    many: bool = False
    optional: bool = False


@dataclass
class Graph:
    nodes: dict[str, Node] = field(default_factory=dict)
    edges: list[Edge] = field(default_factory=list)


_SHAPES = (
    (re.compile(r'(\w+)\[\("([^"]*)"\)\]'), "store"),
    (re.compile(r'(\w+)\(\["([^"]*)"\]\)'), "stream"),
    (re.compile(r'(\w+)\["([^"]*)"\]'), "box"),
)
_ARROW = re.compile(r'(\w+) -->(?:\|"?([^|"]*)"?\|)? (\w+)')
_ENTITY = re.compile(r'"([^"]+)" \{')
_COLUMN = re.compile(r"(\S+) (\S+)(?: (.+))?")
_RELATION = re.compile(r'"([^"]+)" (\|o|\|\|)--o\{ "([^"]+)" : "([^"]*)"')


def parse(text: str) -> Graph:
    """Parse a diagram. Raises ``DiagramError``."""
    head, *lines = [line.strip() for line in text.strip().splitlines() if line.strip()]
    graph = Graph()
    if head == "flowchart LR":
        for line in lines:
            _flow_line(graph, line)
    elif head == "erDiagram":
        _entities(graph, lines)
    else:
        raise DiagramError(f"the site draws flowchart LR and erDiagram, not {head!r}")
    for edge in graph.edges:
        for end in (edge.start, edge.end):
            # A foreign key may point to a table of another schema.
            graph.nodes.setdefault(end, Node(end, end, "table" if head == "erDiagram" else "box"))
    return graph


def _flow_line(graph: Graph, line: str) -> None:
    for shape, kind in _SHAPES:
        if match := shape.fullmatch(line):
            graph.nodes[match[1]] = Node(match[1], match[2], kind)
            return
    match = _ARROW.fullmatch(line)
    if match is None:
        raise DiagramError(f'the site cannot draw {line!r}; write a node like a["A"] or an arrow like a --> b')
    graph.edges.append(Edge(match[1], match[3], match[2] or ""))


def _entities(graph: Graph, lines: list[str]) -> None:
    entity: Node | None = None
    for line in lines:
        if entity is not None:
            if line == "}":
                entity = None
            elif match := _COLUMN.fullmatch(line):
                entity.rows.append((match[1], match[2], match[3] or ""))
            else:
                raise DiagramError(f"the site cannot draw the column {line!r}")
        elif match := _ENTITY.fullmatch(line):
            entity = graph.nodes[match[1]] = Node(match[1], match[1], "table")
        elif match := _RELATION.fullmatch(line):
            graph.edges.append(Edge(match[1], match[3], match[4], many=True, optional=match[2] == "|o"))
        else:
            raise DiagramError(f"the site cannot draw {line!r}")
