"""New users without a restart: ``ACL LOAD`` on each server, until it has read the file that is wanted.

A server's mounted file follows its Secret with up to two minutes' delay, and nobody outside can read it. So the file
carries a mark: a user that is off and may do nothing, named after the rest of the file. Once the server knows the
mark, it has loaded that file. Loading an older one meanwhile does no harm.
"""

import time
from collections.abc import Sequence

from .resp import Connection, Endpoint, MaintenanceError, ServerError, UnreachableError

POLL_SECONDS = 2.0


def reload(among: Sequence[Endpoint], mark: str, wait: float) -> None:
    """Have every server load its ACL file until it knows user ``mark``; ``wait`` seconds at most.

    Raises ``MaintenanceError`` for a server that has not got that far, ``ServerError`` for one that refuses the file.
    """
    deadline = time.monotonic() + wait
    for endpoint in among:
        while (problem := _try(endpoint, mark)) is not None:
            if time.monotonic() >= deadline:
                raise MaintenanceError(f"{endpoint}: {problem}; waited {wait:.0f} s, run this again")
            time.sleep(POLL_SECONDS)


def _try(endpoint: Endpoint, mark: str) -> str | None:
    """What keeps the server from having the users that are wanted; None when it has them."""
    try:
        with Connection(endpoint) as connection:
            if mark in connection.call("ACL", "USERS"):
                return None
            connection.call("ACL", "LOAD")
        # Our own rules may have changed, and with them this connection's end come.
        with Connection(endpoint) as connection:
            if mark in connection.call("ACL", "USERS"):
                return None
    except UnreachableError as error:
        return str(error).removeprefix(f"{endpoint}: ")
    except ServerError as error:
        # A password that was renewed: the file that knows the new one is not there yet.
        if "WRONGPASS" in str(error):
            return "it does not know this user's password yet"
        raise
    return "its ACL file is still the old one"
