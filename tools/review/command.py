"""``review``: turn previews into one Markdown comment.

Exit code 0: no change reaches the threshold, or labels approve those that do. 2: the check fails. 1: a preview failed,
or the comment could not be written.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tools.review import comment, engine, policy, preview
from tools.review.approval import Approvals
from tools.review.context import ReviewContext
from tools.review.errors import ReviewError
from tools.review.mask import mask
from tools.review.origin import MappingOrigins
from tools.review.verdict import Verdict, threshold

FAILED, BLOCKED = 1, 2


def run(options: argparse.Namespace) -> int:
    """Write the comment and the report; return the exit code. Raises ``ReviewError``."""
    origins = MappingOrigins.read(options.mapping, options.source_url)
    drift = _drift(options.drift)
    secrets: list[str] = []
    verdicts = []
    for stack_preview in _previews(options, secrets):
        secrets += policy.plain_secrets(stack_preview.config).values()
        try:
            minimum = threshold(stack_preview, options.threshold)
        except ValueError as error:
            raise ReviewError(f"config reviewThreshold of stack {stack_preview.stack}: {error}") from None
        context = ReviewContext(stack_preview, origins, Path())
        verdicts.append(
            Verdict(context, minimum, Approvals.read(options.approve), tuple(drift.get(stack_preview.stack, ())))
        )
    # The highest risk first.
    verdicts.sort(key=lambda item: (not item.failed, not item.blocked, -item.risk, item.preview.stack))
    report = (
        f"[the full report]({options.report_url})"
        if options.report_url
        else (f"`{options.json.name}`" if options.json else "")
    )
    keep = (options.source_url.rstrip("/"), options.report_url)
    text = comment.write(verdicts, comment.CommentOptions(report, tuple(secrets), keep))
    document = {"version": 1, "stacks": [_masked(verdict.report(), secrets, keep) for verdict in verdicts]}
    _write(options.json, json.dumps(document, indent=2) + "\n")
    if options.output:
        _write(options.output, text)
    else:
        sys.stdout.write(text)
    if any(verdict.failed for verdict in verdicts):
        return FAILED
    return BLOCKED if any(verdict.blocked for verdict in verdicts) else 0


def _masked(value: Any, secrets: Sequence[str], keep: Sequence[str]) -> Any:
    """Mask each string of a JSON document separately, which keeps the document valid."""
    if isinstance(value, str):
        return mask(value, secrets, keep)
    if isinstance(value, dict):
        return {mask(str(key), secrets, keep): _masked(item, secrets, keep) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_masked(item, secrets, keep) for item in value]
    return value


def _previews(options: argparse.Namespace, secrets: list[str]) -> list[preview.Preview]:
    found = [_parsed(name) for name in options.files]
    for stack in options.stack:
        print(f"preview of {stack} ...", file=sys.stderr, flush=True)
        secrets += engine.secrets(stack)
        found.append(preview.parse(engine.preview(stack), stack))
    duplicated = {
        item.stack for item in found if sum((one.project, one.stack) == (item.project, item.stack) for one in found) > 1
    }
    if duplicated:
        raise ReviewError(f"more than one preview of stack {', '.join(sorted(duplicated))}; pass one per stack")
    return found


def _parsed(name: str) -> preview.Preview:
    try:
        return preview.parse(_read(name), Path(name).stem if name != "-" else "")
    except ReviewError as error:
        raise ReviewError(f"{name}: {error}") from None


def _read(name: str) -> str:
    try:
        raw = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise ReviewError(f"cannot read {name}: {error.strerror}") from None
    return raw.decode("utf-8-sig", "replace")


def _drift(files: list[Path]) -> dict[str, list[str]]:
    """Stack -> sentences, from documents of ``drift --json``."""
    found: dict[str, list[str]] = {}
    for file in files:
        try:
            document = json.loads(_read(str(file)))
            lines = [f"{item['store']}: {item['sentence']}" for item in document["differences"]]
            lines += [f"could not be compared: {error}" for error in document.get("errors", ())]
            found.setdefault(str(document["stack"]), []).extend(lines)
        except (ValueError, KeyError, TypeError):
            raise ReviewError(f"{file} is not the output of `python3 -m tools drift --json`") from None
    return found


def _write(path: Path | None, text: str) -> None:
    if path is None:
        return
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ReviewError(f"{path} cannot be written: {error.strerror}") from None
