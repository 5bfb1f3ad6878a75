"""Run a remedy that ``drift`` printed for Valkey, exactly as it is printed."""

import argparse
import os
import re
import subprocess
from collections.abc import Callable
from typing import Any

from tools.cli import parser
from tools.operations import keys, stream_repair
from tools.operations.stack import Stack

_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"|(\S+)')
_ESCAPE = re.compile(rb"\\(?:x([0-9a-f]{2})|(.))")
_TOOLS: dict[str, Callable[[Stack, argparse.Namespace], int]] = {
    "streams repair": stream_repair.run,
    "keys": keys.run,
    "drift": lambda _stack, _options: 0,  # it only names what is left
}


def run_remedy(admin: Any, stack: Stack, remedy: str) -> None:
    """``admin`` is a client of the server; commands of ``python3 -m tools`` run in this process, on ``stack``."""
    if not remedy.startswith("python3 -m tools "):
        admin.execute_command(*valkey_cli_words(remedy))
        return
    command, arguments = parser.find(shell_words(remedy)[3:])
    options = parser.parse(command, arguments).options
    assert options.stack == stack.name, "the remedy is for another stack"
    options.yes = True
    _TOOLS[command.name](stack, options)


def shell_words(line: str, environment: dict[str, str] | None = None) -> list[str]:
    """Split a line as bash does, with the variables of ``environment``; by default with this process's."""
    script = f"printf '%s\\0' {line}"
    done = subprocess.run(["bash", "-c", script], env=environment, capture_output=True, check=True)
    return [os.fsdecode(word) for word in done.stdout.split(b"\0")[:-1]]


def valkey_cli_words(line: str) -> list[bytes]:
    r"""Split a line as valkey-cli does: words, or texts in double quotes with ``\xNN`` for a byte."""
    words = []
    for quoted, plain in _QUOTED.findall(line):
        unescaped = _ESCAPE.sub(lambda found: bytes([int(found[1], 16)]) if found[1] else found[2], quoted.encode())
        words.append(plain.encode() or unescaped)
    return words
