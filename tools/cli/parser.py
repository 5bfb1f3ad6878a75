"""The command line's parser, made from the registry: one parser for one command, and the list of all commands."""

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
WIDTH = 100  # the same on every terminal, so that the text that tests read is the text that users read


def program() -> str:
    """How to call the command line from the current directory."""
    try:
        here = Path.cwd()
    except OSError:  # it was removed
        return f"python3 {ROOT / 'tools'}"
    return "python3 -m tools" if here == ROOT else f"python3 {os.path.relpath(ROOT / 'tools', here)}"


class _Formatter(argparse.RawDescriptionHelpFormatter):
    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=30, width=WIDTH)


class _Parser(argparse.ArgumentParser):
    """Raises ``UserError`` for a wrong argument: exit code 2 means a difference, never a mistake."""

    def error(self, message: str) -> NoReturn:
        raise UserError(message, f"see {self.prog} --help")


def parser(command: Command) -> argparse.ArgumentParser:
    """The parser of one command."""
    made = _Parser(
        prog=f"{program()} {command.name}",
        description=_literal(_wrapped(command.description)),
        epilog=_literal(_epilog(command)),
        formatter_class=_Formatter,
        allow_abbrev=False,
    )
    if command.passes_on_to:
        made.usage = _escaped(f"{made.prog} [OPTION...] [ARGUMENT...]")
    exclusive: dict[str, argparse._MutuallyExclusiveGroup] = {}
    for argument in command.all_arguments:
        group: argparse._ActionsContainer = made
        if argument.excludes:
            if argument.excludes not in exclusive:
                exclusive[argument.excludes] = made.add_mutually_exclusive_group()
            group = exclusive[argument.excludes]
        _add(group, argument)
    return made


def _wrapped(text: str) -> str:
    """A line as lines that are short enough; an indented one stays as it is."""
    if text.startswith(" "):
        return text
    return textwrap.fill(text, WIDTH, break_long_words=False, break_on_hyphens=False)


def _literal(text: str) -> str:
    """Description or epilog as argparse takes it: it formats them with % only when they name the program."""
    return _escaped(text) if "%(prog)" in text else text


def _escaped(text: str) -> str:
    """Help or usage as argparse takes it: it formats both with %."""
    return text.replace("%", "%%")


def _add(group: argparse._ActionsContainer, argument: Argument) -> None:
    text = _escaped(argument.sentence)
    if argument.switch:
        group.add_argument(argument.name, action="store_true", help=text)
    elif argument.positional:
        several = "+" if argument.required else "*"
        one = None if argument.required else "?"
        group.add_argument(
            argument.name, nargs=several if argument.repeated else one, metavar=argument.metavar or argument.name.upper(),
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
        what = "All arguments" if command.takes_all else "Other arguments"
        parts.append(f"{what} go to {command.passes_on_to}; write -- before its own --help.")
    if command.make:
        parts.append(f"Short form: {command.make.shown}")
    return "\n\n".join(parts)


def find(arguments: Sequence[str]) -> tuple[Command, list[str]]:
    """The command that ``arguments`` begin with, and the arguments after it. Raises ``UserError``."""
    for words in (2, 1):
        name = " ".join(arguments[:words])
        for command in COMMANDS:
            if command.name == name and len(arguments) >= words:
                return command, list(arguments[words:])
    first = arguments[0]
    actions = [command.name.partition(" ")[2] for command in COMMANDS if command.name.startswith(f"{first} ")]
    if actions:
        known = ", ".join(actions)
        if len(arguments) == 1:
            raise UserError(f"{first} needs an action: {known}", f"see {program()} {first} --help")
        raise UserError(f"{first} has no action {arguments[1]!r}; there are {known}", f"see {program()} {first} --help")
    if first.startswith("-"):
        raise UserError(f"{first} is not an option", f"the command comes first, see {program()} --help")
    near = difflib.get_close_matches(first, [command.name for command in COMMANDS], 1)
    raise UserError(f"there is no command {first!r}", f"did you mean {near[0]}?" if near else f"see {program()} --help")


def help_of(arguments: Sequence[str]) -> str | None:
    """The help that ``arguments`` ask for; None when they ask for none."""
    before = list(arguments[: arguments.index("--")]) if "--" in arguments else list(arguments)
    asked = [at for at, word in enumerate(before) if word in HELP]
    if not before or asked[:1] == [0] or before == ["help"]:
        return overview(COMMANDS)
    if not asked:
        return None
    family = [command for command in COMMANDS if command.name.startswith(f"{before[0]} ")]
    if asked[0] == 1 and family and all(command.name != before[0] for command in COMMANDS):
        return overview(family)
    command, after = find(before)
    if command.takes_all and after[0] not in HELP:
        return None
    return parser(command).format_help()


def parse(command: Command, arguments: Sequence[str]) -> Invocation:
    """The command's options. Raises ``UserError`` for an argument that it does not have."""
    made = parser(command)
    if command.takes_all:
        rest = arguments[1:] if arguments[:1] == ["--"] else arguments
        return Invocation(made.parse_args([]), tuple(map(command.pass_on, rest)), COMMANDS)
    at = list(arguments).index("--") if "--" in arguments and command.passes_on_to else len(arguments)
    options, rest = made.parse_known_args(list(arguments[:at]))
    rest = [*rest, *arguments[at + 1 :]]
    if rest and not command.passes_on_to:
        made.error(f"unrecognized arguments: {' '.join(rest)}")
    return Invocation(options, tuple(rest), COMMANDS)


def overview(commands: Sequence[Command]) -> str:
    """Commands in their groups, each with its help."""
    width = max(len(command.name) for command in commands)
    lines = [f"usage: {program()} COMMAND [ARGUMENT...]", ""]
    for group in CommandGroup:
        members = [command for command in commands if command.group is group]
        if members:
            lines += [f"{group.value}:", *(f"  {item.name:<{width}}  {item.help}" for item in members), ""]
    lines += [
        f"{program()} COMMAND --help shows a command's options; docs/commands.md has them all.",
        "Day-two commands take --stack NAME; without it they work on the local stack.",
    ]
    return "\n".join(lines) + "\n"


def make_targets() -> str:
    """What ``make`` alone prints: its targets in their groups, each with its variables."""
    lines: list[str] = []
    made = [command.make for command in COMMANDS if command.make]
    width = max(len(make.target) for make in made)
    for group in CommandGroup:
        members = [command for command in COMMANDS if command.group is group and command.make]
        lines += [f"{group.value}:"] if members else []
        for command in members:
            assert command.make
            more = f" ({command.make.note})" if command.make.note else ""
            lines.append(f"  make {command.make.target:<{width}}  {command.help}{more}")
    lines += [
        "",
        'Any other option: ARGS="--json"; what there is: python3 -m tools COMMAND --help, or docs/commands.md.',
    ]
    return "\n".join(lines) + "\n"
