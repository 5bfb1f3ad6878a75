"""Errors that the user can correct: one line on standard error, exit code 1."""


class UserError(Exception):
    """A problem and its remedy in one line; ``details``, such as the end of a log, are printed above it."""

    def __init__(self, problem: str, remedy: str = "", details: str = "") -> None:
        super().__init__(f"{problem}; {remedy}" if remedy else problem)
        self.details = details
