"""Changes of resource types that no other module covers.

Deleting or replacing such a resource counts as data loss unless ``HARMLESS`` lists its type; an update counts as a
restart.
"""

import json
from collections.abc import Iterator
from typing import Any

from tools.review.change import RatedChange
from tools.review.context import ReviewContext
from tools.review.escape import code, codes, plain, shortened
from tools.review.mask import mask
from tools.review.preview import SECRET, UNKNOWN, PreviewStep
from tools.review.risk import Risk
from tools.review.tokens import COMPONENTS

# Types that store no data: ends of their tokens, which match any API version.
HARMLESS = (
    ":ConfigMap", ":Secret", ":Service", ":ServiceAccount", ":PodDisruptionBudget", ":NetworkPolicy", ":CronJob",
    ":Job", ":Deployment", ":Role", ":RoleBinding", ":ServiceMonitor", ":PodMonitor", ":PrometheusRule",
    ":BucketNotification", ":ConfigFile", ":ConfigGroup",
    "aws:iam/user:User", "aws:iam/userPolicy:UserPolicy", "aws:iam/accessKey:AccessKey",
)  # fmt: skip
# Prefixes of the engine's own types.
ENGINE_TYPES = "pulumi:pulumi:"
PROVIDER_TYPES = "pulumi:providers:"


def changes(_context: ReviewContext, steps: list[PreviewStep]) -> list[RatedChange]:
    """One sentence for each step, except that providers with the same change of address share one."""
    retargeted = [step for step in steps if step.type.startswith(PROVIDER_TYPES) and _address_changes(step)]
    described = [
        change for step in steps if step not in retargeted for change in [_change_of(step)] if change is not None
    ]
    return described + _retargeted(retargeted)


def _change_of(step: PreviewStep) -> RatedChange | None:
    if step.type.startswith(ENGINE_TYPES) or step.type in COMPONENTS:
        return None
    if step.type.startswith(PROVIDER_TYPES):
        return _provider(step)
    subject, store = f"{kind(step)} {code(step.name)}", _store(step.type)
    if step.op == "create":
        risk, sentence = Risk.ADDITIVE, f"{subject} is created"
    elif step.op == "update":
        keys = changed_keys(step)
        risk, sentence = Risk.RESTART, f"{subject} changes{': ' + codes(sorted(keys)) if keys else ''}"
    else:
        harmless = step.type.endswith(HARMLESS)
        risk = Risk.RESTART if harmless else Risk.DATA_LOSS
        verb = "is deleted" if step.op == "delete" else "is deleted and recreated"
        sentence = f"{subject} {verb}{'' if harmless else ' with its contents'}"
    return RatedChange(risk, store, step.name, sentence, step.name, (), (step.urn,))


def _provider(step: PreviewStep) -> RatedChange | None:
    """Describe a provider whose address stays the same."""
    plugin = kind(step)
    if step.op == "create":
        return None
    if step.op == "delete":
        return RatedChange(
            Risk.NONE, "Stack", "stack", f"provider {code(step.name)} is removed", step.name, (), (step.urn,)
        )
    sentence = f"the {plugin} provider {code(step.name)} changes: {codes(sorted(changed_keys(step)) or ['settings'])}"
    return RatedChange(Risk.NONE, "Stack", "stack", sentence, step.name, (), (step.urn,))


def _address_changes(step: PreviewStep) -> str:
    """A provider's changed address properties with their values; empty if none changes."""
    if step.op in ("create", "delete"):
        return ""
    address_keys = {
        "host", "port", "endpoints", "database", "kubeconfig", "context", "renderYamlToDirectory", "postgresHost",
        "postgresPort", "postgresDatabase", "valkeyHost", "valkeyPort", "objectStoreEndpoint",
    }  # fmt: skip
    return "; ".join(
        f"{code(key)} from {code(as_text(step.old.inputs.get(key)))} to {code(as_text(step.new.inputs.get(key)))}"
        for key in sorted(changed_keys(step) & address_keys)
    )


def _retargeted(steps: list[PreviewStep]) -> list[RatedChange]:
    """Describe providers whose address changes, in one sentence for each distinct change."""
    result = []
    for plugin, address in dict.fromkeys((kind(step), _address_changes(step)) for step in steps):
        found = [step for step in steps if (kind(step), _address_changes(step)) == (plugin, address)]
        providers = f"provider{'s' if len(found) > 1 else ''} {codes(step.name for step in found)}"
        sentence = f"the target of the {plugin} {providers} changes: {address}; existing data is not moved"
        urns = tuple(step.urn for step in found)
        result.append(RatedChange(Risk.RESTART, "Stack", "stack", sentence, plugin, (), urns))
    return result


_STORES = {
    "postgresql:": "PostgreSQL",
    "stellaops:postgres:": "PostgreSQL",
    "stellaops:valkey:": "Valkey",
    "stellaops:objectstore:": "Object store",
    "aws:s3": "Object store",
    "kubernetes:": "Kubernetes",
}


def _store(type_: str) -> str:
    return next((store for prefix, store in _STORES.items() if type_.startswith(prefix)), "Stack")


def kind(step: PreviewStep) -> str:
    """The last part of a type: ``ConfigMap``."""
    return plain(step.type.rpartition(":")[2])


def protection(context: ReviewContext) -> list[RatedChange]:
    """Describe resources that lose or gain protection against deletion, in one sentence per type. The engine reports them as
    unchanged."""
    kept = [step for step in context.preview.steps if step.op in ("same", "update")]
    lost = [step for step in kept if step.old.protect and not step.new.protect]
    gained = [step for step in kept if step.new.protect and not step.old.protect]
    return [
        *_protection(lost, Risk.ACCESS_WIDENED, "no longer protected against deletion"),
        *_protection(gained, Risk.NONE, "protected against deletion from now on"),
    ]


def _protection(steps: list[PreviewStep], risk: Risk, effect: str) -> Iterator[RatedChange]:
    for type_ in dict.fromkeys(step.type for step in steps):
        found = [step for step in steps if step.type == type_]
        noun, names, many = kind(found[0]), codes(step.name for step in found), len(found) > 1
        sentence = f"{noun}{'s' if many else ''} {names} {'are' if many else 'is'} {effect}"
        group = "protection" if many else found[0].name
        yield RatedChange(risk, _store(type_), group, sentence, group, (), tuple(step.urn for step in found))


def is_repeated(step: PreviewStep) -> bool:
    """Whether the step updates a resource whose last creation or update failed."""
    return step.op == "update" and step.old.unfinished


def repeated(context: ReviewContext) -> list[RatedChange]:
    """Describe updates that run because the last one failed, also if the mapping is what it was before."""
    return [
        RatedChange(
            Risk.NONE,
            _store(step.type),
            step.name,
            f"{kind(step)} {code(step.name)} is updated again, because its last update failed",
            step.name,
            (),
            (step.urn,),
        )
        for step in context.preview.changes
        if is_repeated(step)
    ]


def changed_keys(step: PreviewStep) -> set[str]:
    """Names of the properties whose inputs differ or that the provider's diff names."""
    keys = {key for key in step.old.inputs.keys() | step.new.inputs.keys() if differs(step, key)}
    return keys | {_top(path) for path in step.changed if _top(path)}


def differs(step: PreviewStep, key: str) -> bool:
    """Whether an update changes ``key``. Changed secrets appear only in the provider's diff."""
    if key in {_top(path) for path in step.changed}:
        return True
    return step.old.inputs.get(key) != step.new.inputs.get(key)


def _top(path: str) -> str:
    for index, character in enumerate(path):
        if character in ".[":
            return path[:index]
    return path


def as_text(value: Any) -> str:
    """Format a value: lists comma-separated, None and empty lists as ``none``, strings unchanged, the rest as JSON."""
    if value is None or value == []:
        return "none"
    if isinstance(value, list) and all(isinstance(item, str | int) for item in value):
        return ", ".join(map(str, value))
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)


def properties(step: PreviewStep) -> str:
    """Format the difference property by property, as lines of a unified diff."""
    old, new = dict(_flat(step.old.inputs)), dict(_flat(step.new.inputs))
    if step.op == "update" and old == new:
        # A manual change: the inputs are equal, only the recorded outputs differ.
        tops = {_top(path) for path in step.changed}
        old = dict(_flat({key: value for key, value in step.old.outputs.items() if key in tops}))
        new = dict(_flat({key: value for key, value in step.new.inputs.items() if key in tops}))
    for key in old.keys() & new.keys():
        # Compare properties inside JSON text.
        old_object, new_object = _json_object(old[key]), _json_object(new[key])
        if old_object is not None and new_object is not None and old_object != new_object:
            del old[key], new[key]
            old |= dict(_flat(old_object, key))
            new |= dict(_flat(new_object, key))
    lines = [f"  {step.op} {step.type.rpartition(':')[2]} {step.name}"]
    secret = {_top(path) for path in step.changed}
    for key in sorted(old.keys() | new.keys()):
        before, after = old.get(key), new.get(key)
        if before == after and not (step.op == "update" and before == SECRET and _top(key) in secret):
            continue
        if isinstance(before, str) and isinstance(after, str) and "\n" in before + after:
            lines += _diff_lines(key, before, after)
            continue
        if before is not None and after is not None and mask(f"{key}: {before}") == mask(f"{key}: {after}"):
            lines.append(f"~ {mask(f'{key}: {after}')} (new value)")
            continue
        for sign, value in (("-", before), ("+", after)):
            if value is not None:
                text = value if _json_object(value) is None else shortened(value)
                first, *more = f"{key}: {text}".split("\n")
                lines += [f"{sign} {first}", *(f"{sign}   {line}" for line in more)]
    return "\n".join(lines)


def _json_object(text: str) -> dict[str, Any] | None:
    """Parse ``text`` as a JSON object; None if it is not one."""
    if not text.startswith('{"'):
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _diff_lines(key: str, before: str, after: str) -> list[str]:
    import difflib

    found = difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=1)
    return [f"  {key}:", *(line for line in found if not line.startswith(("---", "+++", "@@")))]


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _flat(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list) and any(isinstance(item, dict | list) for item in value):
        for index, item in enumerate(value):
            yield from _flat(item, f"{path}[{index}]")
    elif value is not None and path:
        yield path, UNKNOWN if value == UNKNOWN else value if isinstance(value, str) else as_text(value)
