"""Privileges as sets of words, and what of them a role has on an object."""

from collections.abc import Iterable

from psycopg import sql

from tools.offline_plugins.postgresql.declarations import PRIVILEGES, PUBLIC

MAINTAIN_SINCE = 170000  # server version
# What aclexplode makes of an object without an ACL of its own is the type's default: PUBLIC may have privileges there.
HELD = """ARRAY(SELECT DISTINCT privilege_type::text
    FROM aclexplode(coalesce({acl}, acldefault('{kind}', {owner}))) WHERE grantee = %s ORDER BY 1)"""


def expand(type_: str, privileges: Iterable[str], version: int) -> set[str]:
    """ALL stands for every privilege that the type has on this server."""
    wanted = set(privileges)
    if "ALL" in wanted:
        wanted = {word for word in PRIVILEGES[type_] if word != "MAINTAIN" or version >= MAINTAIN_SINCE}
    return wanted


def words(privileges: Iterable[str]) -> sql.Composed:
    """``SELECT, INSERT``: checked against the known words, so that nothing else can get into a statement."""
    known = {word for of_type in PRIVILEGES.values() for word in of_type} | {"ALL"}
    return sql.SQL(", ").join(sql.SQL(word) for word in sorted(privileges) if word in known)


def grantee(role: str) -> sql.Composable:
    return sql.SQL("PUBLIC") if role == PUBLIC else sql.Identifier(role)
