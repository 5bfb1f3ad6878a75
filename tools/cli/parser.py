"""Parsers and help, built from the registry: one parser per command, and the lists of all commands."""

import argparse
import difflib
import os
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from tools.cli.command import Argument, Command, CommandGroup, Invocation
from tools.cli.registry import COMMANDS
from tools.local.errors import UserError
from tools.local.paths import ROOT

HELP = ("-h", "--help")
WIDTH = 100  # on every terminal, so tests see the same text as users


def program() -> str:
    """The command that calls ``tools`` from the current directory."""
    try:
        directory = Path.cwd()
    except OSError:  # it was deleted
        return f"python3 {ROOT / 'tools'}"
    return "python3 -m tools" if directory == ROOT else f"python3 {os.path.relpath(ROOT / 'tools', directory)}"


class _Formatter(argparse.RawDescriptionHelpFormatter):
    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=30, width=WIDTH)


class _Parser(argparse.ArgumentParser):
    """Raises ``UserError`` for a wrong argument, because argparse's exit code 2 means a finding here."""

    def error(self, message: str) -> NoReturn:
        raise UserError(message, f"see {self.prog} --help")


def parser(command: Command) -> argparse.ArgumentParser:
    """Build the parser of a command."""
    result = _Parser(
        prog=f"{program()} {command.name}",
        description=_literal(_wrapped(command.description)),
        epilog=_literal(_epilog(command)),
        formatter_class=_Formatter,
        allow_abbrev=False,
    )
    if command.passes_on_to:
        result.usage = _escaped(f"{result.prog} [OPTION...] [ARGUMENT...]")
    exclusive_groups: dict[str, argparse._MutuallyExclusiveGroup] = {}
    for argument in command.all_arguments:
        group: argparse._ActionsContainer = result
        if name := argument.exclusive_group:
            if name not in exclusive_groups:
                exclusive_groups[name] = result.add_mutually_exclusive_group()
            group = exclusive_groups[name]
        _add(group, argument)
    return result


def _wrapped(text: str) -> str:
    """Wrap a line; return an indented line unchanged."""
    if text.startswith(" "):
        return text
    return textwrap.fill(text, WIDTH, break_long_words=False, break_on_hyphens=False)


def _literal(text: str) -> str:
    """Escape a description or an epilog: argparse formats them with % only if they contain ``%(prog)``."""
    return _escaped(text) if "%(prog)" in text else text


def _escaped(text: str) -> str:
    """Escape a help or a usage: argparse formats both with %."""
    return text.replace("%", "%%")


def _add(group: argparse._ActionsContainer, argument: Argument) -> None:
    text = _escaped(argument.full_help)
    if argument.switch:
        group.add_argument(argument.name, action="store_true", help=text)
    elif argument.positional:
        nargs_repeated = "+" if argument.required else "*"
        nargs_single = None if argument.required else "?"
        group.add_argument(
            argument.name, nargs=nargs_repeated if argument.repeated else nargs_single, metavar=argument.metavar or argument.name.upper(),
            type=argument.parse, default=[] if argument.repeated else argument.default, help=text,
        )  # fmt: skip
    else:
        group.add_argument(
            argument.name, action="append" if argument.repeated else "store", metavar=argument.metavar or None,
            type=argument.parse, choices=argument.choices or None, required=argument.required, help=text,
            default=[] if argument.repeated else argument.default,
        )  # fmt: skip


def _epilog(command: Command) -> str:
    parts = ["\n".join(map(_wrapped, command.details.splitlines()))] if command.details else []
    if command.passes_on_to:
        arguments = "All arguments" if command.passes_on_all else "Other arguments"
        parts.append(f"{arguments} go to {command.passes_on_to}; for its own help, write -- --help.")
    if command.make:
        parts.append(f"Short form: {command.make.usage}")
    return "\n\n".join(parts)


def find(arguments: Sequence[str]) -> tuple[Command, list[str]]:
    """Return the command at the start of ``arguments``, and the arguments after it. Raises ``UserError``."""
    for words in (2, 1):
        name = " ".join(arguments[:words])
        for command in COMMANDS:
            if command.name == name and len(arguments) >= words:
                return command, list(arguments[words:])
    first = arguments[0]
    actions = [command.name.partition(" ")[2] for command in COMMANDS if command.name.startswith(f"{first} ")]
    if actions:
        choices = ", ".join(actions)
        if len(arguments) == 1:
            raise UserError(f"{first} needs an action: {choices}", f"see {program()} {first} --help")
        raise UserError(
            f"{first} has no action {arguments[1]!r}; choose from {choices}", f"see {program()} {first} --help"
        )
    if first.startswith("-"):
        raise UserError(f"{first} is not an option", f"write the command first, see {program()} --help")
    near = difflib.get_close_matches(first, [command.name for command in COMMANDS], 1)
    raise UserError(f"there is no command {first!r}", f"did you mean {near[0]}?" if near else f"see {program()} --help")


def help_of(arguments: Sequence[str]) -> str | None:
    """Return the help that ``arguments`` request, or None if they request no help."""
    own = list(arguments[: arguments.index("--")]) if "--" in arguments else list(arguments)
    help_positions = [position for position, word in enumerate(own) if word in HELP]
    if not own or help_positions[:1] == [0] or own == ["help"]:
        return overview(COMMANDS)
    if not help_positions:
        return None
    actions = [command for command in COMMANDS if command.name.startswith(f"{own[0]} ")]
    if help_positions[0] == 1 and actions and all(command.name != own[0] for command in COMMANDS):
        return overview(actions)
    command, rest = find(own)
    if command.passes_on_all and rest[0] not in HELP:
        return None
    return parser(command).format_help()


def parse(command: Command, arguments: Sequence[str]) -> Invocation:
    """Parse the arguments of a command. Raises ``UserError`` for unknown arguments."""
    command_parser = parser(command)
    if command.passes_on_all:
        rest = arguments[1:] if arguments[:1] == ["--"] else arguments
        return Invocation(command_parser.parse_args([]), tuple(map(command.pass_on, rest)), COMMANDS)
    end = list(arguments).index("--") if "--" in arguments and command.passes_on_to else len(arguments)
    options, rest = command_parser.parse_known_args(list(arguments[:end]))
    rest = [*rest, *arguments[end + 1 :]]
    if rest and not command.passes_on_to:
        command_parser.error(f"unrecognized arguments: {' '.join(rest)}")
    return Invocation(options, tuple(rest), COMMANDS)


def overview(commands: Sequence[Command]) -> str:
    """List commands by group, with their help."""
    width = max(len(command.name) for command in commands)
    lines = [f"usage: {program()} COMMAND [ARGUMENT...]", ""]
    for group in CommandGroup:
        members = [command for command in commands if command.group is group]
        if members:
            lines += [f"{group.value}:", *(f"  {item.name:<{width}}  {item.help}" for item in members), ""]
    lines += [
        f"{program()} COMMAND --help lists the options of a command; docs/commands.md lists all of them.",
        "Day-two commands work on the local stack unless you add --stack NAME.",
    ]
    return "\n".join(lines) + "\n"


def make_targets() -> str:
    """List the make targets by group, with their variables: the output of ``make`` without a target."""
    lines: list[str] = []
    width = max(len(command.make.target) for command in COMMANDS if command.make)
    for group in CommandGroup:
        members = [command for command in COMMANDS if command.group is group and command.make]
        lines += [f"{group.value}:"] if members else []
        for command in members:
            assert command.make
            note = f" ({command.make.note})" if command.make.note else ""
            lines.append(f"  make {command.make.target:<{width}}  {command.help}{note}")
    lines += [
        "",
        'Pass other options in ARGS, like ARGS="--json"; python3 -m tools COMMAND --help and docs/commands.md list them.',
    ]
    return "\n".join(lines) + "\n"
