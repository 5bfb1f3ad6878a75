"""Definitions of commands, from which the parser, the help and the reference are built."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

LOCAL = "local"  # the name of the local stack


class CommandGroup(Enum):
    """The headings of the list of commands, in order."""

    LOCAL_STACK = "Local stack"
    DAY_TWO = "Day two"
    REVIEW = "Review"
    DOCUMENTATION = "Documentation"
    DEVELOPMENT = "Development"


class Scope(Enum):
    """The stacks that a command works on."""

    NONE = "no stack"
    LOCAL = "the local stack"
    ANY = "any stack"  # takes --stack
    NAMED = "the stacks that its own arguments name"


@dataclass(frozen=True)
class Argument:
    """An option (its name begins with ``--``) or a positional argument."""

    name: str
    help: str
    metavar: str = ""
    parse: Callable[[str], object] = str
    default: object = None
    choices: tuple[str, ...] = ()
    switch: bool = False  # takes no value
    repeated: bool = False  # an option that may be repeated, or a positional argument that takes any number
    required: bool = False
    exclusive_group: str = ""  # at most one argument of a group may be given

    @property
    def positional(self) -> bool:
        return not self.name.startswith("-")

    @property
    def usage(self) -> str:
        """The argument in a usage line: ``--stack NAME``, ``--json``, ``[MODULE]``, ``FILE...``."""
        if self.switch:
            return self.name
        value = self.metavar or ("|".join(self.choices) if self.choices else self.name.lstrip("-").upper())
        if not self.positional:
            return f"{self.name} {value}"
        values = f"{value}..." if self.repeated else value
        return values if self.required else f"[{values}]"

    @property
    def full_help(self) -> str:
        """The help, with the default and whether the option may be repeated."""
        has_default = self.default not in (None, False, "") and not self.repeated
        notes = [f"default: {self.default}"] if has_default else []
        if self.repeated and not self.positional:
            notes.append("may be repeated")
        return f"{self.help} ({', '.join(notes)})" if notes else self.help


@dataclass(frozen=True)
class Invocation:
    """The parsed arguments of a command.

    ``passed_on``: arguments for the program that the command runs. ``commands``: all commands, for ``docs``.
    """

    options: argparse.Namespace
    passed_on: tuple[str, ...] = ()
    commands: "tuple[Command, ...]" = ()


@dataclass(frozen=True)
class Make:
    """The make target of a command. ``note`` is an example of its variables."""

    target: str
    note: str = ""

    @property
    def usage(self) -> str:
        return f"make {self.target} ({self.note})" if self.note else f"make {self.target}"


@dataclass(frozen=True)
class Command:
    """``help`` is a phrase that begins with a verb; ``details`` are lines below the options."""

    name: str
    help: str
    group: CommandGroup
    run: Callable[[Invocation], int]
    scope: Scope = Scope.NONE
    arguments: tuple[Argument, ...] = ()
    passes_on_to: str = ""  # the program that receives all arguments that the command does not define
    passes_on_all: bool = False  # pass on every argument except a leading --help
    pass_on: Callable[[str], str] = str  # converts an argument before it is passed on
    machine_output: bool = False  # standard output is for programs: progress goes to standard error
    exit_2: str = ""  # the condition for exit code 2
    make: Make | None = None
    details: str = ""

    @property
    def all_arguments(self) -> tuple[Argument, ...]:
        return (*self.arguments, STACK) if self.scope is Scope.ANY else self.arguments

    def uses_local_stack(self, options: argparse.Namespace) -> bool:
        """Whether the command works on the local stack when it is called with ``options``."""
        if self.scope is Scope.ANY:
            return bool(options.stack == LOCAL)
        if self.scope is Scope.NAMED:
            return LOCAL in options.stack or not (options.stack or options.files)
        return self.scope is Scope.LOCAL

    @property
    def description(self) -> str:
        """The help as a sentence, with the meaning of exit code 2."""
        text = f"{self.help[0].upper()}{self.help[1:]}"
        return f"{text}. Exit code 2: {self.exit_2}." if self.exit_2 else f"{text}."


STACK = Argument("--stack", "the stack to work on", metavar="NAME", default=LOCAL)
YES = Argument("--yes", "do not ask for confirmation", switch=True)


def json_option(instead_of: str) -> Argument:
    """The option ``--json`` of a command whose default output is ``instead_of``."""
    return Argument("--json", f"print a JSON document instead of {instead_of}", switch=True)


def positive(text: str) -> int:
    """Parse a whole number above 0."""
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)
