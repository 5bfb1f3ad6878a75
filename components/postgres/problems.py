"""What is wrong with a migration, said in one line each: where, what, and what to do."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
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

    def __init__(self, *problems: Problem) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems
