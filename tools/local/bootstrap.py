"""The virtual environment, installed from ``requirements/development.lock`` once, and again when that file changes.

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
)  # what commands on any stack import
LOG_TAIL_LINES = 12


def inside() -> bool:
    """Whether the virtual environment's interpreter runs this."""
    return os.path.realpath(sys.prefix) == os.path.realpath(VENV)


def has_packages() -> bool:
    """Whether this interpreter can run the program itself: its packages are installed here, as in a pipeline's image."""
    return all(importlib.util.find_spec(name) for name in NEEDED)


def enter(arguments: Sequence[str], python: Path = PYTHON) -> None:
    """Replace this process by the virtual environment's interpreter, or another, with the same command. Does not return."""
    sys.stdout.flush()
    os.execv(python, [str(python), str(ROOT / "tools"), *arguments])


def ensure(console: Console) -> None:
    """Complete the virtual environment where it is not. Raises ``UserError`` with the end of pip's output."""
    wanted = _wanted()
    if _complete(wanted):
        return
    cache_directory().mkdir(mode=0o700, parents=True, exist_ok=True)
    name = hashlib.sha256(str(ROOT).encode()).hexdigest()[:12]
    with console.step("python") as step:
        step.update("creating the virtual environment .venv")
        with lock(cache_directory() / f"venv-{name}.lock", lambda pid: step.update(f"waiting for pid {pid}")):
            if not _complete(wanted):
                if not _healthy():
                    _make()
                _install(step)
                STAMP.write_text(wanted, encoding="utf-8")
        step.done("virtual environment .venv installed")


def _wanted() -> str:
    return hashlib.sha256(LOCK_FILE.read_bytes()).hexdigest()


def _complete(wanted: str) -> bool:
    try:
        return STAMP.read_text(encoding="utf-8") == wanted and PYTHON.exists()
    except OSError:
        return False


def _healthy() -> bool:
    if inside():
        return True
    try:
        check = "import pip, sys; sys.exit(sys.version_info < (3, 11))"
        return subprocess.run([PYTHON, "-c", check], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def _make() -> None:
    shutil.rmtree(VENV, ignore_errors=True)
    made = subprocess.run(
        [sys.executable, "-m", "venv", str(VENV)], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    if made.returncode:
        shutil.rmtree(VENV, ignore_errors=True)
        output = made.stdout + made.stderr
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
    seen = 0
    with subprocess.Popen(
        [str(part) for part in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:  # fmt: skip
        try:
            for line in process.stdout or ():
                tail.append(line.rstrip())
                if line.startswith(("Collecting", "Requirement already")):
                    seen += 1
                    step.update(f"installing packages, {min(seen, total)} of {total}")
                elif line.startswith("Installing"):
                    step.update(f"installing {total} packages")
            code = process.wait()
        except BaseException:
            process.terminate()
            raise
    if code:
        output = "\n".join(tail)
        full = "No space left" in output
        todo = "make room" if full else "see pip's output above (no network? see `pip config list`)"
        what = "the disk is full" if full else f"pip could not install {short(LOCK_FILE)}"
        raise UserError(what, f"{todo}, then run make up again: it continues where it stopped", output)
