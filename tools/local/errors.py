"""Failures that the user can do something about: one line on standard error, exit code 1."""


class UserError(Exception):
    """``what`` is wrong and what ``todo``; ``details`` (a log's tail) is shown above that line."""

    def __init__(self, what: str, todo: str = "", details: str = "") -> None:
        super().__init__(f"{what}; {todo}" if todo else what)
        self.details = details
