"""Run a command: parse its arguments, enter the virtual environment, turn every failure into one line."""

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

# As shells count: 128 and the signal's number.
INTERRUPTED = 128 + signal.SIGINT
READER_LEFT = 128 + signal.SIGPIPE
MAKE_TARGETS = "--make-targets"  # what `make` alone prints
DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
ANSWERED = (*DISK_FULL, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR)


def main(arguments: Sequence[str]) -> int:
    """Run a command as a process of its own; its exit code. Enters the virtual environment first."""
    _keep_output_encodable()
    try:
        code = _main(list(arguments))
        sys.stdout.flush()
        sys.stderr.flush()
    except BrokenPipeError:
        # The reader has seen enough (`... | head`). What is buffered must not fail again at exit.
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
    return run(command, invocation, lambda: _enter(arguments, own=_may_run_here(command, invocation)))


def dispatch(arguments: Sequence[str]) -> int:
    """Run a command in this process, as it is; its exit code."""
    try:
        command, rest = parser.find(arguments)
        invocation = parser.parse(command, rest)
    except UserError as error:
        return _fail(str(error), error.details)
    return run(command, invocation)


def run(command: Command, invocation: Invocation, prepare: Callable[[], None] | None = None) -> int:
    """Run a command after ``prepare``; its exit code. A failure is one line on standard error."""
    console.use(errors=command.machine_output)
    try:
        if prepare:
            prepare()
        code = command.run(invocation)
        # A program that a signal ended has a negative code.
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
        if error.errno not in ANSWERED:
            raise
        where = f" at {error.filename}" if error.filename else ""
        again = f"then run make {command.make.target} again" if command.make else "then try again"
        if error.errno in DISK_FULL:
            return _fail(f"the disk is full{where}; make room, {again}")
        return _fail(f"{os.strerror(error.errno or 0)}{where}; correct that or its permissions, {again}")


def _may_run_here(command: Command, invocation: Invocation) -> bool:
    """Whether the user's own Python can run the command: one on another stack, with the program's packages installed."""
    runs_in_pipelines = command.group in (CommandGroup.DAY_TWO, CommandGroup.REVIEW)
    return runs_in_pipelines and not command.uses_local_stack(invocation.options) and bootstrap.has_packages()


def _enter(arguments: Sequence[str], *, own: bool) -> None:
    """Run in the virtual environment, or in the user's ``own``, in the project's directory and with UTF-8 for all files."""
    signal.signal(signal.SIGTERM, _interrupt)
    if not own:
        bootstrap.ensure(console)
    utf8 = sys.flags.utf8_mode or sys.getfilesystemencoding() == _locale_encoding() == "utf-8"
    if not utf8:
        os.environ["PYTHONUTF8"] = "1"  # for Python programs below us as well
    if not own and not bootstrap.inside():
        bootstrap.enter(arguments)
    elif not utf8:
        bootstrap.enter(arguments, Path(sys.executable))
    os.chdir(ROOT)


def _locale_encoding() -> str:
    import locale

    return locale.getpreferredencoding(do_setlocale=False).lower().replace("utf8", "utf-8")


def _set_home() -> None:
    """Set HOME from the user database where it is missing: go, pip and the engine need it. Raises ``UserError``."""
    if os.environ.get("HOME"):
        return
    try:
        os.environ["HOME"] = pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:
        raise UserError(
            f"HOME is not set, and user {os.getuid()} is not in the user database",
            "set it: export HOME=/some/directory",
        ) from None


def _keep_output_encodable() -> None:
    """What a terminal's encoding does not have is written as an escape, never an error."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure") and (stream.encoding or "").lower() not in ("utf-8", "utf8"):
            stream.reconfigure(errors="backslashreplace")


def _discard_output() -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            os.dup2(nowhere, stream.fileno())


def _fail(line: str, details: str = "") -> int:
    console.clear()
    sys.stdout.flush()
    if details:
        print(details.rstrip(), file=sys.stderr)
    print(f"error: {line}", file=sys.stderr)
    return 1


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
