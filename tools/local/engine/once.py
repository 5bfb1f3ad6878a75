"""Directories of the per-user cache that are filled once. Standard library only."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from tools.local.console import Step
from tools.locks import lock


def fill_once(target: Path, name: str, step: Step, fill: Callable[[Path], None]) -> None:
    """Create ``target`` with what ``fill`` writes: whole or not at all, by one process at a time.

    ``name`` is that of the lock and of the unfinished directory; what an interrupted run left under it is removed.
    """
    parent = target.parent
    parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with lock(parent / f".{name}.lock", lambda pid: step.update(f"waiting for another build (pid {pid})")):
        if target.exists():
            return
        for left_over in parent.glob(f".{name}.partial-*"):
            shutil.rmtree(left_over, ignore_errors=True)
        partial = parent / f".{name}.partial-{os.getpid()}"
        partial.mkdir()
        fill(partial)
        partial.rename(target)
