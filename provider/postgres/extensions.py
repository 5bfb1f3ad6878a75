"""Extensions that a server cannot install."""

import difflib
from collections.abc import Collection
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from provider.postgres.server import PostgresServer


def unavailable(server: "PostgresServer", extensions: Collection[str]) -> dict[str, str]:
    """Return extension -> remedy for each that is not installed on the server's host.

    Raises ``psycopg.Error`` if the server cannot be read.
    """
    with server.open(server.maintenance_database) as connection:
        rows = connection.execute("SELECT name::pg_catalog.text FROM pg_catalog.pg_available_extensions").fetchall()
    available = {str(name) for (name,) in rows}
    return {name: _remedy(name, available) for name in extensions if name not in available}


def _remedy(name: str, available: Collection[str]) -> str:
    near = difflib.get_close_matches(name, sorted(available), n=1)
    if near:
        return f'did you mean "{near[0]}"?'
    return "install its package on the server's host, or remove it from the mapping"
