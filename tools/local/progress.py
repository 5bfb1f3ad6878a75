"""A shorter form of the engine's plain output: one line for each finished resource, and no line twice."""

import re

from tools.local.console import Console
from tools.local.remedies import for_local_stack

# A finished resource: ` +  postgresql:index:Role vuln_owner created (0.12s)`.
_RESOURCE = r"[\s~+\-=@*<>]*(?P<type>[\w-]+:\S+) (?P<name>\S+)"
_FINISHED = re.compile(
    _RESOURCE + r" (?P<action>(created|updated|deleted|replaced|imported|discarded)( original| replacement)?)\b"
)
_STARTED = r"((\w+ing|refresh)( original| replacement)? \([\d.ms]+\)|running)"
# The changed properties, which a preview shows in a more readable form.
_DIFF = r"\[diff: [^\]]*\]"
# Lines without a result: headings, operations that start, unchanged resources.
_WITHOUT_RESULT = re.compile(rf"@ \w+( \w+)?\.+$|\w+ \(local\):$|{_RESOURCE} *{_STARTED}?\s*({_DIFF})?\s*$")
# Failed resources; the diagnostics at the end repeat each error in full, with its resource.
_FAILED = re.compile(rf"{_RESOURCE} .*(\*\*.*failed\*\*|\berror: )")
# A message about a resource in progress: ` ~  type name updating (3s) the text`.
_MESSAGE = re.compile(rf"{_RESOURCE} {_STARTED}\s+({_DIFF};?\s*)?(?P<text>(?!\[diff: )\S.*)$")
# A resource that is removed from the state and kept in the store: ` -  type name deleting (0s)[retain]`.
_KEPT = re.compile(rf"{_RESOURCE} deleting \([\d.ms]+\)\[retain\]")
# A heading of the diagnostics, which repeat messages that were already printed.
_HEADING = re.compile(r"Diagnostics:$|  [\w-]+:\S+ \([^)]*\):$")
_SECTION = re.compile(r"(Outputs|Resources):$")
# How the engine begins the error of an update that failed half-way; the next line has the error.
_ONE_ERROR = "1 error occurred:"
_BULLET = re.compile(r"\s*\* (?P<text>.*)")
# The engine's instructions for removing the stack; the local stack has `make clean`.
_REMOVAL_HINT = re.compile(r"The resources in the stack have been deleted|If you want to remove the stack")
_COLOURS = re.compile(r"\033\[[0-9;]*m")


class Progress:
    """Prints the lines passed to ``feed``. On a terminal the last finished resource and a count share one live line."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._finished = 0
        self._printed: set[str] = set()
        self._kept: set[tuple[str, str]] = set()
        self._error = ""  # a line that ended before its error
        self._pending: list[str] = []  # headings and empty lines, printed only before another line

    def feed(self, line: str) -> None:
        """Print a line of the engine's output in short form, or drop it."""
        line = for_local_stack(line.rstrip("\n"))
        if self._error and (bullet := _BULLET.match(_COLOURS.sub("", line))):
            line = self._error + bullet["text"]
        self._error = ""
        plain = _COLOURS.sub("", line)
        finished, message = _FINISHED.match(plain), _MESSAGE.match(plain)
        if _FAILED.match(plain):
            return
        if kept := _KEPT.match(plain):
            self._kept.add((kept["type"], kept["name"]))
        elif plain.endswith(_ONE_ERROR):
            self._error = line.replace(_ONE_ERROR, "")
        elif finished:
            self._finished += 1
            is_kept = (finished["type"], finished["name"]) in self._kept
            action = "kept" if is_kept else finished["action"]
            self._line(f"{action} {finished['type'].rpartition(':')[2]} {finished['name']}", live=not is_kept)
        elif message:
            self._line(message["text"].strip(), live=False)
        elif _SECTION.match(plain):
            self._pending.clear()
            self._console.say()
            self._console.say(line)
        elif _HEADING.match(plain):
            self._pending.append(line)
        elif not plain.strip():
            if self._pending[-1:] != [""]:
                self._pending.append("")
        elif plain.strip() not in self._printed and not _WITHOUT_RESULT.match(plain) and not _REMOVAL_HINT.match(plain):
            for pending in self._pending:
                self._console.say(pending)
            self._pending.clear()
            self._console.say(line)

    def _line(self, text: str, *, live: bool) -> None:
        self._pending.clear()
        if live and self._console.terminal:
            self._console.live("stack", f"{self._finished}: {text}")
        elif text not in self._printed:
            self._printed.add(text)
            self._console.line("stack", text)
