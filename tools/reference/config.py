"""``python -m tools.reference.config [--check]``: the ``config:`` block of ``Pulumi.yaml``, from the model of stack config.

The engine refuses a missing or ill-typed key by this block before the program starts. What stands in the block above the
line ``MARKER`` is written by hand and kept, as is the rest of the file.
"""

import json
import re
import sys
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path

import yaml

from components.config.keys import Declared, declared
from components.config.model import Settings
from tools.reference import committed

COMMAND = "python -m tools.reference.config"
FILE = "Pulumi.yaml"
MARKER = f"  # Generated from components/config/model.py by `{COMMAND}`; edit the model instead."
WIDTH = 114
_BLOCK = re.compile(rf"^{re.escape(MARKER)}\n(?:\n*  .*\n)*", re.MULTILINE)


class MarkerError(Exception):
    """``Pulumi.yaml`` does not say where the generated part begins."""


def text(project: Path) -> str:
    """``Pulumi.yaml`` with its generated part brought up to date. Raises ``MarkerError``."""
    generated = "\n".join([MARKER, *(line for item in declared(Settings) for line in entry(item))]) + "\n"
    new, count = _BLOCK.subn(lambda _: generated, project.read_text(encoding="utf-8"))
    if count != 1:
        raise MarkerError(f"{project} needs this line once, at the end of its config block:\n{MARKER}")
    return new


def entry(item: Declared) -> Iterator[str]:
    """The lines of one key. The engine accepts only a value for a key of another namespace: the rest is a comment."""
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
    """The value in YAML on one line, in double quotes where it needs any."""
    plain = yaml.safe_dump(value, width=sys.maxsize, allow_unicode=True).removesuffix("...\n").strip()
    return json.dumps(value, ensure_ascii=False) if plain.startswith("'") else plain


def run(*, check: bool) -> int:
    """Exit code 0, or 1 when ``check`` finds that the file is not current, or where there is no ``MARKER``."""
    try:
        return committed.update({FILE: lambda: text(Path(FILE))}, COMMAND, check=check)
    except MarkerError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def main(arguments: Sequence[str] | None = None) -> int:
    return run(check=committed.checks(COMMAND, __doc__, arguments))


if __name__ == "__main__":
    sys.exit(main())
