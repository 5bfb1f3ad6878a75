"""The virtual environment, installed from ``requirements/development.lock`` and updated when that file changes.

Standard library only.
"""

import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections import deque
from collections.abc import Sequence
from pathlib import Path

from tools.local.console import Console, Step
from tools.local.errors import UserError
from tools.local.paths import ROOT, VENV, cache_directory, short
from tools.locks import lock

LOCK_FILE = ROOT / "requirements" / "development.lock"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / "complete"  # written last; without it, an interrupted installation is continued
NEEDED = (
    "boto3",
    "jinja2",
    "psycopg",
    "pulumi",
    "psutil",
    "pydantic",
    "valkey",
    "yaml",
)  # imported by commands on any stack
LOG_TAIL_LINES = 12


def inside() -> bool:
    """Whether the current interpreter is the virtual environment's."""
    return os.path.realpath(sys.prefix) == os.path.realpath(VENV)


def has_packages() -> bool:
    """Whether the current interpreter has the program's packages, for example in a pipeline's image."""
    return all(importlib.util.find_spec(name) for name in NEEDED)


def enter(arguments: Sequence[str], python: Path = PYTHON) -> None:
    """Replace this process with ``python`` (default: the virtual environment's), which runs the same command."""
    sys.stdout.flush()
    os.execv(python, [str(python), str(ROOT / "tools"), *arguments])


def ensure(console: Console) -> None:
    """Create or complete the virtual environment if needed. Raises ``UserError`` with the end of pip's output."""
    digest = _lock_digest()
    if _is_complete(digest):
        return
    cache_directory().mkdir(mode=0o700, parents=True, exist_ok=True)
    name = hashlib.sha256(str(ROOT).encode()).hexdigest()[:12]
    with console.step("python") as step:
        step.update("creating the virtual environment .venv")
        with lock(cache_directory() / f"venv-{name}.lock", lambda pid: step.update(f"waiting for pid {pid}")):
            if not _is_complete(digest):
                if not _is_usable():
                    _create()
                _install(step)
                STAMP.write_text(digest, encoding="utf-8")
        step.done("virtual environment .venv installed")


def _lock_digest() -> str:
    return hashlib.sha256(LOCK_FILE.read_bytes()).hexdigest()


def _is_complete(digest: str) -> bool:
    try:
        return STAMP.read_text(encoding="utf-8") == digest and PYTHON.exists()
    except OSError:
        return False


def _is_usable() -> bool:
    if inside():
        return True
    try:
        check = "import pip, sys; sys.exit(sys.version_info < (3, 11))"
        return subprocess.run([PYTHON, "-c", check], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def _create() -> None:
    shutil.rmtree(VENV, ignore_errors=True)
    result = subprocess.run(
        [sys.executable, "-m", "venv", str(VENV)], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    if result.returncode:
        shutil.rmtree(VENV, ignore_errors=True)
        output = result.stdout + result.stderr
        if "ensurepip" in output:
            raise UserError(
                f"{sys.executable} can't create virtual environments", "install python3-venv, then run make up"
            )
        raise UserError(
            "the virtual environment can't be created", "fix the error above, then run make up again", output
        )


def _install(step: Step) -> None:
    command = [
        PYTHON, "-m", "pip", "install", "--no-input", "--disable-pip-version-check", "--progress-bar=off",
        "--require-hashes", "--requirement", LOCK_FILE,
    ]  # fmt: skip
    tail: deque[str] = deque(maxlen=LOG_TAIL_LINES)
    total = len(re.findall(r"^[^\s#]", LOCK_FILE.read_text(encoding="utf-8"), re.MULTILINE))
    collected = 0
    with subprocess.Popen(
        [str(part) for part in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:  # fmt: skip
        try:
            for line in process.stdout or ():
                tail.append(line.rstrip())
                if line.startswith(("Collecting", "Requirement already")):
                    collected += 1
                    step.update(f"installing packages, {min(collected, total)} of {total}")
                elif line.startswith("Installing"):
                    step.update(f"installing {total} packages")
            code = process.wait()
        except BaseException:
            process.terminate()
            raise
    if code:
        output = "\n".join(tail)
        disk_full = "No space left" in output
        remedy = "make room" if disk_full else "see pip's output above (no network? see `pip config list`)"
        problem = "the disk is full" if disk_full else f"pip could not install {short(LOCK_FILE)}"
        raise UserError(problem, f"{remedy}, then run make up again: it continues where it stopped", output)
