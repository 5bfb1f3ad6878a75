"""Looking for secrets where they must not be: in files, in texts, in what processes show of themselves."""

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
LOOKS = 50  # at each process
SHORTEST = 12  # characters of what counts as a secret


def forms(secret: str) -> set[bytes]:
    """The secret as it is, in JSON, in URLs, in hex, and in base64 at any place of a longer text."""
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
        # Only the middle: its ends depend on what stands before and after.
        whole = base64.b64encode(b"\0" * shift + raw)
        middle = whole[4 if shift else 0 : -4]
        found |= {middle, middle.replace(b"+", b"-").replace(b"/", b"_")}
    return found


@dataclass(frozen=True)
class Secrets:
    """What is looked for: name -> the secret in clear."""

    known: dict[str, str]

    def in_text(self, text: str | bytes, but: Iterable[str] = ()) -> list[str]:
        """The names of those that stand in a text; those whose names begin with one of ``but`` may."""
        raw = text.encode(errors="replace") if isinstance(text, str) else text
        return [
            name
            for name, secret in self.known.items()
            if not name.startswith(tuple(but)) and any(form in raw for form in forms(secret))
        ]

    def in_files(self, *places: Path, newer_than: Path | None = None) -> dict[Path, list[str]]:
        """File -> secrets in it, of every file below the places."""
        patterns = b"\n".join(sorted({form for secret in self.known.values() for form in forms(secret)}))
        newer = ["-newer", str(newer_than)] if newer_than else []
        listed = subprocess.run(
            ["find", *map(str, places), "-xdev", "-type", "f", *newer, "-print0"], capture_output=True, check=False
        ).stdout
        files = [name for name in listed.split(b"\0") if name]
        hits: list[bytes] = []
        for start in range(0, len(files), 500):
            # By standard input: a command line is for everyone to read.
            command: list[str | bytes] = ["grep", "-laFZ", "-f", "-", "--", *files[start : start + 500]]
            hits += subprocess.run(command, input=patterns, capture_output=True, check=False).stdout.split(b"\0")
        paths = [Path(name.decode()) for name in hits if name]
        return {path: self.in_text(path.read_bytes()) for path in paths if path.exists()}


@dataclass
class Watcher:
    """Records command line and environment of every process of the machine while it runs."""

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
        """A process becomes another program soon after it began, if at all: old ones are not looked at again."""
        running = {name for name in os.listdir("/proc") if name.isdigit()}  # noqa: PTH208 - fifty times a second
        self._looks = {pid: self._looks.get(pid, 0) + 1 for pid in running}
        for pid, looks in self._looks.items():
            if looks <= LOOKS:
                with suppress(OSError):  # ended meanwhile, or another user's
                    place = Path(f"/proc/{pid}")
                    line = (place / "cmdline").read_bytes()
                    if line and (pid, line) not in self.seen:
                        environment = (place / "environ").read_bytes()
                        # Not if it became another program in between: that one's environment is not this one's.
                        if (place / "cmdline").read_bytes() == line:
                            self.seen[pid, line] = environment

    def command_lines(self, secrets: Secrets) -> list[tuple[str, list[str]]]:
        """(command line, secrets in it)."""
        return [(_shown(line), found) for _, line in self.seen.copy() if (found := secrets.in_text(line))]

    def environments(self, secrets: Secrets) -> list[tuple[str, str, list[str]]]:
        """(command line, variable, secrets in it)."""
        result = []
        for (_, line), environment in self.seen.copy().items():  # it goes on watching
            for variable in environment.split(b"\0") if secrets.in_text(environment) else ():
                if found := secrets.in_text(variable):
                    result.append((_shown(line), variable.partition(b"=")[0].decode(errors="replace"), found))
        return result


def _shown(line: bytes) -> str:
    return line.replace(b"\0", b" ").decode(errors="replace")[:300]


def of_deployment(exported: dict[str, Any], generation: str) -> dict[str, str]:
    """The passwords and keys that the stack generated, of its state with secrets in clear."""
    found = {}
    for resource in exported["deployment"]["resources"]:
        kind, name = resource["urn"].split("::")[-2:]
        for key in ("postgresPassword", "valkeyPassword", "secretKey"):
            value = resource.get("outputs", {}).get(key)
            clear = json.loads(value["plaintext"]) if isinstance(value, dict) else None
            if clear:
                found[f"{generation} {name} {kind.rpartition(':')[2]}.{key}"] = clear
    return found
