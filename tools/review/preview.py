"""Parse the JSON output of a preview, in either of its two forms.

``parse`` takes the document of ``pulumi preview --json`` or the events of the streaming form
(``PULUMI_ENABLE_STREAMING_JSON_PREVIEW=true``). Only the latter contains unchanged resources, the planned outputs and
policy violations.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from tools.review.errors import ReviewError

SECRET = "[secret]"  # noqa: S105 - the engine's placeholder
_SECRET_SIGNATURE = "4dabf18193072939515e22adb298388d"  # noqa: S105 - the engine's marker of a wrapped value
UNKNOWN_VALUES = frozenset(
    {
        "04da6b54-80e4-46f7-96ec-b56ff0331ba9",
        "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",
        "3eeb2bf0-c639-47a8-9e75-3b44932eb421",
        "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",
    }
)
UNKNOWN = "(known after the run)"

STACK_TYPE = "pulumi:pulumi:Stack"
# Operation of the engine -> operation that the comment counts. Others are ignored.
_OPERATIONS = {
    "same": "same",
    "create": "create",
    "import": "create",
    "update": "update",
    "delete": "delete",
    "replace": "replace",
    "create-replacement": "replace",
    "delete-replaced": "replace",
    "import-replacement": "replace",
    "refresh": "refresh",
}


@dataclass(frozen=True)
class ResourceState:
    """A resource before or after the change, with the program's ``inputs`` and the provider's ``outputs``.

    ``retained``: the store keeps the object when the stack deletes the resource (``retainOnDelete``). ``unfinished``: its
    last creation or update failed, so the engine updates it even without a change.
    """

    inputs: dict[str, Any]
    outputs: dict[str, Any]
    protect: bool = False
    retained: bool = False
    unfinished: bool = False

    def live(self, key: str, default: Any = None) -> Any:
        """The output ``key``, else the input."""
        return self.outputs.get(key, self.inputs.get(key, default))

    def declared(self, key: str, default: Any = None) -> Any:
        return self.inputs.get(key, default)


NO_STATE = ResourceState({}, {})


@dataclass(frozen=True)
class PreviewStep:
    """The planned operation on one resource: ``op`` is same, create, update, replace, delete or, for drift, refresh.

    ``changed`` are the property paths in the provider's diff.
    """

    op: str
    urn: str
    old: ResourceState
    new: ResourceState
    changed: tuple[str, ...] = ()

    @property
    def type(self) -> str:
        return self.urn.split("::")[2].rpartition("$")[2] if self.urn.count("::") > 2 else ""

    @property
    def name(self) -> str:
        return self.urn.split("::", 3)[-1]

    @property
    def component(self) -> str:
        """The type of the parent component; empty if there is none."""
        types = self.urn.split("::")[2].split("$") if self.urn.count("::") > 2 else []
        return types[-2] if len(types) > 1 else ""

    @property
    def state(self) -> ResourceState:
        """The new state, or the old state of a deleted resource."""
        return self.old if self.op == "delete" else self.new


@dataclass(frozen=True)
class Violation:
    """A violated rule. Mandatory violations fail the check."""

    rule: str
    message: str
    mandatory: bool = True


@dataclass
class Preview:
    """One stack's preview. ``errors`` is empty if it succeeded. ``complete``: it includes unchanged resources and the
    planned outputs."""

    project: str = ""
    stack: str = ""
    steps: list[PreviewStep] = field(default_factory=list)
    drifted: list[PreviewStep] = field(default_factory=list)
    config: dict[str, str] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    violations: list[Violation] = field(default_factory=list)
    same_count: int = 0
    complete: bool = False
    _by_urn: dict[str, PreviewStep] = field(default_factory=dict)

    @property
    def changes(self) -> list[PreviewStep]:
        return [step for step in self.steps if step.op != "same"]

    def step(self, urn: str) -> PreviewStep | None:
        """The step of a changed resource; None if it is unchanged or absent."""
        if len(self._by_urn) != len(self.steps):
            self._by_urn.update({step.urn: step for step in self.steps})
        found = self._by_urn.get(urn)
        return found if found and found.op != "same" else None

    @property
    def counts(self) -> dict[str, int]:
        """Operation -> number of resources, in display order."""
        order = ("create", "update", "replace", "delete")
        found = {op: sum(step.op == op for step in self.steps) for op in order}
        return {op: count for op, count in found.items() if count}

    def outputs(self) -> tuple[dict[str, Any], dict[str, Any] | None]:
        """The stack's current and planned outputs; the latter are None if the preview does not contain them."""
        stack = next((step for step in self.steps if step.type == STACK_TYPE), None)
        if stack is None:
            return {}, None
        return stack.old.outputs, stack.new.outputs if self.complete and not self.errors else None


def parse(text: str, name: str = "") -> Preview:
    """Parse a preview. ``name`` is the stack's name if ``text`` does not contain it.

    Raises ``ReviewError`` if ``text`` is not a preview.
    """
    events = list(_events(text, name))
    if not events:
        error = next((line for line in text.splitlines() if line.startswith("error: ")), "")
        if not error:
            raise ReviewError(f"{name or 'the preview'} contains no JSON; pass the output of `pulumi preview --json`")
        # The engine did not start: an error of its config or its backend.
        return Preview(stack=name or "unknown", errors=[text[text.index(error) :].removeprefix("error: ").strip()])
    if len(events) == 1 and ("steps" in events[0] or "diagnostics" in events[0] or "changeSummary" in events[0]):
        preview = _from_document(events[0])
    elif any(key.endswith("Event") for event in events for key in event):
        preview = _from_events(events)
    else:
        raise ReviewError(
            f"{name or 'the preview'} is JSON but not a preview; pass the output of `pulumi preview --json`"
        )
    if preview.steps:
        stack_urn, preview.project, _ = preview.steps[0].urn.split("::", 2)
        preview.stack = stack_urn.rpartition(":")[2]
    preview.stack = preview.stack or name or "unknown"
    return preview


def _events(text: str, name: str) -> Iterator[dict[str, Any]]:
    """Yield each top-level JSON object that begins a line; skip other lines, which the program printed.

    Raises ``ReviewError`` for an unreadable object, because it could contain a change.
    """
    decoder, at = json.JSONDecoder(), 0
    while at < len(text):
        if text[at] == "{":
            try:
                value, at = decoder.raw_decode(text, at)
            except (ValueError, RecursionError):
                line = text.count("\n", 0, at) + 1
                raise ReviewError(f"{name or 'the preview'} is damaged at line {line}; run the preview again") from None
            yield value
        newline = text.find("\n", at)
        at = newline + 1 if newline != -1 else len(text)


def _from_document(document: dict[str, Any]) -> Preview:
    preview = Preview(config=_config(document.get("config")))
    steps: dict[str, list[PreviewStep]] = {}
    for item in _dicts(document.get("steps")):
        step = _step(
            item, item.get("oldState"), item.get("newState"), item.get("detailedDiff"), item.get("diffReasons")
        )
        if step is not None:
            steps.setdefault(step.urn, []).append(step)
    _collect(preview, steps)
    for item in _dicts(document.get("diagnostics")):
        _diagnose(preview, item)
    preview.same_count = int((document.get("changeSummary") or {}).get("same", 0))
    return preview


def _from_events(events: list[dict[str, Any]]) -> Preview:
    preview = Preview()
    steps: dict[str, list[PreviewStep]] = {}
    finished = False
    for event in events:
        if (item := event.get("resourcePreEvent") or event.get("resOutputsEvent")) is not None:
            data = item.get("metadata") or {}
            step = _step(data, data.get("old"), data.get("new"), data.get("detailedDiff"), data.get("diffs"))
            if step is not None:
                steps.setdefault(step.urn, []).append(step)
        elif (item := event.get("preludeEvent")) is not None:
            preview.config = _config(item.get("config"))
        elif (item := event.get("diagnosticEvent")) is not None:
            _diagnose(preview, item)
        elif (item := event.get("policyEvent")) is not None:
            rule = f"{item.get('policyPackName', 'policy')}/{item.get('policyName', '')}"
            resource = str(item.get("resourceUrn", "")).rpartition("::")[2]
            message = f"{resource}: {item.get('message', '')}" if resource else str(item.get("message", ""))
            preview.violations.append(Violation(rule, message, item.get("enforcementLevel") == "mandatory"))
        elif (item := event.get("summaryEvent")) is not None:
            finished = True
            preview.same_count = int((item.get("resourceChanges") or {}).get("same", 0))
            if item.get("result") not in (None, "succeeded") and not preview.errors:
                preview.errors.append(f"the preview ended with the result {item['result']}")
    _collect(preview, steps)
    preview.complete = finished
    if not finished and not preview.errors:
        preview.errors.append("the preview ends before its summary: the engine was stopped")
    return preview


def _step(
    item: dict[str, Any], old: Any, new: Any, detailed: dict[str, Any] | None, reasons: list[str] | None
) -> PreviewStep | None:
    op, urn = _OPERATIONS.get(str(item.get("op"))), item.get("urn")
    if op is None or not isinstance(urn, str) or urn.count("::") < 3:
        return None
    changed = tuple(detailed or reasons or ())
    return PreviewStep(op, urn, _state(old), _state(new), changed)


def _state(value: Any) -> ResourceState:
    if not isinstance(value, dict) or not value:
        return NO_STATE
    inputs, outputs = (_plain(value.get(side) or {}) for side in ("inputs", "outputs"))
    protect, retained, unfinished = (bool(value.get(key)) for key in ("protect", "retainOnDelete", "initErrors"))
    return ResourceState(inputs, outputs, protect, retained, unfinished)


def _collect(preview: Preview, steps: dict[str, list[PreviewStep]]) -> None:
    """Add the steps to ``preview``, with the results of a refresh in ``drifted``."""
    for group in steps.values():
        refreshed = [step for step in group if step.op == "refresh"]
        preview.drifted += [step for step in refreshed[-1:] if step.old.outputs != step.new.outputs]
        planned = [step for step in group if step.op != "refresh"]
        if planned:
            preview.steps.append(_merged(planned))


def _merged(group: list[PreviewStep]) -> PreviewStep:
    """Merge the steps of one resource, such as those of a replacement. The last one has the outputs."""
    if len({step.op for step in group}) > 1:
        # A deletion beside another operation removes a leftover of an earlier run.
        group = [step for step in group if step.op != "delete"] or group
    ops = [step.op for step in group]
    op = "replace" if "replace" in ops else next((op for op in ops if op != "same"), "same")
    old = next((step.old for step in group if step.old is not NO_STATE), NO_STATE)
    new = next((step.new for step in reversed(group) if step.new is not NO_STATE), NO_STATE)
    changed = next((step.changed for step in group if step.changed), ())
    return PreviewStep(op, group[0].urn, old, new, changed)


def _diagnose(preview: Preview, item: dict[str, Any]) -> None:
    message = _without_colours(str(item.get("message", ""))).strip()
    severity = item.get("severity")
    if not message:
        return
    if severity == "error":
        message = message.removeprefix("error: ")
        # Every failed program ends with this message, which adds no information.
        if not message.startswith("an unhandled error occurred: program exited with non-zero exit code"):
            preview.errors.append(message)
        elif not preview.errors:
            preview.errors.append("the program failed without a message")
    elif severity == "warning":
        preview.warnings.append(message.removeprefix("warning: "))


def _without_colours(text: str) -> str:
    """``text`` without the engine's colour tags, such as ``<{%reset%}>``."""
    while (begin := text.find("<{%")) != -1 and (end := text.find("%}>", begin)) != -1:
        text = text[:begin] + text[end + 3 :]
    return text


def _plain(value: Any) -> Any:
    """``value`` without the SDK's internal properties, and with words for secrets, assets and unknown values."""
    if isinstance(value, dict):
        if _SECRET_SIGNATURE in value:
            return SECRET
        return {str(key): _plain(item) for key, item in value.items() if not str(key).startswith("__")}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return UNKNOWN if isinstance(value, str) and value in UNKNOWN_VALUES else value


def _config(value: Any) -> dict[str, str]:
    return {str(key): str(item) for key, item in value.items()} if isinstance(value, dict) else {}


def _dicts(value: Any) -> Iterable[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
