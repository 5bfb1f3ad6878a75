"""Search for secrets in files, texts, command lines and environments of processes."""

import base64
import json
import os
import subprocess
import threading
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote, quote_plus

PAUSE_SECONDS = 0.02
LOOKS = 50  # checks of each process
SHORTEST = 12  # minimum number of characters of a secret


def forms(secret: str) -> set[bytes]:
    """Return the forms of a secret: plain, JSON, URL-encoded, hex, and base64 at any position of a longer text."""
    raw = secret.encode()
    found = {
        raw,
        json.dumps(secret)[1:-1].encode(),
        quote(secret, safe="").encode(),
        quote(secret).encode(),
        quote_plus(secret).encode(),
        raw.hex().encode(),
    }
    for shift in range(3):
        # Only the middle, because the ends depend on the surrounding text.
        whole = base64.b64encode(b"\0" * shift + raw)
        middle = whole[4 if shift else 0 : -4]
        found |= {middle, middle.replace(b"+", b"-").replace(b"/", b"_")}
    return found


@dataclass(frozen=True)
class Secrets:
    """The secrets to search for: name -> plain text."""

    known: dict[str, str]

    def in_text(self, text: str | bytes, but: Iterable[str] = ()) -> list[str]:
        """Return the names of secrets in a text, except names that start with one of ``but``."""
        raw = text.encode(errors="replace") if isinstance(text, str) else text
        return [
            name
            for name, secret in self.known.items()
            if not name.startswith(tuple(but)) and any(form in raw for form in forms(secret))
        ]

    def in_files(self, *places: Path, newer_than: Path | None = None) -> dict[Path, list[str]]:
        """Return file -> secrets in it, for every file below the places."""
        patterns = b"\n".join(sorted({form for secret in self.known.values() for form in forms(secret)}))
        newer = ["-newer", str(newer_than)] if newer_than else []
        listed = subprocess.run(
            ["find", *map(str, places), "-xdev", "-type", "f", *newer, "-print0"], capture_output=True, check=False
        ).stdout
        files = [name for name in listed.split(b"\0") if name]
        hits: list[bytes] = []
        for start in range(0, len(files), 500):
            # Use standard input, because everybody can read a command line.
            command: list[str | bytes] = ["grep", "-laFZ", "-f", "-", "--", *files[start : start + 500]]
            hits += subprocess.run(command, input=patterns, capture_output=True, check=False).stdout.split(b"\0")
        paths = [Path(name.decode()) for name in hits if name]
        return {path: self.in_text(path.read_bytes()) for path in paths if path.exists()}


@dataclass
class Watcher:
    """Record the command line and environment of every process of the machine."""

    seen: dict[tuple[str, bytes], bytes] = field(default_factory=dict)
    _looks: dict[str, int] = field(default_factory=dict)
    _end: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._end.wait(PAUSE_SECONDS):
            self.look()

    def look(self) -> None:
        """Record new processes. A process calls exec soon after its start, if at all, so older ones are not checked again."""
        running = {name for name in os.listdir("/proc") if name.isdigit()}  # noqa: PTH208 - fifty times a second
        self._looks = {pid: self._looks.get(pid, 0) + 1 for pid in running}
        for pid, looks in self._looks.items():
            if looks <= LOOKS:
                with suppress(OSError):  # the process ended, or belongs to another user
                    place = Path(f"/proc/{pid}")
                    line = (place / "cmdline").read_bytes()
                    if line and (pid, line) not in self.seen:
                        environment = (place / "environ").read_bytes()
                        # Ignore it if the process called exec in between: the environment belongs to the new program.
                        if (place / "cmdline").read_bytes() == line:
                            self.seen[pid, line] = environment

    def command_lines(self, secrets: Secrets) -> list[tuple[str, list[str]]]:
        """Return command lines with the secrets in them."""
        return [(_shown(line), found) for _, line in self.seen.copy() if (found := secrets.in_text(line))]

    def environments(self, secrets: Secrets) -> list[tuple[str, str, list[str]]]:
        """Return (command line, variable, secrets in it)."""
        result = []
        for (_, line), environment in self.seen.copy().items():  # the watcher is still running
            for variable in environment.split(b"\0") if secrets.in_text(environment) else ():
                if found := secrets.in_text(variable):
                    result.append((_shown(line), variable.partition(b"=")[0].decode(errors="replace"), found))
        return result


def _shown(line: bytes) -> str:
    return line.replace(b"\0", b" ").decode(errors="replace")[:300]


def of_deployment(exported: dict[str, Any], generation: str) -> dict[str, str]:
    """Return the passwords and keys that the stack generated, from its state with secrets in plain text."""
    found = {}
    for resource in exported["deployment"]["resources"]:
        kind, name = resource["urn"].split("::")[-2:]
        if kind.startswith("pulumi:providers:"):
            continue  # the admins' own, which stack config has
        for key in ("postgresPassword", "valkeyPassword", "secretKey"):
            value = resource.get("outputs", {}).get(key)
            clear = json.loads(value["plaintext"]) if isinstance(value, dict) else None
            if clear:
                found[f"{generation} {name} {kind.rpartition(':')[2]}.{key}"] = clear
    return found
