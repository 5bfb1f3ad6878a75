"""Each module's ConfigMap and Secret on Kubernetes. Other changes cause theirs, so similar ones share a sentence."""

from tools.review.change import RatedChange
from tools.review.context import ReviewContext
from tools.review.escape import codes
from tools.review.kinds import generic
from tools.review.preview import PreviewStep
from tools.review.risk import Risk
from tools.review.tokens import CONFIG_MAP, CONTRACT_OBJECTS, CREDENTIAL, OBJECT_STORE_USER

STORE, GROUP = "Kubernetes", "contract"
PREFIX = "stellaops-storage-"
# Variables that list what a module may use. Other sentences describe its access.
_ACCESS_LISTS = frozenset({"STELLAOPS_CONTRACT", "S3_BUCKETS"})
_CAUSES = ("create", "replace", "update", "delete")


def is_contract_object(step: PreviewStep) -> bool:
    return step.component == CONTRACT_OBJECTS


def changes(context: ReviewContext, steps: list[PreviewStep]) -> list[RatedChange]:
    created = [step for step in steps if step.op == "create"]
    replaced = [step for step in steps if step.op == "replace"]
    removed_modules = {_module(step.name) for step in context.steps(CREDENTIAL) if step.op == "delete"}
    deleted = [step for step in steps if step.op == "delete"]
    deleted_with_module = [step for step in deleted if _module(step.name) in removed_modules]
    deleted_alone = [step for step in deleted if step not in deleted_with_module]
    effect = "that load them with envFrom no longer start"
    return [
        *_changes_of(Risk.ADDITIVE, created, "{} created"),
        *_changes_of(Risk.NONE, deleted_with_module, "{} deleted with the module"),
        *_changes_of(Risk.ACCESS_REVOKED, deleted_alone, f"{{}} deleted: pods {effect}"),
        *_changes_of(
            Risk.ACCESS_REVOKED,
            replaced,
            f"{{}} deleted and recreated in {_places(replaced)}: pods in the old namespace {effect}",
        ),
        *_updates(context, [step for step in steps if step.op == "update"]),
    ]


def _updates(context: ReviewContext, steps: list[PreviewStep]) -> list[RatedChange]:
    """Describe updates. A changed variable requires a restart; changed access lists do not, and other modules
    describe rotated credentials."""
    rotated = {_module(step.name) for step in context.steps(CREDENTIAL, OBJECT_STORE_USER) if step.op in _CAUSES}
    needing_restart: list[PreviewStep] = []
    others: list[PreviewStep] = []
    variables: set[str] = set()
    for step in steps:
        names = _variables(step) if step.type == CONFIG_MAP else set()
        secret = step.type != CONFIG_MAP and _module(step.name) not in rotated
        variables |= names
        (needing_restart if names or secret else others).append(step)
    listed = f": {codes(sorted(variables))}" if variables else ""
    return [
        *_changes_of(Risk.RESTART, needing_restart, f"{{}} changed{listed}; services must restart to use it"),
        *_changes_of(Risk.NONE, others, "{} updated"),
    ]


def _variables(step: PreviewStep) -> set[str]:
    """Variables whose value changes. Added ones require no restart, and removed ones come with revoked access."""
    old, new = (state.declared("data") or {} for state in (step.old, step.new))
    if not isinstance(old, dict) or not isinstance(new, dict) or old == new:
        return generic.changed_keys(step) - {"data"}
    return {str(key) for key in old.keys() & new.keys() if old[key] != new[key]} - _ACCESS_LISTS


def _changes_of(risk: Risk, steps: list[PreviewStep], template: str) -> list[RatedChange]:
    if not steps:
        return []
    kinds = {generic.kind(step) for step in steps}
    modules = sorted({_module(step.name) for step in steps})
    many = len(steps) > 1
    noun = " and ".join(f"{kind}{'s' if len(modules) > 1 else ''}" for kind in sorted(kinds))
    sentence = template.format(f"{noun} of {codes(modules)} {'are' if many else 'is'}")
    return [RatedChange(risk, STORE, GROUP, sentence, GROUP, (), tuple(step.urn for step in steps))]


def _module(name: str) -> str:
    return name.removeprefix(PREFIX).replace("-", "_")


def _places(steps: list[PreviewStep]) -> str:
    found = {str((step.new.declared("metadata") or {}).get("namespace", "")) for step in steps}
    return (
        f"namespace {codes(sorted(found), most=3)}" if len(found) == 1 else f"namespaces {codes(sorted(found), most=3)}"
    )
