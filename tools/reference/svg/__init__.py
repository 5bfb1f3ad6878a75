"""Draw Mermaid diagrams as inline SVG without a browser, for the subset of Mermaid that our pages use."""

from tools.reference.svg.draw import draw
from tools.reference.svg.graph import DiagramError, parse

__all__ = ["DiagramError", "draw", "parse"]
