"""Stack ``local``: its passphrase, its state, recovery after an interrupted run, and running the engine on it."""

import json
import secrets
import socket
import time
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from tools.local import environment
from tools.local.console import Console
from tools.local.disk_reserve import DiskReserve
from tools.local.engine.tools import Engine
from tools.local.errors import UserError
from tools.local.paths import PROJECT, ROOT, STACK, State, read_json, short, write_private
from tools.local.progress import Progress
from tools.pulumi_cli import PulumiCli, PulumiError

PASSPHRASE_BYTES = 32
POLL_SECONDS = 0.2
# Resource types whose create fails when the object exists; their id is their name.
READOPTED_TYPES = frozenset({"postgresql:index/role:Role", "postgresql:index/database:Database"})


class Stack:
    """Stack ``local`` in one state directory."""

    def __init__(self, state: State, engine: Engine) -> None:
        self.state = state
        self.engine = engine
        self.environment = environment.of_engine(state, engine)
        self.cli = PulumiCli(engine.pulumi, self.environment, ROOT)

    def ensure(self) -> None:
        """Create the passphrase and the stack if they are missing. Raises ``UserError``."""
        if not self.state.passphrase.exists():
            if self.state.checkpoint.exists():
                raise UserError(
                    f"{self.state.passphrase} is missing; without it the stack's secrets can't be decrypted",
                    "restore it, or run `make clean` and `make up` for a new stack",
                )
            write_private(self.state.passphrase, secrets.token_urlsafe(PASSPHRASE_BYTES))
        self._restore_checkpoint()
        if not self.state.checkpoint.exists():
            # In a separate directory, because `stack init` writes to the project's stack file, and ours is committed.
            project = self.state.directory / "project"
            project.mkdir(mode=0o700, exist_ok=True)
            (project / "Pulumi.yaml").write_text(f"name: {PROJECT}\nruntime: python\n", encoding="utf-8")
            self._capture(replace(self.cli, directory=project), "stack", "init", STACK, "--no-select")

    def _restore_checkpoint(self) -> None:
        """Replace a state file that was truncated on a full disk by its newest complete copy."""
        damaged = self.state.checkpoint
        if not damaged.exists() or "checkpoint" in read_json(damaged):
            return
        copies = sorted((self.state.backend / ".pulumi" / "backups" / PROJECT / STACK).glob("*.json"), reverse=True)
        for copy in (damaged.with_suffix(".json.bak"), *copies):
            if "checkpoint" in read_json(copy):
                write_private(damaged, copy.read_text(encoding="utf-8"))
                return
        problem = f"the engine's state {short(damaged)} and all copies of it are damaged"
        raise UserError(problem, "run `make clean`, then `make up` for a new stack")

    @property
    def latest(self) -> dict[str, Any]:
        """The stack's state; empty before the first ``up``."""
        latest: dict[str, Any] = read_json(self.state.checkpoint).get("checkpoint", {}).get("latest") or {}
        return latest

    def salt(self) -> str:
        """The salt from which, with the passphrase, the stack's encryption key is derived."""
        return str(self.latest["secrets_providers"]["state"]["salt"])

    def set_secret(self, file: Path, key: str, value: str) -> None:
        """Encrypt a value into a config file. Every user can read a command line, so it goes to standard input."""
        self.capture("config", "set", "--secret", key, "--config-file", str(file), text=value)

    def has_resources(self) -> bool:
        """Whether there are resources in the engine's state."""
        return bool(self.latest.get("resources"))

    def recover(self, console: Console) -> None:
        """Remove the locks and pending operations that a killed engine left.

        Waits for an engine that is still running, for example because only its ``make`` was killed. Raises ``UserError``
        if the lock belongs to another host.
        """
        backend = self.state.backend / ".pulumi"
        for file in (backend / "locks").rglob("*.json"):
            lock = read_json(file)
            pid = int(lock.get("pid", 0))
            host = lock.get("hostname", "")
            if host not in ("", socket.gethostname()):
                remedy = 'if it is not running, `make pulumi ARGS="cancel --yes"` removes its lock'
                raise UserError(f"the engine on {host} (pid {pid}) may be using this stack", remedy)
            if _is_engine(pid):
                _wait_for(pid, console)
            if not file.exists():
                continue
            file.unlink(missing_ok=True)
            console.line("engine", f"removed the lock of an engine that was killed (pid {pid})")
        # Files that the engine was about to rename when it was killed; in the locks' directory they would block each run.
        for file in backend.rglob("*.tmp"):
            file.unlink(missing_ok=True)
        self._readopt_pending(console)

    def _readopt_pending(self, console: Console) -> None:
        """Add objects to the state that a killed engine was creating and whose creation fails if they exist.

        Each is added as if its creation had succeeded; a refresh of these resources then keeps those that exist and drops
        the others. All other pending creations are simply repeated. So are updates, even if the mapping has been put back.
        """
        pending = self.latest.get("pending_operations") or []
        if not pending:
            return
        exported = json.loads(self.capture("stack", "export"))
        deployment = exported["deployment"]
        existing = {resource["urn"] for resource in deployment.get("resources", [])}
        readopted = [
            {
                **operation["resource"],
                "id": operation["resource"]["inputs"]["name"],
                "outputs": operation["resource"]["inputs"],
            }
            for operation in deployment["pending_operations"]
            if operation["type"] == "creating"
            and operation["resource"]["type"] in READOPTED_TYPES
            and operation["resource"]["urn"] not in existing
        ]
        repeat_interrupted_updates(deployment)
        deployment["pending_operations"] = []
        deployment["resources"] = [*deployment.get("resources", []), *readopted]
        file = self.state.directory / "import.json"
        write_private(file, json.dumps(exported))
        try:
            self.capture("stack", "import", "--file", str(file))
        finally:
            file.unlink(missing_ok=True)
        console.line(
            "engine", f"the last run was interrupted during {len(pending)} operations; checking their resources"
        )
        if readopted:
            targets = [part for resource in readopted for part in ("--target", resource["urn"])]
            self.capture("refresh", "--yes", "--skip-preview", *targets)

    def outputs(self) -> dict[str, Any]:
        """The stack's outputs, secrets decrypted."""
        outputs: dict[str, Any] = json.loads(self.capture("stack", "output", "--json", "--show-secrets"))
        return outputs

    def capture(self, *arguments: str, text: str = "") -> str:
        """Run a short command and return its output. Raises ``UserError`` with the engine's message."""
        return self._capture(self.cli, *arguments, text=text)

    @staticmethod
    def _capture(cli: PulumiCli, *arguments: str, text: str = "") -> str:
        try:
            return cli.output(*arguments, text=text)
        except PulumiError as error:
            problem = f"pulumi {' '.join(arguments[:2])} failed: {error}"
            raise UserError(problem, "fix the cause, then run make up again") from None

    def run(self, console: Console, *arguments: str, settings: Mapping[str, str] | None = None) -> int:
        """Run a long command, show its progress and return its exit code. Raises ``UserError`` if the disk fills up."""
        color = "always" if console.coloured else "never"
        with self.cli.start(*arguments, "--suppress-outputs", color=color, settings=settings) as process:
            progress = Progress(console)
            on_full = partial(process.interrupt, "the disk is full")
            with DiskReserve(self.state.directory, self.state.checkpoint, on_full) as reserve:
                for line in process.lines():
                    progress.feed(line)
                console.clear()
                code = process.wait()
        if code and reserve.released:
            problem = f"the disk is full at {short(self.state.directory)}"
            raise UserError(problem, "make room, then run make up again: it continues where it stopped")
        return code


def repeat_interrupted_updates(deployment: dict[str, Any]) -> None:
    """Mark each resource whose update was interrupted as one whose update failed: the engine updates it in any case."""
    operations = deployment.get("pending_operations") or []
    interrupted = {item["resource"]["urn"] for item in operations if item["type"] == "updating"}
    for resource in deployment.get("resources", []):
        if resource["urn"] in interrupted and not resource.get("delete"):
            resource["initErrors"] = ["the run was interrupted during its update"]


def _wait_for(pid: int, console: Console) -> None:
    with console.step("engine") as step:
        step.update(f"waiting for another engine (pid {pid}) that is using this stack; `kill {pid}` stops it")
        while _is_engine(pid):
            time.sleep(POLL_SECONDS)
        step.done(f"another engine (pid {pid}) was using this stack and has ended")


def _is_engine(pid: int) -> bool:
    try:
        process = psutil.Process(pid)
        return bool(process.status() != psutil.STATUS_ZOMBIE) and process.name().startswith("pulumi")
    except psutil.Error:
        return False
