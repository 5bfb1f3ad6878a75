"""The one error that a user sees."""


class ReviewError(Exception):
    """The comment could not be made: what is wrong and what to do, in one line."""
