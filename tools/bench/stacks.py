"""The measured programs: this one, an empty one, and one with idle resources, all on the same engine."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tools.bench import generated
from tools.bench.processes import Run, measured
from tools.local import commands, environment
from tools.local.console import Console, console
from tools.local.engine import tools
from tools.local.first_run import STATE_AT_THE_END
from tools.local.fleet import Fleet
from tools.local.paths import State, write_private
from tools.pulumi_cli import PulumiCli

EMPTY = "import pulumi\n"
# Built-in resources need no plugin, so only the engine and the SDK are measured.
IDLE = """import pulumi

for number in range({count}):
    pulumi.Stash(f"idle-{{number}}", input="nothing")
"""


@dataclass
class Program:
    """A Pulumi program with its stack; ``cli`` runs the engine on it."""

    cli: PulumiCli
    directory: Path
    environment: dict[str, str]
    checkpoint: Path

    def run(self, *arguments: str, checkpoints: bool = True) -> Run:
        """Measure one command of the engine. Raises ``CommandError``."""
        settings = self.environment if checkpoints else {**self.environment, **STATE_AT_THE_END}
        return measured(self.cli.command(*arguments), settings, self.directory)

    def preview(self) -> Run:
        return self.run("preview")

    def up(self, *, checkpoints: bool = True) -> Run:
        return self.run("up", "--yes", "--skip-preview", checkpoints=checkpoints)

    def destroy(self, *, checkpoints: bool = True) -> Run:
        return self.run("destroy", "--yes", "--skip-preview", checkpoints=checkpoints)


@dataclass
class Ours(Program):
    """This program on its own servers, which are in ``fleet``."""

    fleet: Fleet

    def change(self, mapping: dict[str, Any]) -> None:
        """Replace the mapping."""
        generated.project(self.directory, mapping)


def small(directory: Path, name: str, source: str) -> Program:
    """Create a program from ``source``, with its own stack."""
    engine = tools.engine(Console())
    directory.mkdir()
    (directory / "Pulumi.yaml").write_text(f"name: {name}\nruntime: python\n", encoding="utf-8")
    (directory / "__main__.py").write_text(source, encoding="utf-8")
    state = State(directory / "state")
    state.make()
    write_private(state.passphrase, "nothing to hide")
    settings = {**environment.of_program(state, engine), "PULUMI_STACK": "bench"}
    checkpoint = state.backend / ".pulumi" / "stacks" / name / "bench.json"
    cli = PulumiCli(engine.pulumi, settings, directory)
    cli.output("stack", "init", "bench", "--no-select")
    return Program(cli, directory, settings, checkpoint)


@contextmanager
def ours(directory: Path, mapping: dict[str, Any]) -> Iterator[Ours]:
    """Set up this program with ``mapping`` and running, empty servers; remove all of it afterwards."""
    state = State(directory / "state")
    directory.mkdir()
    project = directory / "project"
    generated.project(project, mapping)
    with commands.locked(state):
        try:
            stack, fleet = commands.prepare(state)
            cli = replace(stack.cli, directory=project)
            yield Ours(cli, project, stack.environment, state.checkpoint, fleet)
        finally:
            _remove(state)


@contextmanager
def servers(directory: Path) -> Iterator[Fleet]:
    """Start empty servers; remove them afterwards."""
    state = State(directory / "state")
    directory.mkdir()
    with commands.locked(state):
        try:
            fleet = Fleet.ready(state, console)
            fleet.start(console)
            yield fleet
        finally:
            _remove(state)


def _remove(state: State) -> None:
    Fleet.current(state).remove()
    shutil.rmtree(state.directory, ignore_errors=True)


def settle() -> None:
    """Flush writes to disk before the next measurement."""
    os.sync()
