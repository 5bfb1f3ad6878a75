"""Runs the ``pulumi`` program: the only place that starts it. Standard library only.

Not ``pulumi.automation``: it puts secret config values on the command line, always adds to the caller's environment, has
no ``preview --json``, lets Ctrl-C reach the engine as well as the caller, and takes 0.7 s to import.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any


class PulumiError(Exception):
    """``pulumi`` could not be run or failed; the text is one line."""


@dataclass(frozen=True)
class Result:
    """The exit code of a command and what it printed."""

    exit_code: int
    stdout: str
    stderr: str

    @property
    def diagnostics(self) -> str:
        """The section of an update's output that has its errors; they do not go to standard error."""
        return self.stdout.partition("\nDiagnostics:\n")[2].partition("\nResources:\n")[0]


@dataclass(frozen=True)
class Process:
    """A command in progress, started by ``PulumiCli.start``."""

    popen: "subprocess.Popen[str]"

    def lines(self) -> Iterator[str]:
        """Standard output and standard error, line by line, until the command ends."""
        yield from self.popen.stdout or ()

    def wait(self) -> int:
        """Wait for the end; the exit code, negative when a signal ended it."""
        return self.popen.wait()

    def interrupt(self, reason: str) -> None:
        """Have the engine finish the operations in progress and stop; ``reason`` is printed."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.popen.pid, signal.SIGINT)
            print(
                f"\n{reason}: the engine finishes the operations in progress; Ctrl-C again stops it at once", flush=True
            )

    def kill(self) -> None:
        """End the engine and everything that it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.popen.pid, signal.SIGKILL)


@dataclass(frozen=True)
class PulumiCli:
    """A ``pulumi`` executable with the environment and the directory that it runs in; None means the caller's own."""

    program: Path
    environment: Mapping[str, str] | None = None
    directory: Path | None = None

    @staticmethod
    def on_path() -> "PulumiCli":
        """The one on the PATH, in the caller's environment. Raises ``PulumiError``."""
        found = shutil.which("pulumi")
        if found is None:
            raise PulumiError("pulumi is not on the PATH")
        return PulumiCli(Path(found))

    def command(self, *arguments: str, color: str = "") -> list[str]:
        """The command line. ``color`` is ``always`` or ``never``; without it the engine decides."""
        colors = [f"--color={color}"] if color else []
        return [str(self.program), "--non-interactive", *colors, *arguments]

    def run(
        self,
        *arguments: str,
        text: str = "",
        timeout: float | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> Result:
        """Run a command to its end and capture its output, whatever its exit code.

        ``text`` is its standard input, ``timeout`` is in seconds, ``settings`` are further environment variables.
        Raises ``PulumiError`` when it can't be started or does not end in time.
        """
        try:
            done = subprocess.run(
                self.command(*arguments, color="never"),
                cwd=self.directory, env=self._environment(settings), input=text, capture_output=True, text=True,
                errors="replace", check=False, timeout=timeout,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise PulumiError(f"pulumi {arguments[0]} did not answer within {timeout:g} s") from None
        except OSError as error:
            raise PulumiError(f"{self.program} can't be run: {error.strerror}") from None
        return Result(done.returncode, done.stdout, done.stderr)

    def output(self, *arguments: str, text: str = "", timeout: float | None = None) -> str:
        """The standard output of a command. Raises ``PulumiError`` with what the engine printed when it fails."""
        result = self.run(*arguments, text=text, timeout=timeout)
        if result.exit_code:
            printed = " ".join((result.stderr or result.diagnostics).split()).removeprefix("error: ")
            raise PulumiError(printed or f"pulumi {arguments[0]} ended with exit code {result.exit_code}")
        return result.stdout

    def json(self, *arguments: str, timeout: float | None = None) -> Any:
        """The JSON document that a command prints. Raises ``PulumiError``."""
        printed = self.output(*arguments, timeout=timeout)
        try:
            return json.loads(printed)
        except ValueError:
            raise PulumiError(f"pulumi {arguments[0]} printed no JSON") from None

    def show(self, *arguments: str) -> int:
        """Run a command whose output goes to the caller's standard output; its exit code. Ctrl-C as in ``start``."""
        with self._started(arguments, None, color="", captured=False) as process:
            return process.wait()

    @contextmanager
    def start(
        self, *arguments: str, color: str = "never", settings: Mapping[str, str] | None = None
    ) -> Iterator[Process]:
        """Run a command whose lines the caller reads.

        The first Ctrl-C interrupts the engine, which then finishes the operations in progress; the second kills it.
        Either way ``KeyboardInterrupt`` is raised after its end.
        """
        with self._started(arguments, settings, color=color, captured=True) as process:
            yield process

    def replace_process(self, arguments: Sequence[str]) -> None:
        """Replace this process by the engine, on the user's terminal. Does not return."""
        os.execve(self.program, [str(self.program), *arguments], self._environment(None) or os.environ)

    def _environment(self, settings: Mapping[str, str] | None) -> dict[str, str] | None:
        if self.environment is None and not settings:
            return None
        return {**(os.environ if self.environment is None else self.environment), **(settings or {})}

    @contextmanager
    def _started(
        self, arguments: Sequence[str], settings: Mapping[str, str] | None, *, color: str, captured: bool
    ) -> Iterator[Process]:
        # In a process group of its own: a Ctrl-C would reach the engine beside our own signal, and two end it at once.
        with subprocess.Popen(
            self.command(*arguments, color=color),
            cwd=self.directory, env=self._environment(settings), stdin=subprocess.DEVNULL, process_group=0, text=True,
            errors="replace", bufsize=1, stdout=subprocess.PIPE if captured else None,
            stderr=subprocess.STDOUT if captured else None,
        ) as popen:  # fmt: skip
            process = Process(popen)
            with _interruptible(process):
                yield process
                process.wait()


@contextmanager
def _interruptible(process: Process) -> Iterator[None]:
    interrupts = 0

    def handle(_signal: int, _frame: FrameType | None) -> None:
        nonlocal interrupts
        interrupts += 1
        if interrupts > 1:
            process.kill()
        else:
            process.interrupt("interrupted")

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if interrupts:
        raise KeyboardInterrupt
