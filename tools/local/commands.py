"""What each command does. Runs in the virtual environment; raises ``UserError`` for what the user can mend."""

import argparse
import difflib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tools.local import config, environment, first_run, locks, summary
from tools.local.console import console
from tools.local.engine import tools
from tools.local.errors import UserError
from tools.local.fleet import Fleet
from tools.local.paths import ROOT, STACK, VENV, State, short
from tools.local.servers import restored
from tools.local.stack import Stack

FULL_BYTES = 2**20  # less than the engine needs to write its state
TEST_WORKERS = 4  # each may start servers of its own


def run(options: argparse.Namespace, arguments: Sequence[str]) -> int:  # noqa: PLR0912 - a case for each command
    """The command's exit code. ``arguments`` are those that the engine or pytest gets."""
    # The user's own engine, not the local stack's.
    own = dict(os.environ)
    pulumi_home = Path(own.get("PULUMI_HOME") or Path.home() / ".pulumi")
    environment.scrub()
    state = State.current()
    match options.command:
        case "up":
            return _servers_only(state) if options.servers_only else _up(state, arguments)
        case "preview":
            return _preview(state, arguments)
        case "refresh":
            return _refresh(state, arguments)
        case "destroy":
            return _destroy(state, arguments, sure=options.yes)
        case "down":
            return _down(state)
        case "clean":
            return _clean(state, sure=options.force)
        case "env":
            return _env(state, options.module)
        case "pulumi":
            return _pulumi(state, [part for part in options.arguments if part != "--"])
        case "operate":
            return _operate(state, [part for part in options.arguments if part != "--"])
        case "docs":
            return _docs(show=options.open)
        case "kubernetes-plugin":
            return _kubernetes_plugin(pulumi_home)
        case "review":
            return _review(state, list(arguments), own)
        case "test":
            return _test(list(arguments))
        case "bench":
            return _bench(list(arguments))
        case "lint" | "format":
            return _each(LINT if options.command == "lint" else FORMAT)
        case _:
            raise AssertionError(options.command)


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


def _check_mapping() -> None:
    """Nothing is started or touched for a mapping that is broken."""
    from components.mapping import MappingError, load

    try:
        load(ROOT / "schema-mapping.yaml")
    except MappingError as error:
        count = len(error.problems)
        what = f"schema-mapping.yaml has {count} problem{'s' if count > 1 else ''}, nothing was changed"
        raise UserError(what, "correct them", str(error)) from None


def ready(state: State) -> tuple[Stack, Fleet]:
    """Engine, plugins, servers and stack config: all that the engine needs to begin."""
    from tools.offline_plugins import install

    _check_mapping()
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
    stack.heal(console)
    _check_release(stack)
    if first_run.start_over(state, stack, fleet, console):
        fleet = Fleet.ready(state, console)
        _start(state, stack, fleet)
    return stack, fleet


def _check_release(stack: Stack) -> None:
    """Raises ``UserError`` for a state of an older release, whose own resources the engine would create again."""
    if any(item["type"].startswith("pulumi-python:dynamic/") for item in stack.latest.get("resources") or ()):
        what = "the stack's state is of an older release: its passwords would be renewed, and `make up` would fail"
        raise UserError(what, "run `python3 -m tools operate upgrade-state`, which contacts no store, then this again")


def _start(state: State, stack: Stack, fleet: Fleet) -> None:
    """Servers, and the stack with the config for them."""
    fleet.start(console)
    with console.step("config") as step:
        stack.ensure()
        if config.write(stack, fleet.settings(state), fleet.secrets()):
            step.done(f"endpoints and encrypted secrets written to {short(state.config)}")


def _same_as_last(state: State, name: str, lines: list[str]) -> bool:
    """Whether the user was told the same in the last run."""
    file = state.directory / f"said-{name}"
    text = "\n".join(lines)
    if file.exists() and file.read_text(encoding="utf-8") == text:
        return True
    file.write_text(text, encoding="utf-8")
    return False


def _servers_only(state: State) -> int:
    _check_mapping()
    with alone(state):
        fleet = Fleet.ready(state, console)
        fleet.start(console)
        console.say(summary.servers(fleet))
    return 0


def _up(state: State, arguments: Sequence[str]) -> int:
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


def _preview(state: State, arguments: Sequence[str]) -> int:
    with alone(state):
        stack, _ = ready(state)
        return stack.show("preview", *(arguments or ["--diff"]))


def _refresh(state: State, arguments: Sequence[str]) -> int:
    with alone(state):
        stack, fleet = ready(state)
        code = stack.run(console, "refresh", "--yes", "--skip-preview", *_moved(state), *arguments)
        _check_exit(code, "refresh", state, fleet)
    return 0


def _destroy(state: State, arguments: Sequence[str], *, sure: bool) -> int:
    if not (state.checkpoint.exists()):
        console.say("there is no local stack, nothing to destroy")
        return 0
    if not sure and sys.stdin.isatty() and not _confirmed("remove every resource of the local stack, with its data?"):
        return 1
    with alone(state):
        stack, fleet = ready(state)
        code = stack.run(console, "destroy", "--yes", "--skip-preview", *_moved(state), *arguments)
        _check_exit(code, "destroy", state, fleet)
        stopped = fleet.stop()
    console.say(f"all resources removed; stopped {', '.join(stopped) or 'nothing'}. `make up` brings them back.")
    return 0


def _down(state: State) -> int:
    if not state.directory.exists():
        console.say("nothing was running")
        return 0
    with alone(state):
        stopped = Fleet.as_it_is(state).stop()
    console.say(
        f"stopped {', '.join(stopped)}; data stay, `make up` goes on with them" if stopped else "nothing was running"
    )
    return 0


def _clean(state: State, *, sure: bool) -> int:
    if not state.directory.exists():
        console.say(f"{short(state.directory)} does not exist, nothing to remove")
        return 0
    if not sure:
        if not sys.stdin.isatty():
            raise UserError(
                f"clean would remove {short(state.directory)} with all data", "FORCE=1 make clean does it unasked"
            )
        if not _confirmed(f"remove {short(state.directory)} with all data of the local stack?"):
            return 1
    with alone(state):
        Fleet.as_it_is(state).remove()
        shutil.rmtree(state.directory)
    console.say(f"removed {short(state.directory)}")
    return 0


def _confirmed(question: str) -> bool:
    try:
        return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        return False


def _existing(state: State) -> Stack:
    if not state.config.exists():
        raise UserError("there is no local stack yet", "run make up first")
    return Stack(state, tools.existing_engine())


def _env(state: State, module: str | None) -> int:
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


def _pulumi(state: State, arguments: list[str]) -> int:
    _existing(state).replace_process(arguments)
    return 0


def _operate(state: State, arguments: list[str]) -> int:
    """A day-two command, with the servers running. Other commands may run beside it."""
    stack = _existing(state)
    with alone(state):
        fleet = Fleet.ready(state, console)
        fleet.start(console)
    command = [VENV / "bin" / "python", "-m", "tools.operations", *arguments]
    environment = {**stack.environment, **restored.environment(fleet.postgres)}
    return subprocess.run([str(part) for part in command], cwd=ROOT, env=environment, check=False).returncode


def _docs(*, show: bool) -> int:
    command = [VENV / "bin" / "python", "-m", "tools.reference", *(["--open"] if show else [])]
    return subprocess.run([str(part) for part in command], cwd=ROOT, check=False).returncode


def _kubernetes_plugin(pulumi_home: Path) -> int:
    """The official plugin from its sources, where it cannot be downloaded: for stacks that deploy to a cluster."""
    from tools.offline_plugins import install

    place = install.install_built(pulumi_home.absolute(), tools.kubernetes_plugin(console))
    console.say(f"the official Kubernetes plugin is installed in {place}")
    return 0


def _review(state: State, arguments: list[str], own: dict[str, str]) -> int:
    """The preview of the local stack as a comment; of another stack with the user's own engine and environment."""
    chosen = [arguments[at + 1] for at, part in enumerate(arguments[:-1]) if part == "--stack"]
    elsewhere = any(name != STACK for name in chosen) or any(not part.startswith("-") for part in arguments[:1])
    if elsewhere:
        settings = {**own, "PATH": os.pathsep.join([str(VENV / "bin"), own.get("PATH", os.defpath)])}
    else:
        stack = _existing(state)
        with alone(state):
            Fleet.ready(state, console).start(console)
        settings = stack.environment
        arguments = arguments if chosen else ["--stack", STACK, *arguments]
    command = [VENV / "bin" / "python", "-m", "tools.review", *arguments]
    return subprocess.run([str(part) for part in command], cwd=ROOT, env=settings, check=False).returncode


def _test(arguments: list[str]) -> int:
    """Tools are built before the tests, with progress; tests that need them find them in the cache."""
    tools.engine(console)
    tools.object_store_program(console)
    if _needs_api_server(arguments):
        tools.api_server(console)
        tools.kubernetes_plugin(console)
    workers = [] if any(part.startswith(("-n", "--pdb")) for part in arguments) else ["-n", str(_workers())]
    command = [VENV / "bin" / "python", "-m", "pytest", *workers, *arguments]
    return subprocess.run([str(part) for part in command], cwd=ROOT, check=False).returncode


def _bench(arguments: list[str]) -> int:
    """What only the plot needs is installed here: nothing else should wait for it."""
    pip = [VENV / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    with console.step("python") as step:
        step.update("looking for the packages that draw the plot")
        needed = [
            *pip,
            "--requirement",
            ROOT / "tools" / "bench" / "requirements.lock",
            "--constraint",
            ROOT / "requirements.lock",
        ]
        done = subprocess.run([str(part) for part in needed], capture_output=True, text=True, check=False)
    if done.returncode:
        raise UserError("pip could not install tools/bench/requirements.lock", "see pip's output above", done.stderr)
    return subprocess.run([VENV / "bin" / "python", "-m", "tools.bench", *arguments], cwd=ROOT, check=False).returncode


def _needs_api_server(arguments: Sequence[str]) -> bool:
    """Whether tests of the Kubernetes deployment are among those that were asked for; else they are all."""
    paths = [part for part in arguments if (ROOT / part.partition("::")[0]).exists()]
    return not paths or any("kubernetes" in part or part.rstrip("/") == "tests" for part in paths)


def _workers() -> int:
    return max(2, min(TEST_WORKERS, os.cpu_count() or 1))


LINT = (
    ("ruff", "check"),
    ("ruff", "format", "--check"),
    ("mypy",),
    ("python", "-m", "components.mapping"),
    ("python", "-m", "provider.postgres.lint"),
    ("python", "-m", "tools.reference.schemas", "--check"),
    ("python", "-m", "tools.reference", "--check"),
)
FORMAT = (
    ("ruff", "check", "--fix"),
    ("ruff", "format"),
)


def _each(commands: Sequence[Sequence[str]]) -> int:
    """Run all, also after a failure: all findings at once."""
    codes = [subprocess.run([VENV / "bin" / name, *rest], cwd=ROOT, check=False).returncode for name, *rest in commands]
    if any(codes):
        failed = ", ".join(" ".join(command) for command, code in zip(commands, codes, strict=True) if code)
        raise UserError(f"{failed} found something, see above", "`make format` puts right what it can")
    return 0
