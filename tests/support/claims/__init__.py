"""What the sentences of a review claim, and whether the servers agree. ``Claims`` compares them."""

from tests.support.claims import checks, kubernetes, objects, postgres, valkey
from tests.support.claims.compare import Claims

__all__ = ["Claims", "checks", "kubernetes", "objects", "postgres", "valkey"]
