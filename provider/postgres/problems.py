"""Problems of migrations, one line each: the place, what is wrong and what to do."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import psycopg


@dataclass(frozen=True)
class MigrationProblem:
    """``file`` is a path, a schema or another place; ``line`` counts from 1 in the rendered file, None for no line."""

    file: str
    line: int | None
    message: str
    remedy: str

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{place}: {self.message}; {self.remedy}"


class MigrationError(Exception):
    """All problems that one check found. ``str()`` has a line for each."""

    def __init__(self, *problems: MigrationProblem) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


def error_text(error: "psycopg.Error") -> str:
    """Return the error of the server or the client library as one line."""
    from psycopg import errors

    diag = error.diag
    if diag.message_primary is None:
        return " ".join(str(error).split())
    parts = [diag.message_primary]
    parts += [
        f"{label}: {text}" for label, text in (("detail", diag.message_detail), ("hint", diag.message_hint)) if text
    ]
    if diag.context:
        parts.append(f"at: {diag.context}")
    if isinstance(error, errors.LockNotAvailable):
        parts.append("another session holds a lock on the table; see pg_locks and pg_stat_activity")
    return " ".join("; ".join(parts).split())
