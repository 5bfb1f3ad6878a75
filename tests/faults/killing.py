"""Kill ``make up`` and ``make destroy`` with -9 at a random moment."""

import contextlib
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import psutil

from tests.support.stack import LocalStack

RUN_TIMEOUT_SECONDS = 300
# Seconds from the start of `make` until the engine starts with resources, and seconds of work on one resource.
STARTING_SECONDS = 3.0
WORKING_SECONDS = 0.4
FINISHED = re.compile(r"^  stack +(created|updated|deleted|replaced) ")

# What is killed: the engine; the engine and its children; make and all its descendants; or make alone.
VICTIMS = ("engine", "engine and plugins", "make and all", "make alone")


@dataclass(frozen=True)
class Moment:
    """A moment: ``seconds`` after ``finished`` resources, or after the start of the run if that is 0."""

    victim: str
    finished: int
    seconds: float

    def __str__(self) -> str:
        after = f"{self.finished} finished resources" if self.finished else "the start"
        return f"kill -9 {self.victim} {self.seconds:.2f} s after {after}"


@dataclass(frozen=True)
class Killed:
    """A killed run. ``in_time``: it was killed before it ended. ``finished``: number of finished resources."""

    in_time: bool
    finished: int
    code: int
    said: str


def moment(chance: random.Random, victim: str, resources: int, times: int) -> Moment:
    """Choose a moment in a run with ``resources`` that will be killed several times, so that moments spread evenly."""
    finished = chance.randint(0, max(2 * resources // (times + 1), 1))
    return Moment(victim, finished, chance.uniform(0, WORKING_SECONDS if finished else STARTING_SECONDS))


def run(stack: LocalStack, verb: list[str], at: Moment) -> Killed:
    """Start ``make <verb>`` and kill it at the moment."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tools", *verb],
        env=stack.environment, cwd=stack.project, text=True, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    lines: list[str] = []
    reached = threading.Event()
    killed = threading.Event()
    if not at.finished:
        reached.set()

    def read() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line)
            if _count(lines) >= at.finished:
                reached.set()
        reached.set()

    def kill() -> None:
        reached.wait()
        time.sleep(at.seconds)
        if process.poll() is None and _kill(process.pid, at.victim):
            killed.set()

    threads = [threading.Thread(target=target) for target in (read, kill)]
    for thread in threads:
        thread.start()
    code = process.wait(timeout=RUN_TIMEOUT_SECONDS)
    for thread in threads:
        thread.join(timeout=RUN_TIMEOUT_SECONDS)
    assert process.stdout is not None
    process.stdout.close()
    return Killed(killed.is_set(), _count(lines), code, "".join(lines))


def watched(stack: LocalStack, verb: list[str], see: Callable[[str], None]) -> "subprocess.CompletedProcess[str]":
    """Run ``make <verb>`` and call ``see`` with each line of output."""
    with tempfile.TemporaryFile("w+") as errors, subprocess.Popen(
        [sys.executable, "-m", "tools", *verb],
        env=stack.environment, cwd=stack.project, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        lines = []
        deadline = threading.Timer(RUN_TIMEOUT_SECONDS, process.kill)
        deadline.start()
        try:
            for line in process.stdout:
                lines.append(line)
                see(line)
            code = process.wait()
        finally:
            deadline.cancel()
        errors.seek(0)
        return subprocess.CompletedProcess(verb, code, "".join(lines), errors.read())


def _count(lines: list[str]) -> int:
    return sum(bool(FINISHED.search(line)) for line in lines)


def _kill(pid: int, victim: str) -> bool:
    """Kill processes; return False if none was left."""
    try:
        make = psutil.Process(pid)
        below = _below(make)
    except psutil.NoSuchProcess:
        return False
    engines = [process for process in below if _name(process) == "pulumi"]
    if victim == "make alone":
        chosen = [make]
    elif victim == "make and all" or not engines:
        # The servers have their own sessions and survive the end of a run.
        chosen = [make, *below]
    elif victim == "engine":
        chosen = engines[:1]
    else:
        chosen = [engines[0], *_below(engines[0])]
    for process in chosen:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    return True


def _below(process: psutil.Process) -> list[psutil.Process]:
    """Return the processes of a run, without the servers."""
    return [child for child in process.children(recursive=True) if not _is_server(child)]


def _is_server(process: psutil.Process) -> bool:
    return _name(process).startswith(("postgres", "valkey-server", "minio", "rustfs"))


def _name(process: psutil.Process) -> str:
    try:
        return str(process.name())
    except psutil.NoSuchProcess:
        return ""
