"""PostgreSQL's catalog against the mapping: what ``pulumi refresh`` sees and what it cannot, each difference in words."""

from tools.operations.drift_postgres.check import check

__all__ = ["check"]
