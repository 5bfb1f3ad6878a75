"""What a command is: its name, arguments, output and exit codes, as the parser, the help and the reference read it."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

LOCAL = "local"  # the name of the local stack


class CommandGroup(Enum):
    """The headings under which commands are listed, in this order."""

    LOCAL_STACK = "Local stack"
    DAY_TWO = "Day two"
    REVIEW = "Review"
    DOCUMENTATION = "Documentation"
    DEVELOPMENT = "Development"


class Scope(Enum):
    """Which stacks a command works on."""

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
    excludes: str = ""  # of all arguments with the same word here, at most one may be given

    @property
    def positional(self) -> bool:
        return not self.name.startswith("-")

    @property
    def usage(self) -> str:
        """``--stack NAME``, ``--json``, ``[MODULE]``, ``FILE...``."""
        if self.switch:
            return self.name
        value = self.metavar or ("|".join(self.choices) if self.choices else self.name.lstrip("-").upper())
        if not self.positional:
            return f"{self.name} {value}"
        shown = f"{value}..." if self.repeated else value
        return shown if self.required else f"[{shown}]"

    @property
    def sentence(self) -> str:
        """The help with the default."""
        shown = self.default not in (None, False, "") and not self.repeated
        more = [f"default: {self.default}"] if shown else []
        if self.repeated and not self.positional:
            more.append("may be repeated")
        return f"{self.help} ({', '.join(more)})" if more else self.help


@dataclass(frozen=True)
class Invocation:
    """A command as it was called. ``passed_on`` are the arguments for the program that the command runs; ``commands`` are
    all commands, for the one that documents them."""

    options: argparse.Namespace
    passed_on: tuple[str, ...] = ()
    commands: "tuple[Command, ...]" = ()


@dataclass(frozen=True)
class Make:
    """The make target of a command. ``note`` names the variables that it takes, by an example."""

    target: str
    note: str = ""

    @property
    def shown(self) -> str:
        return f"make {self.target} ({self.note})" if self.note else f"make {self.target}"


@dataclass(frozen=True)
class Command:
    """One command. ``help`` is a phrase that begins with a verb; ``details`` are lines shown below the options."""

    name: str
    help: str
    group: CommandGroup
    run: Callable[[Invocation], int]
    scope: Scope = Scope.NONE
    arguments: tuple[Argument, ...] = ()
    passes_on_to: str = ""  # the program that gets every argument that the command does not have
    takes_all: bool = False  # ... or every argument but --help
    pass_on: Callable[[str], str] = str  # how such an argument is passed on
    machine_output: bool = False  # standard output is for programs: progress goes to standard error
    exit_2: str = ""  # when the exit code is 2
    make: Make | None = None
    details: str = ""

    @property
    def all_arguments(self) -> tuple[Argument, ...]:
        return (*self.arguments, STACK) if self.scope is Scope.ANY else self.arguments

    def uses_local_stack(self, options: argparse.Namespace) -> bool:
        """Whether the command, called like this, works on the local stack."""
        if self.scope is Scope.ANY:
            return bool(options.stack == LOCAL)
        if self.scope is Scope.NAMED:
            return LOCAL in options.stack or not (options.stack or options.files)
        return self.scope is Scope.LOCAL

    @property
    def description(self) -> str:
        """The help as a sentence."""
        text = f"{self.help[0].upper()}{self.help[1:]}"
        return f"{text}. Exit code 2: {self.exit_2}." if self.exit_2 else f"{text}."


STACK = Argument("--stack", "the stack to work on", metavar="NAME", default=LOCAL)
YES = Argument("--yes", "do not ask for confirmation", switch=True)


def json_option(instead_of: str) -> Argument:
    """``--json`` of a command that otherwise prints ``instead_of``."""
    return Argument("--json", f"print a JSON document instead of {instead_of}", switch=True)


def positive(text: str) -> int:
    """A whole number above 0."""
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)
