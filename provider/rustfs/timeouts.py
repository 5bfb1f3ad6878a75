"""Botocore takes a time-out for a lost connection, and asks a silent server again and again: minutes without a word."""

from typing import Any


def never_ask_again_after_one(client: Any) -> None:
    """Let a boto3 client fail at the first time-out. Lost connections and 5xx are asked again as configured."""
    client.meta.events.register_first("needs-retry.*", _give_up)


def _give_up(caught_exception: Exception | None = None, **_: Any) -> None:
    from botocore.exceptions import ConnectTimeoutError, ReadTimeoutError

    if isinstance(caught_exception, ConnectTimeoutError | ReadTimeoutError):
        raise caught_exception
