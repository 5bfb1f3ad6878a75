"""Run a command and measure processor time and memory of each kind of its processes.

The engine starts many processes: the language host with the program, and the plugins. They are sampled, so up to
``SAMPLE_SECONDS`` at the end of a process may be missing.
"""

import os
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

SAMPLE_SECONDS = 0.02
KINDS = ENGINE, PROGRAM, PLUGINS, OTHER = "engine", "program", "plugins", "other"


@dataclass(frozen=True)
class Run:
    """The cost of a run: ``wall`` seconds, processor ``seconds`` by kind, ``peak`` memory of all processes in bytes."""

    wall: float
    seconds: dict[str, float]
    peak: int


class CommandError(Exception):
    """The command's exit code is not 0; the text is the end of its output."""


def _kind(process: psutil.Process) -> str:
    """``engine``, ``program`` (with its language host), ``plugins`` or ``other``."""
    words = process.cmdline()
    text = " ".join(words)
    if any(mark in text for mark in ("pulumi-resource-", " -m provider ", " -m tools.offline_plugins.")):
        return PLUGINS
    if "pulumi-language-" in text:
        return PROGRAM
    return ENGINE if Path(words[0]).name == "pulumi" else OTHER


def measured(command: Sequence[str | Path], environment: Mapping[str, str], directory: Path) -> Run:
    """Run ``command`` to its end. Raises ``CommandError``."""
    kinds: dict[int, str] = {}
    used: dict[int, float] = {}
    peak = 0
    with tempfile.TemporaryFile() as output:
        began = time.perf_counter()
        with subprocess.Popen(
            [str(word) for word in command], cwd=directory, env=dict(environment), stdin=subprocess.DEVNULL,
            stdout=output, stderr=subprocess.STDOUT,
        ) as child:  # fmt: skip
            top = psutil.Process(child.pid)
            while child.poll() is None:
                memory = 0
                for process in _family(top):
                    try:
                        with process.oneshot():
                            if process.pid not in kinds or kinds[process.pid] == OTHER:
                                kinds[process.pid] = _kind(process)
                            times = process.cpu_times()
                            used[process.pid] = times.user + times.system
                            memory += process.memory_info().rss
                    except (psutil.NoSuchProcess, IndexError):
                        continue
                peak = max(peak, memory)
                time.sleep(SAMPLE_SECONDS)
        wall = time.perf_counter() - began
        if child.returncode:
            output.seek(max(0, output.tell() - 4000), os.SEEK_SET)
            raise CommandError(output.read().decode(errors="replace"))
    seconds: dict[str, float] = {}
    for pid, taken in used.items():
        seconds[kinds[pid]] = seconds.get(kinds[pid], 0.0) + taken
    return Run(wall, seconds, peak)


def _family(top: psutil.Process) -> list[psutil.Process]:
    try:
        return [top, *top.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []
