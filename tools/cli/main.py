"""Run a command: parse its arguments, enter the virtual environment, report every failure in one line."""

import errno
import os
import pwd
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType

from tools.cli import parser
from tools.cli.command import Command, CommandGroup, Invocation
from tools.local import bootstrap
from tools.local.console import console
from tools.local.errors import UserError
from tools.local.paths import ROOT

# As in shells: 128 + the number of the signal.
INTERRUPTED = 128 + signal.SIGINT
READER_LEFT = 128 + signal.SIGPIPE
MAKE_TARGETS = "--make-targets"  # what `make` alone prints
DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
# Reported in one line; other errors keep their traceback.
MACHINE_ERRORS = (*DISK_FULL, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR)


def main(arguments: Sequence[str]) -> int:
    """Run a command as the program of this process, in the virtual environment. Return its exit code."""
    _escape_unencodable_output()
    try:
        code = _main(list(arguments))
        sys.stdout.flush()
        sys.stderr.flush()
    except BrokenPipeError:
        # The reader closed the pipe, as `... | head` does. Buffered output must not raise again at exit.
        _discard_output()
        return READER_LEFT
    return code


def _main(arguments: list[str]) -> int:
    if arguments == [MAKE_TARGETS]:
        sys.stdout.write(parser.make_targets())
        return 0
    try:
        text = parser.help_of(arguments)
        if text is not None:
            sys.stdout.write(text)
            return 0
        command, rest = parser.find(arguments)
        invocation = parser.parse(command, rest)
        _set_home()
    except UserError as error:
        return _fail(str(error), error.details)
    return run(command, invocation, lambda: _enter_python(arguments, stay=_may_use_current_python(command, invocation)))


def dispatch(arguments: Sequence[str]) -> int:
    """Run a command in this process without changing its environment. Return its exit code."""
    try:
        command, rest = parser.find(arguments)
        invocation = parser.parse(command, rest)
    except UserError as error:
        return _fail(str(error), error.details)
    return run(command, invocation)


def run(command: Command, invocation: Invocation, prepare: Callable[[], None] | None = None) -> int:
    """Run ``prepare``, then the command. Return the exit code. Print a failure as one line on standard error."""
    console.use(errors=command.machine_output)
    try:
        if prepare:
            prepare()
        code = command.run(invocation)
        # The code is negative if a signal ended the program.
        return code if code >= 0 else 128 - code
    except UserError as error:
        return _fail(str(error), error.details)
    except KeyboardInterrupt:
        console.clear()
        resumes = command.group is CommandGroup.LOCAL_STACK and not command.machine_output
        again = f"; run make {command.name} again: it continues where it stopped" if resumes else ""
        print(f"interrupted{again}", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        raise
    except OSError as error:
        if error.errno not in MACHINE_ERRORS:
            raise
        where = f" at {error.filename}" if error.filename else ""
        again = f"then run make {command.make.target} again" if command.make else "then try again"
        if error.errno in DISK_FULL:
            return _fail(f"the disk is full{where}; make room, {again}")
        return _fail(f"{os.strerror(error.errno or 0)}{where}; correct the path or its permissions, {again}")


def _may_use_current_python(command: Command, invocation: Invocation) -> bool:
    """Whether to run without the virtual environment: if the command is for another stack and its packages are installed."""
    runs_in_pipelines = command.group in (CommandGroup.DAY_TWO, CommandGroup.REVIEW)
    return runs_in_pipelines and not command.uses_local_stack(invocation.options) and bootstrap.has_packages()


def _enter_python(arguments: Sequence[str], *, stay: bool) -> None:
    """Continue in the virtual environment (unless ``stay``), with UTF-8 for all files, in the project's directory."""
    signal.signal(signal.SIGTERM, _interrupt)
    if not stay:
        bootstrap.ensure(console)
    utf8 = sys.flags.utf8_mode or sys.getfilesystemencoding() == _locale_encoding() == "utf-8"
    if not utf8:
        os.environ["PYTHONUTF8"] = "1"  # also for Python programs that this one starts
    if not stay and not bootstrap.inside():
        bootstrap.enter(arguments)
    elif not utf8:
        bootstrap.enter(arguments, Path(sys.executable))
    os.chdir(ROOT)


def _locale_encoding() -> str:
    import locale

    return locale.getpreferredencoding(do_setlocale=False).lower().replace("utf8", "utf-8")


def _set_home() -> None:
    """Set a missing HOME from the user database: go, pip and the engine need it. Raises ``UserError``."""
    if os.environ.get("HOME"):
        return
    try:
        os.environ["HOME"] = pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:
        raise UserError(
            f"HOME is not set, and user {os.getuid()} is not in the user database",
            "set it: export HOME=/some/directory",
        ) from None


def _escape_unencodable_output() -> None:
    """Write characters that the terminal's encoding does not have as escapes, instead of raising an error."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure") and (stream.encoding or "").lower() not in ("utf-8", "utf8"):
            stream.reconfigure(errors="backslashreplace")


def _discard_output() -> None:
    null = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            os.dup2(null, stream.fileno())


def _fail(line: str, details: str = "") -> int:
    console.clear()
    sys.stdout.flush()
    if details:
        print(details.rstrip(), file=sys.stderr)
    print(f"error: {line}", file=sys.stderr)
    return 1


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
