"""Arguments of ``ACL SETUSER``: shared by the rendered ACL file and by the provider that applies users to a server.

Imports nothing from the project, so that the provider starts without the mapping and the templates.
"""

import re
from collections.abc import Iterable

# The user of health probes: no password, no keys, only PING. Modules and services can't have a name with a hyphen.
PROBE_USER = "health-probe"

_SHA256 = re.compile(r"[0-9a-f]{64}")


def set_user(sha256: str, rules: Iterable[str]) -> tuple[str, ...]:
    """Return all arguments that follow ``ACL SETUSER name``; they replace the user's password and rules.

    Raises ValueError if ``sha256`` is not a SHA-256 in hex.
    """
    return ("reset", "on", "#" + checked_sha256(sha256), *rules)


def is_sha256(text: str) -> bool:
    return _SHA256.fullmatch(text) is not None


def checked_sha256(text: str) -> str:
    """Return ``text``. Raises ValueError if it is not a SHA-256 in hex; the message omits ``text``, maybe a password."""
    if not is_sha256(text):
        raise ValueError("a Valkey password must be given as its SHA-256, 64 lower-case hexadecimal digits")
    return text
