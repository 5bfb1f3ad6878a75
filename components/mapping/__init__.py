"""``schema-mapping.yaml``: its model, its loader with located errors, and the access that follows from it."""

from components.mapping.loader import MappingError, load, loads
from components.mapping.mapping import Mapping

__all__ = ["Mapping", "MappingError", "load", "loads"]
