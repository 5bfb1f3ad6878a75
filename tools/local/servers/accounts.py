"""PostgreSQL refuses to run as root: which other user it runs as, and where that user has a way to."""

import grp
import hashlib
import os
import pwd
import stat
from functools import cache
from pathlib import Path

from tools.local.errors import UserError
from tools.local.processes import Account

CANDIDATES = ("postgres", "nobody")
# Readable by everyone along the whole path, and not emptied at boot.
SHARED = Path("/var/tmp")  # noqa: S108 - the directory made in it must be ours, see shared_home


@cache
def unprivileged() -> Account | None:
    """None when we are not root and PostgreSQL may run as ourselves."""
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
    """Whether that user can read ``path``, as the permissions of it and of every directory above say."""
    members = {account.gid} | {group.gr_gid for group in grp.getgrall() if account.name in group.gr_mem}
    resolved = path.resolve()
    for part in (resolved, *resolved.parents):
        info = part.stat()
        shift = 6 if info.st_uid == account.uid else 3 if info.st_gid in members else 0
        wanted = stat.S_IXOTH | stat.S_IROTH if part == resolved else stat.S_IXOTH
        if (info.st_mode >> shift) & wanted != wanted:
            return False
    return True


def shared_home(directory: Path) -> Path:
    """The directory outside of the state directory that belongs to ``directory``; see ``make_shared_home``."""
    digest = hashlib.sha256(str(directory.resolve()).encode()).hexdigest()[:12]
    return SHARED / f"stellaops-storage-{os.geteuid()}-{digest}"


def make_shared_home(home: Path, directory: Path) -> None:
    """Create it so that others can pass through but not list it; ``belongs-to`` in it names ``directory``.

    Raises ``UserError`` when it is somebody else's.
    """
    home.mkdir(mode=0o711, exist_ok=True)
    info = home.lstat()
    if not stat.S_ISDIR(info.st_mode) or info.st_uid != os.geteuid():
        raise UserError(f"{home} belongs to somebody else", "remove it, then run make up again")
    home.chmod(0o711)
    # Whoever finds it in /var/tmp shall know whose data these are.
    (home / "belongs-to").write_text(f"{directory}\n", encoding="utf-8")
