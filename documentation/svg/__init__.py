"""Diagrams as inline SVG: the part of Mermaid that our pages use, read, laid out and drawn without a browser."""

from documentation.svg.draw import draw
from documentation.svg.graph import DiagramError, parse

__all__ = ["DiagramError", "draw", "parse"]
