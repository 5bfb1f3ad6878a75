"""Compare the object store with the stack's inventory: buckets with all settings, users, and whoever else has access."""

from tools.operations.drift_rustfs.check import compare

__all__ = ["compare"]
