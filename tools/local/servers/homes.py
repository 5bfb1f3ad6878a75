"""Home directories in /var/tmp for PostgreSQL's data, used if ``make`` runs as root.

PostgreSQL then runs as another user, which can't enter root's private directories. A server's home is named after a random
id, stored in the server's directory in the state directory: a new state directory never finds the data of a deleted one,
even at the same path. ``owner.json`` in the home names the server's directory, to detect that it was deleted.
"""

import json
import os
import secrets
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tools.local.errors import UserError
from tools.local.paths import PRIVATE_DIRECTORY, read_json, write_private

# Every user can traverse this path, and the system does not empty it at boot.
PARENT = Path("/var/tmp")  # noqa: S108 - create() checks that the directory in it is ours
ID_BYTES = 6
OWNER_FILE = "owner.json"


@dataclass(frozen=True)
class Orphan:
    """A home that no state directory refers to any more."""

    home: Path
    directory: Path  # the deleted server directory


def home_of(directory: Path) -> Path:
    """The home of the server in ``directory``; its id is created on first use."""
    file = _id_file(directory)
    if not file.exists():
        directory.mkdir(mode=PRIVATE_DIRECTORY, parents=True, exist_ok=True)
        write_private(file, secrets.token_hex(ID_BYTES))
    return _home(file.read_text(encoding="ascii").strip())


def create(home: Path, directory: Path) -> None:
    """Create the home, which other users can traverse but not list. Raises ``UserError``."""
    home.mkdir(mode=0o711, exist_ok=True)
    info = home.lstat()
    if not stat.S_ISDIR(info.st_mode) or info.st_uid != os.geteuid():
        raise UserError(f"{home} belongs to another user", "remove it, then run make up again")
    home.chmod(0o711)
    resolved = directory.resolve()
    owner = {"directory": str(resolved), "mount": str(_mount_point(resolved))}
    write_private(home / OWNER_FILE, json.dumps(owner))


def orphans() -> Iterator[Orphan]:
    """The homes whose server directory is gone, or now has another home.

    A directory on a file system that is not mounted does not count as gone.
    """
    for home in sorted(PARENT.glob(_home("*").name)):
        owner = read_json(home / OWNER_FILE)
        if not owner or home.lstat().st_uid != os.geteuid():
            continue
        directory = Path(owner["directory"])
        try:
            current = _home(_id_file(directory).read_text(encoding="ascii").strip())
        except (FileNotFoundError, NotADirectoryError):
            current = None
        except OSError:
            continue
        if current != home and os.path.ismount(owner["mount"]):
            yield Orphan(home, directory)


def _home(identifier: str) -> Path:
    return PARENT / f"stellaops-storage-{os.geteuid()}-{identifier}"


def _id_file(directory: Path) -> Path:
    return directory / "home-id"


def _mount_point(path: Path) -> Path:
    return next(parent for parent in (path, *path.parents) if os.path.ismount(parent))
