"""Errors that the user can correct: one line on standard error, exit code 1."""


class UserError(Exception):
    """``what`` is wrong, ``todo`` is the remedy; ``details``, such as the end of a log, are printed above that line."""

    def __init__(self, what: str, todo: str = "", details: str = "") -> None:
        super().__init__(f"{what}; {todo}" if todo else what)
        self.details = details
