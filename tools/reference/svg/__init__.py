"""Diagrams as inline SVG: the part of Mermaid that our pages use, read, laid out and drawn without a browser."""

from tools.reference.svg.draw import draw
from tools.reference.svg.graph import DiagramError, parse

__all__ = ["DiagramError", "draw", "parse"]
