"""The engine's plain output, made readable: a line for each resource that is finished, and nothing said twice."""

import re

from tools.local.console import Console

# ` +  postgresql:index:Role vuln_owner created (0.12s)`: what is finished.
_RESOURCE = r"[\s~+\-=@*<>]*(?P<type>[\w-]+:\S+) (?P<name>\S+)"
_FINISHED = re.compile(
    _RESOURCE + r" (?P<what>(created|updated|deleted|replaced|imported|discarded)( original| replacement)?)\b"
)
_BEGUN = r"((\w+ing|refresh)( original| replacement)? \([\d.ms]+\)|running)"
# Which properties change; a preview shows them better.
_DIFF = r"\[diff: [^\]]*\]"
# What only says that it goes on: headings, operations that begin, resources that stay as they are.
_UNDERWAY = re.compile(rf"@ \w+( \w+)?\.+$|\w+ \(local\):$|{_RESOURCE} *{_BEGUN}?\s*({_DIFF})?\s*$")
# Errors stand in the diagnostics, whole and with the resource that they belong to.
_FAILED = re.compile(rf"{_RESOURCE} .*(\*\*.*failed\*\*|\berror: )")
# What a resource says of itself while it is worked on: ` ~  type name updating (3s) the text`.
_SAYS = re.compile(rf"{_RESOURCE} {_BEGUN}\s+({_DIFF};?\s*)?(?P<text>(?!\[diff: )\S.*)$")
# What goes from the state and stays in the store: ` -  type name deleting (0s)[retain]`.
_KEPT = re.compile(rf"{_RESOURCE} deleting \([\d.ms]+\)\[retain\]")
# A heading of the diagnostics, which repeat what was said on the way.
_HEADING = re.compile(r"Diagnostics:$|  [\w-]+:\S+ \([^)]*\):$")
_SECTION = re.compile(r"(Outputs|Resources):$")
# The engine tells how to remove the stack for good; `make clean` does that.
_FAREWELL = re.compile(r"The resources in the stack have been deleted|If you want to remove the stack")
_COLOURS = re.compile(r"\033\[[0-9;]*m")


class Progress:
    """``feed`` it each line of the engine. On a terminal finished resources are one line with a count."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._finished = 0
        self._said: set[str] = set()
        self._kept: set[tuple[str, str]] = set()
        self._held: list[str] = []  # headings and empty lines that wait for something below them

    def feed(self, line: str) -> None:
        """Show what is worth it."""
        line = line.rstrip("\n")
        plain = _COLOURS.sub("", line)
        finished, says = _FINISHED.match(plain), _SAYS.match(plain)
        if _FAILED.match(plain):
            return
        if kept := _KEPT.match(plain):
            self._kept.add((kept["type"], kept["name"]))
        elif finished:
            self._finished += 1
            is_kept = (finished["type"], finished["name"]) in self._kept
            what = "kept" if is_kept else finished["what"]
            self._line(f"{what} {finished['type'].rpartition(':')[2]} {finished['name']}", live=not is_kept)
        elif says:
            self._line(says["text"].strip(), live=False)
        elif _SECTION.match(plain):
            self._held.clear()
            self._console.say()
            self._console.say(line)
        elif _HEADING.match(plain):
            self._held.append(line)
        elif not plain.strip():
            if self._held[-1:] != [""]:
                self._held.append("")
        elif plain.strip() not in self._said and not _UNDERWAY.match(plain) and not _FAREWELL.match(plain):
            for held in self._held:
                self._console.say(held)
            self._held.clear()
            self._console.say(line)

    def _line(self, text: str, *, live: bool) -> None:
        self._held.clear()
        if live and self._console.terminal:
            self._console.live("stack", f"{self._finished}: {text}")
        elif text not in self._said:
            self._said.add(text)
            self._console.line("stack", text)
