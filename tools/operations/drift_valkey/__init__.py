"""Compare Valkey with the mapping: users, settings, keys, streams, consumer groups and the state of the server."""

from tools.operations.drift_valkey.check import check

__all__ = ["check"]
