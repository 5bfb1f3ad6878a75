"""Previews made by hand, for what no recording has. Same form as the engine's events."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tools.review.approval import Approvals
from tools.review.context import ReviewContext
from tools.review.origin import MappingOrigins
from tools.review.preview import STACK_TYPE, Preview, parse
from tools.review.risk import Risk
from tools.review.verdict import Verdict

ROOT = Path(__file__).parents[3]
ORIGINS = MappingOrigins.read(ROOT / "schema-mapping.yaml")


def event(
    op: str, type_: str, name: str, old: dict[str, Any] | None = None, new: dict[str, Any] | None = None, **more: Any
) -> dict[str, Any]:
    """One resource. ``protect`` and ``outputs`` go to both sides, ``changed`` are the paths that the provider named."""
    urn = f"urn:pulumi:dev::stellaops-storage::{type_}::{name}"
    common = {key: more[key] for key in ("protect",) if key in more}

    def side(inputs: dict[str, Any] | None, protect: bool | None = None) -> dict[str, Any] | None:
        if inputs is None:
            return None
        state = {"urn": urn, "type": type_, "inputs": inputs, "outputs": more.get("outputs", {}), **common}
        state |= {"retainOnDelete": True} if more.get("retained") else {}
        state |= {"initErrors": ["the server is gone"]} if more.get("unfinished") else {}
        return state if protect is None else {**state, "protect": protect}

    detailed = {path: {"diffKind": "update"} for path in more.get("changed", ())}
    data = {
        "op": op, "urn": urn, "type": type_, "old": side(old, more.get("was_protected")), "new": side(new), "detailedDiff": detailed,
    }  # fmt: skip
    return {"resourcePreEvent": {"metadata": data}}


def engine_output(
    *events: dict[str, Any],
    config: dict[str, str] | None = None,
    errors: Iterable[str] = (),
    result: str = "succeeded",
    outputs: tuple[dict[str, Any], dict[str, Any]] | None = None,
) -> str:
    """What the engine would print. ``outputs`` are the contract before and after."""
    if outputs is not None:
        events = (*events, _stack(*outputs))
    all_events = [
        {"preludeEvent": {"config": config or {}}},
        *events,
        *({"diagnosticEvent": {"severity": "error", "message": f"error: {text}"}} for text in errors),
        {"summaryEvent": {"resourceChanges": {"same": 3}, "result": result}},
    ]
    return "\n".join(json.dumps(item) for item in all_events) + "\n"


def _stack(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    made = event("same", STACK_TYPE, "stellaops-storage-dev", {}, {})
    for side, contract in (("old", old), ("new", new)):
        made["resourcePreEvent"]["metadata"][side]["outputs"] = {"contract": contract}
    return made


def preview(*events: dict[str, Any], **more: Any) -> Preview:
    return parse(engine_output(*events, **more), "dev")


def verdict(
    *events: dict[str, Any],
    threshold: Risk = Risk.DATA_LOSS,
    labels: Iterable[str] = (),
    root: Path = ROOT,
    **more: Any,
) -> Verdict:
    return Verdict(ReviewContext(preview(*events, **more), ORIGINS, root), threshold, Approvals.read(labels))


def only(*events: dict[str, Any], root: Path = ROOT) -> tuple[Risk, str]:
    """The one sentence that there is."""
    found = sentences(verdict(*events, root=root))
    assert len(found) == 1, found
    return found[0]


def sentences(found: Verdict) -> list[tuple[Risk, str]]:
    return [(change.risk, change.sentence) for change in found.changes]
