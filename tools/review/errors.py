"""The error of the review commands."""


class ReviewError(Exception):
    """The review cannot continue. The message states the problem and the remedy in one line."""
