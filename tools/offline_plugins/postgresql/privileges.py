"""Privileges as sets of keywords, and the query for a role's privileges on an object."""

from collections.abc import Iterable

from psycopg import sql

from tools.offline_plugins.postgresql.declarations import PRIVILEGES, PUBLIC

MAINTAIN_SINCE = 170000  # server version
# An object without an ACL has the default of its type, in which PUBLIC may have privileges.
GRANTED = """ARRAY(SELECT DISTINCT privilege_type::text
    FROM aclexplode(coalesce({acl}, acldefault('{kind}', {owner}))) WHERE grantee = %s ORDER BY 1)"""


def expand(type_: str, privileges: Iterable[str], version: int) -> set[str]:
    """Replace ALL with every privilege that the type has on this server."""
    wanted = set(privileges)
    if "ALL" in wanted:
        wanted = {word for word in PRIVILEGES[type_] if word != "MAINTAIN" or version >= MAINTAIN_SINCE}
    return wanted


def words(privileges: Iterable[str]) -> sql.Composed:
    """Format privileges like ``SELECT, INSERT``. Unknown words are dropped, so nothing else gets into a statement."""
    known = {word for of_type in PRIVILEGES.values() for word in of_type} | {"ALL"}
    return sql.SQL(", ").join(sql.SQL(word) for word in sorted(privileges) if word in known)


def grantee(role: str) -> sql.Composable:
    return sql.SQL("PUBLIC") if role == PUBLIC else sql.Identifier(role)
