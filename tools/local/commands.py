"""The commands of the local stack. They raise ``UserError`` for problems that the user can correct."""

import difflib
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tools import locks
from tools.local import bootstrap, config, environment, first_run, summary
from tools.local.confirmation import confirm
from tools.local.console import console
from tools.local.engine import tools
from tools.local.errors import UserError
from tools.local.fleet import Fleet
from tools.local.paths import ROOT, STACK, VENV, State, short
from tools.local.servers import restored
from tools.local.stack import Stack

if TYPE_CHECKING:
    from components.mapping import Mapping

FULL_BYTES = 2**20  # less than the engine needs to write its state


def _local_state() -> State:
    """Return the local stack's state directory, and remove variables that point clients to other servers."""
    environment.scrub()
    return State.current()


@contextmanager
def locked(state: State) -> Iterator[None]:
    """Hold the stack's lock, so that one command at a time works on it. Raises ``UserError`` if it is taken."""
    state.make()
    os.umask(0o077)
    try:
        with locks.lock(state.lock):
            yield
    except locks.Busy as busy:
        problem = f"another make (pid {busy.pid}) is using {short(state.directory)}"
        raise UserError(problem, "wait until it has finished, or stop it with Ctrl-C") from None


def _check_mapping(state: State) -> "Mapping":
    """Return the mapping. Raise ``UserError`` if it is invalid, before anything is started."""
    from components.mapping import MappingError, load

    file = config.mapping(state)
    try:
        return load(file)
    except MappingError as error:
        count = len(error.problems)
        problem = f"{short(file)} has {count} problem{'s' if count > 1 else ''}, nothing was changed"
        raise UserError(problem, "correct the mapping", str(error)) from None


def _check_migrations(mapping: "Mapping") -> None:
    """Raise ``UserError`` if the migrations do not make the mapping's tables, before anything is started."""
    from components.postgres.schema_files import SQL_DIRECTORY
    from provider.postgres.comparison import compare_with_mapping
    from provider.postgres.problems import MigrationError, MigrationProblem
    from provider.postgres.tables import MappedTables

    problems: list[MigrationProblem] = []
    for schema, definition in mapping.postgres.schemas.items():
        try:
            problems += compare_with_mapping(
                ROOT / SQL_DIRECTORY / schema, MappedTables(schema, definition.column_types, mapping.file)
            )
        except MigrationError as error:
            problems += error.problems
    if problems:
        details = "\n".join(str(problem).replace(f"{ROOT}/", "") for problem in problems)
        raise UserError("the mapping and the migrations differ, nothing was changed", "correct one of them", details)


def prepare(state: State, *, up: bool = False) -> tuple[Stack, Fleet]:
    """Prepare everything that an engine run needs: engine, plugins, servers and stack config.

    For ``up``, check first that the migrations make the mapping's tables, and restart servers whose configuration the
    mapping changed. All other commands leave running servers as they are.
    """
    from tools.offline_plugins import install

    mapping = _check_mapping(state)
    if up:
        _check_migrations(mapping)
    engine = tools.engine(console)
    stack = Stack(state, engine)
    fleet = Fleet.ready(state, console)
    with console.step("plugins") as step:
        step.update("looking for the plugins")
        try:
            lines = install.ensure(state.pulumi_home, engine.pulumi, stack.environment)
        except install.PluginInstallError as error:
            raise UserError(str(error)) from None
        if not _printed_before(state, "plugins", lines):
            step.done("; ".join(line.removeprefix("plugins: ") for line in lines))
    _start(state, stack, fleet, reconfigure=up)
    stack.recover(console)
    _check_release(stack)
    if first_run.start_over(state, stack, fleet, console):
        fleet = Fleet.ready(state, console)
        _start(state, stack, fleet, reconfigure=up)
    return stack, fleet


def _check_release(stack: Stack) -> None:
    """Raise ``UserError`` if the state is from an older release, whose dynamic resources the engine would recreate."""
    if any(item["type"].startswith("pulumi-python:dynamic/") for item in stack.latest.get("resources") or ()):
        problem = "the stack's state is from an older release: `make up` would rotate its passwords and fail"
        raise UserError(problem, "run `python3 -m tools upgrade-state`, which contacts no store, then try again")


def _start(state: State, stack: Stack, fleet: Fleet, *, reconfigure: bool) -> None:
    """Start the servers, create the stack if it is missing, and write the servers' config."""
    fleet.start(console, reconfigure=reconfigure)
    with console.step("config") as step:
        stack.ensure()
        written = config.write(stack, fleet.settings(), fleet.secrets())
        if written.changed:
            step.done(f"endpoints and encrypted secrets written to {short(state.config)}")
    for key in written.replaced:
        console.line("config", console.paint("yellow", f"{key} was reset: the local servers determine it"))
    for key in written.undecryptable:
        console.line(
            "config", console.paint("yellow", f"{key} was removed: it was encrypted for another stack; set it again")
        )


def _printed_before(state: State, name: str, lines: list[str]) -> bool:
    """Whether the previous run had the same ``lines``; records them for the next one."""
    file = state.directory / f"printed-{name}"
    text = "\n".join(lines)
    if file.exists() and file.read_text(encoding="utf-8") == text:
        return True
    file.write_text(text, encoding="utf-8")
    return False


def start_servers() -> int:
    """Start only the servers and print their endpoints."""
    state = _local_state()
    _check_mapping(state)
    with locked(state):
        fleet = Fleet.ready(state, console)
        fleet.start(console, reconfigure=True)
        console.say(summary.servers(fleet))
    return 0


def up(arguments: Sequence[str]) -> int:
    """Start missing servers, run the program on the stack, and print what to do next."""
    state = _local_state()
    with locked(state):
        stack, fleet = prepare(state, up=True)
        again = ["--refresh", "--run-program"] if fleet.created and stack.has_resources() else []
        if again:
            console.line("stack", console.paint("yellow", "a server's data are new: its objects will be recreated"))
        console.line("stack", "provisioning")
        settings = first_run.begin(state, stack, fleet)
        try:
            code = stack.run(console, "up", "--yes", "--skip-preview", *again, *arguments, settings=settings)
        finally:
            first_run.end(state, stack)
        _check_exit(code, "up", state, fleet)
        config.record_applied(state)
        console.say(summary.after_up(stack, fleet))
    return 0


def _run_program_option(state: State) -> list[str]:
    """``--run-program`` if the engine's state has old endpoints: the program replaces them with the config's."""
    return [] if config.is_applied(state) else ["--run-program"]


def _check_exit(code: int, command: str, state: State, fleet: Fleet) -> None:
    if not code:
        return
    again = f"run make {command} again: it continues where it stopped"
    # The engine has already printed an error for each resource.
    if died := [server for server in fleet.servers if server.status == "died"]:
        names = ", ".join(server.ended for server in died)
        raise UserError(
            f"{names} ended during the run", f"run make {command} again: it restarts the server and continues"
        )
    for directory in (state.directory, fleet.postgres.home):
        if shutil.disk_usage(directory).free < FULL_BYTES:
            raise UserError(f"the disk is full at {short(directory)}", f"make room, then {again}")
    if code < 0:
        raise UserError(f"the engine was killed (signal {-code})", again)
    raise UserError("the engine failed, see its messages above", f"fix the cause, then run make {command} again")


def preview(arguments: Sequence[str]) -> int:
    """Show in short what ``up`` would change; with ``arguments``, the engine's own view."""
    from tools.local import preview as short_preview

    state = _local_state()
    with locked(state):
        stack, fleet = prepare(state)
        return stack.cli.show("preview", *arguments) if arguments else short_preview.show(stack, fleet, console)


def refresh(arguments: Sequence[str]) -> int:
    """Update the stack's state from the stores."""
    state = _local_state()
    with locked(state):
        stack, fleet = prepare(state)
        code = stack.run(console, "refresh", "--yes", "--skip-preview", *_run_program_option(state), *arguments)
        _check_exit(code, "refresh", state, fleet)
    return 0


def destroy(arguments: Sequence[str], *, confirmed: bool) -> int:
    """Remove every resource and stop the servers, after a confirmation unless ``confirmed``."""
    state = _local_state()
    if not state.checkpoint.exists():
        console.say("there is no local stack, nothing to destroy")
        return 0
    if not confirmed and not _ask("destroy", "remove every resource of the local stack with its data"):
        return 1
    with locked(state):
        stack, fleet = prepare(state)
        code = stack.run(console, "destroy", "--yes", "--skip-preview", *_run_program_option(state), *arguments)
        _check_exit(code, "destroy", state, fleet)
        stopped = fleet.stop()
    console.say(f"all resources removed; stopped {', '.join(stopped) or 'nothing'}. `make up` recreates them.")
    return 0


def down() -> int:
    """Stop the servers."""
    state = _local_state()
    if not state.directory.exists():
        console.say("nothing was running")
        return 0
    with locked(state):
        stopped = Fleet.current(state).stop()
    console.say(
        f"stopped {', '.join(stopped)}; their data remain, and `make up` starts them again"
        if stopped
        else "nothing was running"
    )
    return 0


def clean(*, confirmed: bool) -> int:
    """Remove the servers with their data and the state directory, after a confirmation unless ``confirmed``."""
    state = _local_state()
    if not state.directory.exists():
        console.say(f"{short(state.directory)} does not exist, nothing to remove")
        return 0
    if not confirmed and not _ask("clean", f"remove {short(state.directory)} with all data of the local stack"):
        return 1
    with locked(state):
        Fleet.current(state).remove()
        shutil.rmtree(state.directory)
    console.say(f"removed {short(state.directory)}")
    return 0


def _ask(command: str, action: str) -> bool:
    """Whether the user agrees to ``action``. Raises ``UserError`` without a terminal."""
    return confirm(command, action, f"without a terminal, confirm with make {command} YES=1")


def _existing(state: State) -> Stack:
    if not state.config.exists():
        raise UserError("there is no local stack yet", "run make up first")
    return Stack(state, tools.existing_engine())


def env(module: str | None) -> int:
    """Print a module's connection settings as shell exports."""
    state = _local_state()
    from components.contract import document as contract

    outputs = _existing(state).outputs()
    modules = sorted(outputs.get("contract", {}).get("modules", {}))
    if not modules:
        raise UserError("the local stack has no contract yet", "run make up first")
    if module is None or module not in modules:
        near = difflib.get_close_matches((module or "").lower().replace("-", "_"), modules, 1)
        hint = f"run make env MODULE={near[0]}" if near else f"the modules are {', '.join(modules)}"
        raise UserError(f'no module "{module}"' if module else "no MODULE= given", hint)
    print("\n".join(contract.env_lines(outputs, module)))
    return 0


def pulumi(arguments: Sequence[str]) -> int:
    """Replace this process with the engine, in the local stack's environment."""
    _existing(_local_state()).cli.replace_process(arguments)
    return 0


def mapping_of_local_stack() -> Path:
    """The mapping named in the local stack's config."""
    return config.mapping(State.current())


def use_environment_of(stack: str) -> None:
    """Set this process's environment for commands on a stack. Raises ``UserError``.

    For the local stack, start its servers and select its backend. Any other stack uses the user's engine and settings.
    """
    if stack == STACK:
        state = _local_state()
        local = _existing(state)
        _check_mapping(state)
        with locked(state):
            fleet = Fleet.ready(state, console)
            fleet.start(console)
        os.environ.update({**local.environment, **restored.environment(fleet.postgres)})
    elif bootstrap.inside():
        # The engine runs the program with the first python3 on the PATH.
        places = [str(VENV / "bin"), *os.environ.get("PATH", os.defpath).split(os.pathsep)]
        os.environ["PATH"] = os.pathsep.join(dict.fromkeys(filter(None, places)))
