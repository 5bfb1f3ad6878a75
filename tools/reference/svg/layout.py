"""Lay out a graph: layers from left to right, few crossings, straight long edges.

Sugiyama's three steps: layers by longest path, order within a layer by barycentre, then vertical positions. Sizes and
places are in pixels; a place is the upper left corner.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

GAP_X = 70
GAP_Y = 22
SWEEPS = 12

Size = tuple[float, float]
Point = tuple[float, float]


@dataclass(frozen=True)
class Layout:
    """``places``: node -> upper left corner; ``bends``: for each edge the points between its ends."""

    places: dict[str, Point]
    bends: list[list[Point]]
    width: float
    height: float


def arrange(sizes: Mapping[str, Size], edges: Sequence[tuple[str, str]]) -> Layout:
    """Place all nodes. An edge that closes a cycle is laid out in reverse."""
    forward = _without_cycles(list(sizes), edges)
    layer = _layers(list(sizes), forward)
    boxes: dict[str, Size] = dict(sizes)
    links: list[tuple[str, str]] = []
    chains: list[list[str]] = []
    for number, (start, end) in enumerate(forward):
        # A long edge gets a node of size zero in each layer that it crosses, so that it avoids other nodes.
        between = [f"\0{number}.{step}" for step in range(layer[start] + 1, layer[end])]
        for step, name in enumerate(between):
            layer[name], boxes[name] = layer[start] + 1 + step, (0, 0)
        links += zip([start, *between], [*between, end], strict=True)
        chains.append(between)
    columns = _ordered(layer, links)
    places = _placed(columns, boxes, links)
    widths = {name: max(boxes[other][0] for other in column) for column in columns for name in column}
    bends = []
    for (start, _), directed, chain in zip(edges, forward, chains, strict=True):
        # Cross the layer in a straight line, next to its nodes.
        points = [
            point for name in chain for point in (places[name], (places[name][0] + widths[name], places[name][1]))
        ]
        bends.append(points if directed[0] == start else points[::-1])
    return Layout(
        {name: places[name] for name in sizes},
        bends,
        max((places[name][0] + boxes[name][0] for name in boxes), default=0),
        max((places[name][1] + boxes[name][1] for name in boxes), default=0),
    )


def _without_cycles(nodes: list[str], edges: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    successors: dict[str, list[str]] = {node: [] for node in nodes}
    for start, end in edges:
        successors[start].append(end)
    finished: dict[str, bool] = {}
    closing_edges: set[tuple[str, str]] = set()

    def visit(node: str) -> None:
        finished[node] = False
        for end in successors[node]:
            if end not in finished:
                visit(end)
            elif not finished[end]:
                closing_edges.add((node, end))
        finished[node] = True

    for node in nodes:
        if node not in finished:
            visit(node)
    return [(end, start) if (start, end) in closing_edges else (start, end) for start, end in edges]


def _layers(nodes: list[str], edges: list[tuple[str, str]]) -> dict[str, int]:
    layer = dict.fromkeys(nodes, 0)
    for _ in nodes:
        changed = False
        for start, end in edges:
            if start != end and layer[end] <= layer[start]:
                layer[end] = layer[start] + 1
                changed = True
        if not changed:
            break
    return layer


def _ordered(layer: dict[str, int], links: list[tuple[str, str]]) -> list[list[str]]:
    columns: list[list[str]] = [[] for _ in range(max(layer.values(), default=-1) + 1)]
    for name, number in layer.items():
        columns[number].append(name)
    for sweep in range(SWEEPS):
        onward = sweep % 2 == 0
        for column in columns if onward else reversed(columns):
            rank = {name: index for other in columns for index, name in enumerate(other)}
            weight = {
                name: _mean(
                    [rank[start if onward else end] for start, end in links if name == (end if onward else start)],
                    rank[name],
                )
                for name in column
            }
            column.sort(key=lambda name: weight[name])
    return columns


def _placed(columns: list[list[str]], boxes: dict[str, Size], links: list[tuple[str, str]]) -> dict[str, Point]:
    left: dict[str, float] = {}
    middle: dict[str, float] = {}
    x = 0.0
    for column in columns:
        y = 0.0
        width = max(boxes[name][0] for name in column)
        for name in column:
            left[name] = x
            middle[name] = y + boxes[name][1] / 2
            y += boxes[name][1] + GAP_Y
        x += width + GAP_X
    neighbours: dict[str, list[str]] = {name: [] for name in boxes}
    for start, end in links:
        neighbours[start].append(end)
        neighbours[end].append(start)
    for sweep in range(SWEEPS):
        for column in columns if sweep % 2 == 0 else reversed(columns):
            preferred = [_mean([middle[other] for other in neighbours[name]], middle[name]) for name in column]
            middle |= dict(zip(column, _apart([boxes[name][1] for name in column], preferred), strict=True))
    top = min((middle[name] - boxes[name][1] / 2 for name in boxes), default=0)
    return {name: (left[name], middle[name] - boxes[name][1] / 2 - top) for name in boxes}


def _apart(heights: list[float], preferred: list[float]) -> list[float]:
    """Return middles close to ``preferred``, in the same order and without overlap; the shifts average to zero."""
    places: list[float] = []
    for index, place in enumerate(preferred):
        minimum = places[-1] + (heights[index - 1] + heights[index]) / 2 + GAP_Y if places else place
        places.append(max(place, minimum))
    shift = _mean([place - target for place, target in zip(places, preferred, strict=True)], 0)
    return [place - shift for place in places]


def _mean(values: Sequence[float], default: float) -> float:
    return sum(values) / len(values) if values else default
