"""Load new users without a restart: run ``ACL LOAD`` on each server until it has the expected version of the file.

Kubernetes updates the mounted file up to two minutes after its Secret, and the file cannot be read from outside the pod.
The file therefore contains a mark: a user that is off, has no permissions, and is named after a hash of the file. If the
server has that user, it has loaded that version. Loading an older version in the meantime is harmless.
"""

import time
from collections.abc import Sequence

from .resp import Connection, Endpoint, MaintenanceError, ServerError, UnreachableError

POLL_SECONDS = 2.0


def reload(servers: Sequence[Endpoint], mark: str, wait: float) -> None:
    """Make every server load its ACL file until it has the user ``mark``, for at most ``wait`` seconds.

    Raises ``MaintenanceError`` if a server still has an older version, ``ServerError`` if it refuses the file.
    """
    deadline = time.monotonic() + wait
    for endpoint in servers:
        while (problem := _load(endpoint, mark)) is not None:
            if time.monotonic() >= deadline:
                raise MaintenanceError(f"{endpoint}: {problem}; waited {wait:.0f} s, run this again")
            time.sleep(POLL_SECONDS)


def _load(endpoint: Endpoint, mark: str) -> str | None:
    """Load the ACL file if necessary. Return why the server does not have the expected users yet, or None if it has."""
    try:
        with Connection(endpoint) as connection:
            if mark in connection.call("ACL", "USERS"):
                return None
            connection.call("ACL", "LOAD")
        # ACL LOAD may have changed our own user and closed the connection.
        with Connection(endpoint) as connection:
            if mark in connection.call("ACL", "USERS"):
                return None
    except UnreachableError as error:
        return str(error).removeprefix(f"{endpoint}: ")
    except ServerError as error:
        # Our password was rotated, and the file with the new one has not arrived yet.
        if "WRONGPASS" in str(error):
            return "it does not have this user's new password yet"
        raise
    return "its ACL file is still the old one"
