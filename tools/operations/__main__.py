"""The command line of the day-two commands. Exit code 1 for an error, in one line on standard error."""

import argparse
import sys
from collections.abc import Sequence

from provider.errors import ProviderError
from tools.operations import (
    backup,
    drift,
    drill,
    keys,
    migrations,
    objects,
    restore,
    size,
    streams,
    trim,
    undelete,
    upgrade_state,
)
from tools.operations.stack import Stack

COMMANDS = (drift, migrations, streams, trim, keys, size, objects, undelete, backup, restore, drill, upgrade_state)
INTERRUPTED = 130  # as shells have it: 128 + SIGINT


def parser() -> argparse.ArgumentParser:
    """All commands with their help."""
    top = argparse.ArgumentParser(prog="python -m tools.operations", description="Day-two commands on a stack.")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for module in COMMANDS:
        command = commands.add_parser(
            module.NAME, help=module.HELP, description=f"{module.HELP[0].upper()}{module.HELP[1:]}."
        )
        command.add_argument("--stack", help="the stack's name (default: PULUMI_STACK, else the selected one)")
        module.arguments(command)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; its exit code."""
    options = parser().parse_args(arguments)
    module = next(module for module in COMMANDS if options.command == module.NAME)
    try:
        code: int = module.run(Stack.load(options.stack), options)
        return code
    except ProviderError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
