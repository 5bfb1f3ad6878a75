"""Draw a graph as SVG. The page's CSS sets the colours, so diagrams follow its theme."""

import itertools
from html import escape

from tools.reference.svg.graph import Edge, Graph, Node
from tools.reference.svg.layout import Layout, Point, Size, arrange

MARGIN = 12
BOX_HEIGHT = 34
ROW_HEIGHT = 19
# Character widths, used to size boxes without a browser: exact for monospace, an upper estimate for sans serif.
MONO = 7.25
SANS = 8.2
PADDING = 14
UNCONNECTED_PER_ROW = 3  # tables without a relation, which are drawn below the others


def draw(graph: Graph, title: str) -> str:
    """Draw a graph as SVG; ``title`` is for screen readers."""
    sizes = {node.id: _size(node) for node in graph.nodes.values()}
    connected = {end for edge in graph.edges for end in (edge.start, edge.end)}
    layout = arrange(
        {name: size for name, size in sizes.items() if name in connected},
        [(edge.start, edge.end) for edge in graph.edges],
    )
    places, width, height = _add_unconnected(
        layout, {name: size for name, size in sizes.items() if name not in connected}
    )
    parts = [_edge(edge, places, sizes, bends) for edge, bends in zip(graph.edges, layout.bends, strict=True)]
    parts += [_node(node, places[node.id], sizes[node.id]) for node in graph.nodes.values()]
    w, h = width + 2 * MARGIN, height + 2 * MARGIN
    return (
        f'<svg class="diagram" role="img" aria-label="{escape(title)}" viewBox="{-MARGIN} {-MARGIN} {w:.0f} {h:.0f}" '
        f'width="{w:.0f}" height="{h:.0f}" xmlns="http://www.w3.org/2000/svg"><title>{escape(title)}</title>'
        f"{''.join(parts)}</svg>"
    )


def _size(node: Node) -> Size:
    if node.kind != "table":
        return len(node.label) * SANS + 2 * PADDING, BOX_HEIGHT
    kind, name, keys = _column_widths(node)
    return max(kind + name + keys + 4 * PADDING, len(node.label) * SANS + 2 * PADDING), ROW_HEIGHT * len(node.rows) + 30


def _column_widths(node: Node) -> tuple[float, float, float]:
    kind, name, keys = (max((len(row[column]) for row in node.rows), default=0) * MONO for column in (0, 1, 2))
    return kind, name, keys


def _add_unconnected(layout: Layout, unconnected: dict[str, Size]) -> tuple[dict[str, Point], float, float]:
    """Place tables without a relation in rows below the others."""
    places, width = dict(layout.places), layout.width
    x, y, row_height = 0.0, layout.height + (30 if layout.places else 0), 0.0
    for index, (name, size) in enumerate(unconnected.items()):
        if index and index % UNCONNECTED_PER_ROW == 0:
            x, y, row_height = 0.0, y + row_height + 24, 0.0
        places[name] = (x, y)
        x += size[0] + 30
        width, row_height = max(width, x - 30), max(row_height, size[1])
    return places, width, y + row_height if unconnected else layout.height


def _node(node: Node, place: Point, size: Size) -> str:
    (x, y), (width, height) = place, size
    if node.kind == "table":
        return _table(node, x, y, width, height)
    radius = {"stream": height / 2, "store": 3}.get(node.kind, 6)
    shape = f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="{radius:.0f}"/>'
    if node.kind == "store":
        shape = _cylinder(x, y, width, height)
    label = (
        f'<text x="{x + width / 2:.1f}" y="{y + height / 2 + 4.5:.1f}" text-anchor="middle">{escape(node.label)}</text>'
    )
    return f'<g class="{node.kind}">{shape}{label}</g>'


def _cylinder(x: float, y: float, width: float, height: float) -> str:
    curve = 5
    body = (
        f"M{x:.1f} {y + curve:.1f}a{width / 2:.1f} {curve} 0 0 1 {width:.1f} 0v{height - 2 * curve:.1f}"
        f"a{width / 2:.1f} {curve} 0 0 1 {-width:.1f} 0z"
    )
    lid = f"M{x:.1f} {y + curve:.1f}a{width / 2:.1f} {curve} 0 0 0 {width:.1f} 0"
    return f'<path d="{body}"/><path class="lid" d="{lid}"/>'


def _table(node: Node, x: float, y: float, width: float, height: float) -> str:
    kinds, names, _ = _column_widths(node)
    parts = [
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="5"/>',
        f'<path class="rule" d="M{x:.1f} {y + 25:.1f}h{width:.1f}"/>',
        f'<text class="head" x="{x + PADDING:.1f}" y="{y + 17:.1f}">{escape(node.label)}</text>',
    ]
    for index, (kind, name, keys) in enumerate(node.rows):
        base = y + 42 + index * ROW_HEIGHT
        parts.append(f'<text class="type" x="{x + PADDING:.1f}" y="{base:.1f}">{escape(kind)}</text>')
        parts.append(f'<text class="name" x="{x + 2 * PADDING + kinds:.1f}" y="{base:.1f}">{escape(name)}</text>')
        if keys:
            place = x + 3 * PADDING + kinds + names
            parts.append(f'<text class="keys" x="{place:.1f}" y="{base:.1f}">{escape(keys)}</text>')
    return f'<g class="table">{"".join(parts)}</g>'


def _edge(edge: Edge, places: dict[str, Point], sizes: dict[str, Size], bends: list[Point]) -> str:
    start, end = _ends(edge.start, edge.end, places, sizes)
    points = [start, *bends, end]
    path = f"M{start[0]:.1f} {start[1]:.1f}"
    for (x1, y1), (x2, y2) in itertools.pairwise(points):
        middle = (x1 + x2) / 2
        path += f"C{middle:.1f} {y1:.1f} {middle:.1f} {y2:.1f} {x2:.1f} {y2:.1f}"
    tip = _crows_foot(end, start) if edge.many else _arrow(end, start)
    kind = "edge optional" if edge.optional else "edge"
    label = ""
    if edge.label and not edge.many:
        x, y = (start[0] + end[0]) / 2, (start[1] + end[1]) / 2 - 6
        label = f'<text class="label" x="{x:.1f}" y="{y:.1f}" text-anchor="middle">{escape(edge.label)}</text>'
    return f'<g class="{kind}"><path d="{path}"/>{tip}{label}</g>'


def _ends(start: str, end: str, places: dict[str, Point], sizes: dict[str, Size]) -> tuple[Point, Point]:
    """Return the ends of an edge, on the sides of the nodes that face each other."""
    (x1, y1), (x2, y2) = places[start], places[end]
    (w1, h1), (w2, h2) = sizes[start], sizes[end]
    left, right = (x1 + w1, x2) if x1 <= x2 else (x1, x2 + w2)
    return (left, y1 + h1 / 2), (right, y2 + h2 / 2)


def _arrow(end: Point, start: Point) -> str:
    x, y = end
    back = -8 if start[0] <= x else 8
    return f'<path class="tip" d="M{x:.1f} {y:.1f}l{back} -4.5v9z"/>'


def _crows_foot(end: Point, start: Point) -> str:
    """Draw a crow's foot, which marks the end of a relation that may have many rows."""
    x, y = end
    back = -11 if start[0] <= x else 11
    return f'<path d="M{x + back:.1f} {y:.1f}L{x:.1f} {y - 6:.1f}M{x + back:.1f} {y:.1f}L{x:.1f} {y + 6:.1f}"/>'
