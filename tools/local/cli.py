"""The command line. Standard library only: commands themselves are imported once the virtual environment is there."""

import argparse
import errno
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType

from tools.local import bootstrap
from tools.local.console import console
from tools.local.errors import UserError
from tools.local.paths import ROOT

INTERRUPTED = 130  # as shells have it: 128 + SIGINT
TAKES_ENGINE_ARGUMENTS = ("up", "preview", "refresh", "destroy", "test", "review", "bench")
# Whatever follows is for pytest or python -m tools.bench, in its order and with their --help.
PASS_ALL_ON = ("test", "bench")
# Their standard output is for machines: progress goes to standard error.
FOR_MACHINES = ("env", "pulumi", "operate", "review")


def parser() -> argparse.ArgumentParser:
    """All commands with their help."""
    top = argparse.ArgumentParser(prog="python3 -m tools", description="The local stack.")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, text: str) -> argparse.ArgumentParser:
        engine = name in TAKES_ENGINE_ARGUMENTS and name not in ("test", "review", "bench")
        more = "; other arguments go to the engine" if engine else ""
        return commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}{more}.")

    add("up", "bring up engine, servers and every resource").add_argument(
        "--servers-only", action="store_true", help="start the servers and print where they are, no resources"
    )
    add("preview", "show what `up` would change; change nothing")
    add("refresh", "look what was changed by hand in the stores")
    destroy = add("destroy", "remove every resource, then stop the servers")
    destroy.add_argument("--yes", action="store_true", help="do not ask")
    add("down", "stop the servers; data stay")
    add("clean", "remove the local stack with all its data").add_argument(
        "--force", action="store_true", help="do not ask"
    )
    add("env", "print shell exports with which a module connects").add_argument(
        "module", nargs="?", help="a module's key in schema-mapping.yaml, like scanner"
    )
    add("pulumi", "run the engine on the local stack").add_argument("arguments", nargs=argparse.REMAINDER)
    add("operate", "run a day-two command on the local stack (python -m tools.operations)").add_argument(
        "arguments", nargs=argparse.REMAINDER
    )
    add("docs", "write the reference from the mapping, and the site").add_argument(
        "--open", action="store_true", help="open the site in a browser"
    )
    add("kubernetes-plugin", "build the official Kubernetes plugin and install it for pulumi")
    add("review", "turn a stack's preview into a comment for reviewers; arguments go to python -m tools.review")
    add("test", "run the tests; arguments go to pytest")
    add("bench", "measure speed; arguments go to python -m tools.bench").add_argument(
        "arguments", nargs=argparse.REMAINDER
    )
    add("lint", "check style, types, migrations, and that generated files are current")
    add("format", "put the style right")
    return top


def main(arguments: Sequence[str]) -> int:
    """Run a command; its exit code. A user's mistake is one line on standard error and exit code 1."""
    top = parser()
    own = arguments[:1] if arguments and arguments[0] in PASS_ALL_ON else arguments
    options, engine_arguments = top.parse_known_args(own)
    engine_arguments += arguments[len(own) :]
    if engine_arguments and options.command not in TAKES_ENGINE_ARGUMENTS:
        top.error(f"unrecognized arguments: {' '.join(engine_arguments)}")
    console.use(errors=options.command in FOR_MACHINES)
    signal.signal(signal.SIGTERM, _interrupt)
    os.chdir(ROOT)
    try:
        bootstrap.ensure(console)
        if not bootstrap.inside():
            bootstrap.enter(arguments)
        from tools.local import commands  # in the virtual environment only

        return commands.run(options, engine_arguments)
    except UserError as error:
        return _fail(str(error), error.details)
    except KeyboardInterrupt:
        console.clear()
        print("interrupted; run make up again: it goes on where it stopped", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader has seen enough (`make ... | head`); nothing may be written at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR):
            raise
        where = f" at {error.filename}" if error.filename else ""
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return _fail(f"the disk is full{where}; make room, then run make up again")
        return _fail(f"{os.strerror(error.errno)}{where}; correct that or its permissions, then run make up again")


def _fail(line: str, details: str = "") -> int:
    console.clear()
    sys.stdout.flush()
    if details:
        print(details.rstrip(), file=sys.stderr)
    print(f"error: {line}", file=sys.stderr)
    return 1


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
