"""``preview`` in short: each changed resource with its changed properties, and the contract's differences."""

from collections.abc import Iterator

from tools.local.console import Console
from tools.local.fleet import Fleet
from tools.local.remedies import for_local_stack
from tools.local.stack import Stack
from tools.pulumi_cli import PulumiError
from tools.review import contract_diff
from tools.review.engine import STREAMING
from tools.review.errors import ReviewError
from tools.review.kinds.generic import is_repeated, properties
from tools.review.mask import mask
from tools.review.preview import STACK_TYPE, Preview, PreviewStep, parse

WHOLE = "ARGS=--diff shows everything"
LINES_OF_RESOURCE = 6
LINES_OF_CONTRACT = 12
WIDTH = 160  # characters of a line
_SIGNS = {"create": ("+", "green"), "update": ("~", "yellow"), "replace": ("+-", "yellow"), "delete": ("-", "red")}


def show(stack: Stack, fleet: Fleet, console: Console) -> int:
    """Run the preview and print it. Return 0, or 1 if it failed; the errors are then printed in full."""
    with console.step("stack") as step:
        step.update("comparing the mapping with the stack")
        try:
            result = stack.cli.run("preview", "--json", settings=STREAMING)
            found = parse(result.stdout if "{" in result.stdout else result.stderr, stack.state.directory.name)
        except (PulumiError, ReviewError) as error:
            console.say(f"error: {error}")
            return 1
    console.say(mask("\n".join([*_lines(found, console), *_restarts(fleet, console)])))
    return 1 if found.errors else 0


def _lines(found: Preview, console: Console) -> Iterator[str]:
    for step in found.changes:
        # The stack's outputs are shown as the contract's differences; components have no properties.
        if step.type != STACK_TYPE and not _is_component(step):
            yield from _resource(step, console)
    yield from _contract(found, console)
    for warning in found.warnings:
        yield console.paint("yellow", for_local_stack(f"warning: {warning.strip()}"))
    for error in found.errors:
        yield console.paint("red", for_local_stack(f"error: {error.strip()}"))
    if not found.errors:
        counts = [f"{count} to {op}" for op, count in found.counts.items()]
        yield ", ".join([*counts, f"{found.same_count} unchanged"]) if counts else "no changes"


def _restarts(fleet: Fleet, console: Console) -> Iterator[str]:
    """What ``up`` does besides the engine's run."""
    if lines := fleet.valkey.pending_changes():
        yield console.paint("yellow", "~ the local Valkey is restarted with another configuration")
        yield from _limited(lines, LINES_OF_RESOURCE)


def _is_component(step: PreviewStep) -> bool:
    return step.op in ("create", "delete") and not step.state.inputs and not step.state.outputs


def _resource(step: PreviewStep, console: Console) -> Iterator[str]:
    sign, color = _SIGNS[step.op]
    kept = " (what it stands for is kept)" if step.op == "delete" and step.old.retained else ""
    yield console.paint(color, f"{sign} {step.type.rpartition(':')[2]} {step.name}{kept}")
    if is_repeated(step):
        yield "    its last update failed and is repeated"
    if step.op in ("update", "replace"):
        yield from _limited(properties(step).split("\n")[1:], LINES_OF_RESOURCE)


def _contract(found: Preview, console: Console) -> Iterator[str]:
    before, after = (outputs.get("contract") if outputs else None for outputs in found.outputs())
    if not before or not isinstance(before, dict) or not isinstance(after, dict):
        return
    difference = contract_diff.compare(before, after)
    if not difference:
        return
    yield console.paint("yellow", "~ contract")
    yield from _limited(
        [
            *(f"+ {path}" for path in difference.added),
            *(f"- {path}" for path in difference.removed),
            *(f"~ {line}" for line in (*difference.retyped, *difference.changed)),
            *([difference.problem] if difference.problem else []),
        ],
        LINES_OF_CONTRACT,
    )


def _limited(lines: list[str], most: int) -> Iterator[str]:
    for line in lines[:most]:
        yield f"    {line if len(line) <= WIDTH else f'{line[: WIDTH - 4]} ...'}"
    if len(lines) > most:
        yield f"    and {len(lines) - most} more lines; {WHOLE}"
