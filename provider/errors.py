"""Errors of dynamic resources as one line instead of a traceback.

The SDK's provider server answers every exception with ``traceback.format_exc()``, and has no other way to fail a
create, update, read or delete. ``report_in_one_line`` makes it answer a ``ProviderError`` with its text alone.
"""

import sys
import traceback
from types import SimpleNamespace


class ProviderError(Exception):
    """What is wrong and what to do, for the user to read. Never raised for a fault of the program itself."""


def report_in_one_line() -> None:
    """Call it in a provider's ``configure``. Does nothing outside the SDK's provider server, or when called again.

    Any other exception keeps its traceback.
    """
    server = sys.modules.get("__main__")
    if getattr(server, "DynamicResourceProviderServicer", None) is not None:
        server.traceback = SimpleNamespace(format_exc=_format)  # type: ignore[union-attr]


def _format() -> str:
    error = sys.exc_info()[1]
    return str(error) if isinstance(error, ProviderError) else traceback.format_exc()
