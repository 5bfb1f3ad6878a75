"""What is wrong with a migration, said in one line each: where, what, and what to do."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import psycopg


@dataclass(frozen=True)
class MigrationProblem:
    """``file`` is a path or a schema; ``line`` counts from 1 in the file as rendered, None when no line is to blame."""

    file: str
    line: int | None
    what: str
    todo: str

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{place}: {self.what}; {self.todo}"


class MigrationError(Exception):
    """One or more problems, all that were found at once. ``str()`` has one line a problem."""

    def __init__(self, *problems: MigrationProblem) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


def error_text(error: "psycopg.Error") -> str:
    """What the server, or the client library, says, in one line."""
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
        parts.append("somebody else holds the table; see pg_locks and pg_stat_activity")
    return " ".join("; ".join(parts).split())
