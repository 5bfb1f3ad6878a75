"""Paths: the clone, the state directory, the user's cache."""

import contextlib
import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv"
STACK = "local"
PROJECT = "stellaops-storage"

PRIVATE_FILE = 0o600
PRIVATE_DIRECTORY = 0o700


@dataclass(frozen=True)
class State:
    """The state directory of a local stack: data, ports, root credentials, the engine's backend. Mode 0700."""

    directory: Path

    @staticmethod
    def current() -> "State":
        """``STELLAOPS_STATE_DIR``, or ``.state`` in the clone."""
        chosen = os.environ.get("STELLAOPS_STATE_DIR")
        return State(Path(chosen).absolute() if chosen else ROOT / ".state")

    @property
    def servers(self) -> Path:
        return self.directory / "servers"

    @property
    def backend(self) -> Path:
        return self.directory / "backend"

    @property
    def pulumi_home(self) -> Path:
        return self.directory / "pulumi-home"

    @property
    def passphrase(self) -> Path:
        return self.directory / "passphrase"

    @property
    def config(self) -> Path:
        return self.directory / f"Pulumi.{STACK}.yaml"

    @property
    def rendered(self) -> Path:
        return self.directory / "rendered"

    @property
    def first_run(self) -> Path:
        """A marker that exists during a first run: ``tools/local/first_run.py``."""
        return self.directory / "first-run"

    @property
    def lock(self) -> Path:
        return self.directory / "lock"

    @property
    def checkpoint(self) -> Path:
        """The stack's state in the engine's file backend."""
        return self.backend / ".pulumi" / "stacks" / PROJECT / f"{STACK}.json"

    def make(self) -> None:
        """Create the directories that every command needs."""
        for directory in (self.directory, self.servers, self.backend, self.pulumi_home):
            directory.mkdir(mode=PRIVATE_DIRECTORY, parents=True, exist_ok=True)


def cache_directory() -> Path:
    """The user's cache of built tools, shared by all clones."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG specification says to ignore a relative path.
    return (Path(base) if base.startswith("/") else Path.home() / ".cache") / PROJECT


def write_private(path: Path, text: str) -> None:
    """Write a file of mode 0600 atomically."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        Path(name).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file; empty when the file is missing or damaged."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def short(path: Path) -> str:
    """The path, relative to the clone if it is inside the clone."""
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)
