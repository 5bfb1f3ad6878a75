"""``schemas``: generate the ``config:`` block of ``Pulumi.yaml`` from the model of stack config.

With this block, the engine rejects missing and ill-typed keys before the program starts. Only the part of the block
below the line ``MARKER`` is generated; the rest of the file is written by hand and left unchanged.
"""

import json
import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import yaml

from components.config.keys import Declared, declared
from components.config.model import Settings
from tools.reference import committed

COMMAND = "python3 -m tools schemas"
FILE = "Pulumi.yaml"
MARKER = f"  # Generated from components/config/model.py by `{COMMAND}`; edit the model instead."
WIDTH = 114
_BLOCK = re.compile(rf"^{re.escape(MARKER)}\n(?:\n*  .*\n)*", re.MULTILINE)


class MarkerError(Exception):
    """``Pulumi.yaml`` does not contain the line ``MARKER`` exactly once."""


def text(project: Path) -> str:
    """Return the text of ``Pulumi.yaml`` with its generated part updated. Raises ``MarkerError``."""
    generated = "\n".join([MARKER, *(line for item in declared(Settings) for line in entry(item))]) + "\n"
    new, count = _BLOCK.subn(lambda _: generated, project.read_text(encoding="utf-8"))
    if count != 1:
        raise MarkerError(f"{project} must contain this line exactly once, at the end of its config block:\n{MARKER}")
    return new


def entry(item: Declared) -> Iterator[str]:
    """Yield the lines of one key.

    For a key of another namespace, the engine accepts only a value, so its description becomes a comment.
    """
    name, description = item.key.name, item.key.description
    if item.foreign:
        yield from (f"  # {line}" for line in textwrap.wrap(description, WIDTH))
        yield f"  {name}:"
        yield f"    value: {_scalar(item.default)}"
        return
    yield f"  {name}:"
    yield f"    type: {item.pulumi_type}"
    if item.default is not None:
        yield f"    default: {_scalar(item.default)}"
    if item.key.secret:
        yield "    secret: true"
    if len(line := f"    description: {_scalar(description)}") <= WIDTH:
        yield line
    else:
        yield "    description: >-"
        yield from (f"      {part}" for part in textwrap.wrap(description, WIDTH, break_on_hyphens=False))


def _scalar(value: object) -> str:
    """Format a value as YAML on one line, in double quotes if it needs quotes."""
    plain = yaml.safe_dump(value, width=sys.maxsize, allow_unicode=True).removesuffix("...\n").strip()
    return json.dumps(value, ensure_ascii=False) if plain.startswith("'") else plain


def run(*, check: bool) -> int:
    """Return exit code 1 if ``check`` finds that the file is not current or if ``MARKER`` is missing, else 0."""
    try:
        return committed.update({FILE: lambda: text(Path(FILE))}, COMMAND, check=check)
    except MarkerError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
