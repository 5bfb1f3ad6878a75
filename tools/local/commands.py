"""The commands of the local stack. They raise ``UserError`` for what the user can correct."""

import difflib
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tools import locks
from tools.local import bootstrap, config, environment, first_run, summary
from tools.local.console import console
from tools.local.engine import tools
from tools.local.errors import UserError
from tools.local.fleet import Fleet
from tools.local.paths import STACK, VENV, State, short
from tools.local.servers import restored
from tools.local.stack import Stack

FULL_BYTES = 2**20  # less than the engine needs to write its state


def _own_state() -> State:
    """The local stack's state directory. What would lead clients to other servers leaves our environment."""
    environment.scrub()
    return State.current()


@contextmanager
def alone(state: State) -> Iterator[None]:
    """One command at a time works on a stack."""
    state.make()
    os.umask(0o077)
    try:
        with locks.lock(state.lock):
            yield
    except locks.Busy as busy:
        what = f"another make (pid {busy.pid}) is at work on {short(state.directory)}"
        raise UserError(what, "wait until it has finished, or stop it with Ctrl-C") from None


def _check_mapping(state: State) -> None:
    """Raise ``UserError`` for a broken mapping, before anything is started."""
    from components.mapping import MappingError, load

    file = config.mapping(state)
    try:
        load(file)
    except MappingError as error:
        count = len(error.problems)
        what = f"{short(file)} has {count} problem{'s' if count > 1 else ''}, nothing was changed"
        raise UserError(what, "correct them", str(error)) from None


def ready(state: State) -> tuple[Stack, Fleet]:
    """Engine, plugins, servers and stack config: all that the engine needs to begin."""
    from tools.offline_plugins import install

    _check_mapping(state)
    engine = tools.engine(console)
    stack = Stack(state, engine)
    fleet = Fleet.ready(state, console)
    with console.step("plugins") as step:
        step.update("looking for the plugins")
        try:
            lines = install.ensure(state.pulumi_home, engine.pulumi, stack.environment)
        except install.PluginInstallError as error:
            raise UserError(str(error)) from None
        # Worth a line when it is not as in every other environment, or when it took time.
        if not _same_as_last(state, "plugins", lines):
            step.done("; ".join(line.removeprefix("plugins: ") for line in lines))
    _start(state, stack, fleet)
    stack.recover(console)
    _check_release(stack)
    if first_run.start_over(state, stack, fleet, console):
        fleet = Fleet.ready(state, console)
        _start(state, stack, fleet)
    return stack, fleet


def _check_release(stack: Stack) -> None:
    """Raises ``UserError`` for a state of an older release, whose own resources the engine would create again."""
    if any(item["type"].startswith("pulumi-python:dynamic/") for item in stack.latest.get("resources") or ()):
        what = "the stack's state is of an older release: its passwords would be renewed, and `make up` would fail"
        raise UserError(what, "run `python3 -m tools upgrade-state`, which contacts no store, then this again")


def _start(state: State, stack: Stack, fleet: Fleet) -> None:
    """Servers, and the stack with the config for them."""
    fleet.start(console)
    with console.step("config") as step:
        stack.ensure()
        written = config.write(stack, fleet.settings(), fleet.secrets())
        if written.changed:
            step.done(f"endpoints and encrypted secrets written to {short(state.config)}")
    for key in written.replaced:
        console.line("config", console.paint("yellow", f"{key} was reset: the local servers dictate it"))
    for key in written.undecryptable:
        console.line(
            "config", console.paint("yellow", f"{key} was removed: it was encrypted for another stack; set it again")
        )


def _same_as_last(state: State, name: str, lines: list[str]) -> bool:
    """Whether the user was told the same in the last run."""
    file = state.directory / f"said-{name}"
    text = "\n".join(lines)
    if file.exists() and file.read_text(encoding="utf-8") == text:
        return True
    file.write_text(text, encoding="utf-8")
    return False


def start_servers() -> int:
    """Start the servers alone and print where they are."""
    state = _own_state()
    _check_mapping(state)
    with alone(state):
        fleet = Fleet.ready(state, console)
        fleet.start(console)
        console.say(summary.servers(fleet))
    return 0


def up(arguments: Sequence[str]) -> int:
    """Start what is missing, run the program on the stack, and print what to do next."""
    state = _own_state()
    with alone(state):
        stack, fleet = ready(state)
        again = ["--refresh", "--run-program"] if fleet.created and stack.has_resources() else []
        if again:
            console.line("stack", console.paint("yellow", "a server's data are new: what was there is made again"))
        console.line("stack", "provisioning")
        settings = first_run.begin(state, stack, fleet)
        try:
            code = stack.run(console, "up", "--yes", "--skip-preview", *again, *arguments, settings=settings)
        finally:
            first_run.end(state, stack)
        _check_exit(code, "up", state, fleet)
        config.applied(state)
        console.say(summary.after_up(stack, fleet))
    return 0


def _moved(state: State) -> list[str]:
    """After a server got another port: the engine's state still has the old one, the program knows the new one."""
    return [] if config.is_applied(state) else ["--run-program"]


def _check_exit(code: int, command: str, state: State, fleet: Fleet) -> None:
    if not code:
        return
    again = f"run make {command} again: it goes on where it stopped"
    # What the engine says of it stands above, once for each resource.
    if gone := [server for server in fleet.servers if server.status == "died"]:
        names = ", ".join(server.ended for server in gone)
        raise UserError(f"{names} ended during the run", f"run make {command} again: it starts it and goes on")
    for place in (state.directory, fleet.postgres.home):
        if shutil.disk_usage(place).free < FULL_BYTES:
            raise UserError(f"the disk is full at {short(place)}", f"make room, then {again}")
    if code < 0:
        raise UserError(f"the engine was killed (signal {-code})", again)
    raise UserError("the engine stopped, see its messages above", f"put that right, then run make {command} again")


def preview(arguments: Sequence[str]) -> int:
    """Show what ``up`` would change."""
    state = _own_state()
    with alone(state):
        stack, _ = ready(state)
        return stack.cli.show("preview", *(arguments or ["--diff"]))


def refresh(arguments: Sequence[str]) -> int:
    """Read what is in the stores into the stack's state."""
    state = _own_state()
    with alone(state):
        stack, fleet = ready(state)
        code = stack.run(console, "refresh", "--yes", "--skip-preview", *_moved(state), *arguments)
        _check_exit(code, "refresh", state, fleet)
    return 0


def destroy(arguments: Sequence[str], *, sure: bool) -> int:
    """Remove every resource and stop the servers, after a confirmation unless ``sure``."""
    state = _own_state()
    if not state.checkpoint.exists():
        console.say("there is no local stack, nothing to destroy")
        return 0
    if not sure and not _confirmed("destroy", "remove every resource of the local stack with its data"):
        return 1
    with alone(state):
        stack, fleet = ready(state)
        code = stack.run(console, "destroy", "--yes", "--skip-preview", *_moved(state), *arguments)
        _check_exit(code, "destroy", state, fleet)
        stopped = fleet.stop()
    console.say(f"all resources removed; stopped {', '.join(stopped) or 'nothing'}. `make up` brings them back.")
    return 0


def down() -> int:
    """Stop the servers."""
    state = _own_state()
    if not state.directory.exists():
        console.say("nothing was running")
        return 0
    with alone(state):
        stopped = Fleet.current(state).stop()
    console.say(
        f"stopped {', '.join(stopped)}; data stay, `make up` goes on with them" if stopped else "nothing was running"
    )
    return 0


def clean(*, sure: bool) -> int:
    """Remove the servers with their data and the state directory, after a confirmation unless ``sure``."""
    state = _own_state()
    if not state.directory.exists():
        console.say(f"{short(state.directory)} does not exist, nothing to remove")
        return 0
    if not sure and not _confirmed("clean", f"remove {short(state.directory)} with all data of the local stack"):
        return 1
    with alone(state):
        Fleet.current(state).remove()
        shutil.rmtree(state.directory)
    console.say(f"removed {short(state.directory)}")
    return 0


def _confirmed(command: str, what: str) -> bool:
    """Whether the user agrees to ``what``. Raises ``UserError`` where nobody can be asked."""
    if not sys.stdin.isatty():
        raise UserError(f"{command} would {what}", f"without a terminal it needs a yes: make {command} YES=1")
    try:
        return input(f"{what}? [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        return False


def _existing(state: State) -> Stack:
    if not state.config.exists():
        raise UserError("there is no local stack yet", "run make up first")
    return Stack(state, tools.existing_engine())


def env(module: str | None) -> int:
    """Print what a module needs to connect, as shell exports."""
    state = _own_state()
    from components.contract import document as contract

    outputs = _existing(state).outputs()
    modules = sorted(outputs.get("contract", {}).get("modules", {}))
    if not modules:
        raise UserError("the local stack has no contract yet", "run make up first")
    if module is None or module not in modules:
        near = difflib.get_close_matches((module or "").lower().replace("-", "_"), modules, 1)
        hint = f"run make env MODULE={near[0]}" if near else f"there are {', '.join(modules)}"
        raise UserError(f'no module "{module}"' if module else "no MODULE= given", hint)
    print("\n".join(contract.env_lines(outputs, module)))
    return 0


def pulumi(arguments: Sequence[str]) -> int:
    """Become the engine, in the local stack's environment."""
    _existing(_own_state()).cli.replace_process(arguments)
    return 0


def mapping_of_local_stack() -> Path:
    """The mapping that the local stack's own config names."""
    return config.mapping(State.current())


def use_environment_of(stack: str) -> None:
    """Prepare our own environment for work on a stack: the local one's servers run and its backend is selected, another
    one is reached with the user's own engine and settings. Raises ``UserError``."""
    if stack == STACK:
        state = _own_state()
        local = _existing(state)
        with alone(state):
            fleet = Fleet.ready(state, console)
            fleet.start(console)
        os.environ.update({**local.environment, **restored.environment(fleet.postgres)})
    elif bootstrap.inside():
        # The engine runs the program with the python3 that it finds.
        places = [str(VENV / "bin"), *os.environ.get("PATH", os.defpath).split(os.pathsep)]
        os.environ["PATH"] = os.pathsep.join(dict.fromkeys(filter(None, places)))
