"""Compare PostgreSQL's catalog with the mapping, including objects that ``pulumi refresh`` does not read."""

from tools.operations.drift_postgres.check import check

__all__ = ["check"]
