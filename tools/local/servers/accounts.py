"""The user that PostgreSQL runs as, since it refuses to run as root, and what that user can read."""

import grp
import os
import pwd
import stat
from functools import cache
from pathlib import Path

from tools.local.errors import UserError
from tools.processes import Account

CANDIDATES = ("postgres", "nobody")


@cache
def unprivileged() -> Account | None:
    """The user that PostgreSQL runs as; None when the current user is not root and runs it itself."""
    if os.geteuid() != 0:
        return None
    for name in CANDIDATES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name, entry.pw_uid, entry.pw_gid)
    raise UserError(
        "PostgreSQL does not run as root, and there is no user postgres or nobody", "run make as another user"
    )


def can_enter(path: Path, account: Account) -> bool:
    """Whether the user can read ``path``, by the permissions of the path and of every directory above it."""
    members = {account.gid} | {group.gr_gid for group in grp.getgrall() if account.name in group.gr_mem}
    resolved = path.resolve()
    for part in (resolved, *resolved.parents):
        info = part.stat()
        shift = 6 if info.st_uid == account.uid else 3 if info.st_gid in members else 0
        required = stat.S_IXOTH | stat.S_IROTH if part == resolved else stat.S_IXOTH
        if (info.st_mode >> shift) & required != required:
            return False
    return True
