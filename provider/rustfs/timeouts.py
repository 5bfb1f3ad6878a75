"""Limit botocore's retries: by default it also retries after time-outs, so a silent server blocks a run for minutes."""

from typing import Any


def disable_retries_after_timeout(client: Any) -> None:
    """Make a boto3 client fail at the first time-out. It still retries lost connections and 5xx as configured."""
    client.meta.events.register_first("needs-retry.*", _raise_timeout)


def _raise_timeout(caught_exception: Exception | None = None, **_: Any) -> None:
    from botocore.exceptions import ConnectTimeoutError, ReadTimeoutError

    if isinstance(caught_exception, ConnectTimeoutError | ReadTimeoutError):
        raise caught_exception
