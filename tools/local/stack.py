"""The engine's side of the local stack: its state, what a killed run left there, and running it with progress."""

import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import psutil

from tools.local import environment
from tools.local.ballast import Ballast
from tools.local.console import Console
from tools.local.engine.tools import Engine
from tools.local.errors import UserError
from tools.local.paths import PROJECT, ROOT, STACK, State, read_json, short, write_private
from tools.local.progress import Progress

PASSPHRASE_BYTES = 32
POLL_SECONDS = 0.2
# Their create fails when the object is there already; their id is their name.
NOT_CREATED_TWICE = frozenset({"postgresql:index/role:Role", "postgresql:index/database:Database"})


class Stack:
    """Stack ``local`` in one state directory."""

    def __init__(self, state: State, engine: Engine) -> None:
        self.state = state
        self.engine = engine
        self.environment = environment.of_engine(state, engine)

    def ensure(self) -> None:
        """Have the passphrase and the stack. Raises ``UserError``."""
        if not self.state.passphrase.exists():
            if self.state.checkpoint.exists():
                raise UserError(
                    f"{self.state.passphrase} is gone, and with it the key to the stack's secrets",
                    "put it back, or `make clean` and `make up` for a new stack",
                )
            write_private(self.state.passphrase, secrets.token_urlsafe(PASSPHRASE_BYTES))
        self._mend_checkpoint()
        if not self.state.checkpoint.exists():
            # In a directory of its own: `stack init` writes into the stack's file, and that one is committed.
            place = self.state.directory / "project"
            place.mkdir(mode=0o700, exist_ok=True)
            (place / "Pulumi.yaml").write_text(f"name: {PROJECT}\nruntime: python\n", encoding="utf-8")
            self.capture("stack", "init", STACK, "--no-select", cwd=place)

    def _mend_checkpoint(self) -> None:
        """On a disk that stays full the engine replaces its state by a part of it; its copies may be whole."""
        damaged = self.state.checkpoint
        if not damaged.exists() or "checkpoint" in read_json(damaged):
            return
        copies = sorted((self.state.backend / ".pulumi" / "backups" / PROJECT / STACK).glob("*.json"), reverse=True)
        for copy in (damaged.with_suffix(".json.bak"), *copies):
            if "checkpoint" in read_json(copy):
                write_private(damaged, copy.read_text(encoding="utf-8"))
                return
        what = f"the engine's state {short(damaged)} is damaged, and so are its copies"
        raise UserError(what, "`make clean`, then `make up` for a new stack")

    @property
    def latest(self) -> dict[str, Any]:
        """The stack's state as it was last written; empty before the first ``up``."""
        latest: dict[str, Any] = read_json(self.state.checkpoint).get("checkpoint", {}).get("latest") or {}
        return latest

    def salt(self) -> str:
        """What the stack's encryption key is derived from, besides the passphrase."""
        return str(self.latest["secrets_providers"]["state"]["salt"])

    def set_secret(self, file: Path, key: str, value: str) -> None:
        """Encrypt a value into a config file. It goes by standard input: a command line is for everyone to read."""
        self.capture("config", "set", "--secret", key, "--config-file", str(file), text=value)

    def has_resources(self) -> bool:
        """Whether the engine believes that there is anything in the stores."""
        return bool(self.latest.get("resources"))

    def heal(self, console: Console) -> None:
        """Clear away what a killed engine left: its lock, and operations that it did not finish.

        Waits for one that is still at work, as when its ``make`` alone was killed. Raises ``UserError`` when the lock's
        holder is on another host.
        """
        kept = self.state.backend / ".pulumi"
        for file in (kept / "locks").rglob("*.json"):
            holder = read_json(file)
            pid = int(holder.get("pid", 0))
            host = holder.get("hostname", "")
            if host not in ("", socket.gethostname()):
                todo = 'if it is not, `make pulumi ARGS="cancel --yes"` removes its lock'
                raise UserError(f"the engine on {host} (pid {pid}) may be at work on this stack", todo)
            if _is_engine(pid):
                _wait_for(pid, console)
            if not file.exists():
                continue
            file.unlink(missing_ok=True)
            console.line("engine", f"removed the lock of an engine that was killed (pid {pid})")
        # Written aside and not renamed any more, by a kill or a full disk: among the locks it would stop every later run.
        for file in kept.rglob("*.tmp"):
            file.unlink(missing_ok=True)
        self._take_up_pending(console)

    def _take_up_pending(self, console: Console) -> None:
        """Look again at what a killed engine was creating: it may exist, and the state does not know it.

        What could not be created a second time goes into the state as if it had been made; a refresh of it alone then
        keeps what is there and forgets what is not. Everything else is created anew, which does no harm.
        """
        pending = self.latest.get("pending_operations") or []
        if not pending:
            return
        exported = json.loads(self.capture("stack", "export"))
        deployment = exported["deployment"]
        known = {resource["urn"] for resource in deployment.get("resources", [])}
        taken_up = [
            {
                **operation["resource"],
                "id": operation["resource"]["inputs"]["name"],
                "outputs": operation["resource"]["inputs"],
            }
            for operation in deployment["pending_operations"]
            if operation["type"] == "creating"
            and operation["resource"]["type"] in NOT_CREATED_TWICE
            and operation["resource"]["urn"] not in known
        ]
        deployment["pending_operations"] = []
        deployment["resources"] = [*deployment.get("resources", []), *taken_up]
        file = self.state.directory / "import.json"
        write_private(file, json.dumps(exported))
        try:
            self.capture("stack", "import", "--file", str(file))
        finally:
            file.unlink(missing_ok=True)
        console.line("engine", f"a run was interrupted during {len(pending)} operations; they are looked at again")
        if taken_up:
            targets = [part for resource in taken_up for part in ("--target", resource["urn"])]
            self.capture("refresh", "--yes", "--skip-preview", *targets)

    def outputs(self) -> dict[str, Any]:
        """The stack's outputs, secrets in clear."""
        outputs: dict[str, Any] = json.loads(self.capture("stack", "output", "--json", "--show-secrets"))
        return outputs

    def capture(self, *arguments: str, text: str = "", cwd: Path = ROOT) -> str:
        """Run a short command; its output. Raises ``UserError`` with what the engine said."""
        result = subprocess.run(
            [self.engine.pulumi, "--non-interactive", "--color=never", *arguments],
            cwd=cwd, env=self.environment, input=text, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if result.returncode:
            said = result.stderr.strip().removeprefix("error: ")
            raise UserError(
                f"pulumi {' '.join(arguments[:2])} failed: {said}", "put that right, then run make up again"
            )
        return result.stdout

    def replace_process(self, arguments: Sequence[str]) -> None:
        """Become the engine, on the user's terminal. Does not return."""
        os.execve(self.engine.pulumi, [str(self.engine.pulumi), *arguments], self.environment)

    def show(self, *arguments: str) -> int:
        """Run a command and let its output through; its exit code."""
        process = subprocess.Popen(
            [self.engine.pulumi, "--non-interactive", *arguments],
            cwd=ROOT, env=self.environment, stdin=subprocess.DEVNULL, process_group=0,
        )  # fmt: skip
        with _guarded(process):
            return process.wait()

    def run(self, console: Console, *arguments: str, settings: Mapping[str, str] | None = None) -> int:
        """Run a long command with progress; its exit code. Raises ``UserError`` when the disk filled up meanwhile."""
        colour = "always" if console.coloured else "never"
        with subprocess.Popen(
            [self.engine.pulumi, "--non-interactive", f"--color={colour}", *arguments, "--suppress-outputs"],
            cwd=ROOT, env={**self.environment, **(settings or {})}, stdin=subprocess.DEVNULL, process_group=0, text=True,
            errors="replace", stdout=subprocess.PIPE, stderr=subprocess.STDOUT, bufsize=1,
        ) as process:  # fmt: skip
            progress = Progress(console)
            stop = partial(_ask_to_end, process, "the disk is full")
            with _guarded(process), Ballast(self.state.directory, self.state.checkpoint, stop) as ballast:
                for line in process.stdout or ():
                    progress.feed(line)
                console.clear()
                code = process.wait()
        if code and ballast.released:
            what = f"the disk is full at {short(self.state.directory)}"
            raise UserError(what, "make room, then run make up again: it goes on where it stopped")
        return code


@contextmanager
def _guarded(process: "subprocess.Popen[Any]") -> Iterator[None]:
    """A first Ctrl-C asks the engine to finish what it has begun; a second one ends it. Then raises KeyboardInterrupt."""
    asked = 0

    def ask(_signal: int, _frame: FrameType | None) -> None:
        nonlocal asked
        asked += 1
        if asked > 1:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        else:
            _ask_to_end(process, "interrupted")

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
        process.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if asked:
        raise KeyboardInterrupt


def _ask_to_end(process: "subprocess.Popen[Any]", why: str) -> None:
    # The engine has a process group of its own: it gets this one signal and not two, which would end it at once.
    with contextlib.suppress(ProcessLookupError):
        os.kill(process.pid, signal.SIGINT)
        print(f"\n{why}: the engine finishes what it has begun; Ctrl-C again ends it at once", flush=True)


def _wait_for(pid: int, console: Console) -> None:
    with console.step("engine") as step:
        step.update(f"another engine (pid {pid}) is at work on this stack; waiting for it, `kill {pid}` would stop it")
        while _is_engine(pid):
            time.sleep(POLL_SECONDS)
        step.done(f"another engine (pid {pid}) was at work on this stack; it has ended")


def _is_engine(pid: int) -> bool:
    try:
        process = psutil.Process(pid)
        return bool(process.status() != psutil.STATUS_ZOMBIE) and process.name().startswith("pulumi")
    except psutil.Error:
        return False
