"""Fill a directory of the per-user cache once. Standard library only."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from tools.local.console import Step
from tools.locks import lock


def fill_once(target: Path, name: str, step: Step, fill: Callable[[Path], None]) -> None:
    """Create ``target`` with the files that ``fill`` writes, atomically and in one process at a time.

    ``name`` is part of the names of the lock and the unfinished directory. Unfinished directories of interrupted runs are
    removed.
    """
    parent = target.parent
    parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with lock(parent / f".{name}.lock", lambda pid: step.update(f"waiting for another build (pid {pid})")):
        if target.exists():
            return
        for unfinished in parent.glob(f".{name}.partial-*"):
            shutil.rmtree(unfinished, ignore_errors=True)
        partial = parent / f".{name}.partial-{os.getpid()}"
        partial.mkdir()
        fill(partial)
        partial.rename(target)
