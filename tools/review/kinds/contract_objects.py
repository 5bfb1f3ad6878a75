"""Each module's ConfigMap and Secret on Kubernetes. They follow from other changes, so similar ones share a line."""

from tools.review.change import RatedChange
from tools.review.context import ReviewContext
from tools.review.escape import codes
from tools.review.kinds import generic
from tools.review.preview import PreviewStep
from tools.review.risk import Risk
from tools.review.tokens import CONFIG_MAP, CONTRACT_OBJECTS, CREDENTIAL, OBJECT_STORE_USER

STORE, GROUP = "Kubernetes", "contract"
PREFIX = "stellaops-storage-"
# They list what a module may use. The access itself has sentences of its own.
_FOLLOWING = frozenset({"STELLAOPS_CONTRACT", "S3_BUCKETS"})
_CAUSES = ("create", "replace", "update", "delete")


def is_contract_object(step: PreviewStep) -> bool:
    return step.component == CONTRACT_OBJECTS


def changes(context: ReviewContext, steps: list[PreviewStep]) -> list[RatedChange]:
    made = [step for step in steps if step.op == "create"]
    moved = [step for step in steps if step.op == "replace"]
    retired = {_module(step.name) for step in context.steps(CREDENTIAL) if step.op == "delete"}
    gone = [step for step in steps if step.op == "delete"]
    with_it = [step for step in gone if _module(step.name) in retired]
    alone = [step for step in gone if step not in with_it]
    lost = "load them with envFrom no longer start"
    return [
        *_changes_of(Risk.ADDITIVE, made, "{} created"),
        *_changes_of(Risk.NONE, with_it, "{} deleted with the module"),
        *_changes_of(Risk.ACCESS_REVOKED, alone, f"{{}} deleted: pods that {lost}"),
        *_changes_of(
            Risk.ACCESS_REVOKED,
            moved,
            f"{{}} deleted and recreated in {_places(moved)}: pods in the old namespace that {lost}",
        ),
        *_updates(context, [step for step in steps if step.op == "update"]),
    ]


def _updates(context: ReviewContext, steps: list[PreviewStep]) -> list[RatedChange]:
    """Describe updates. A changed variable requires a restart; the contract's text does not, and rotated credentials
    have sentences of their own."""
    rotated = {_module(step.name) for step in context.steps(CREDENTIAL, OBJECT_STORE_USER) if step.op in _CAUSES}
    restarting: list[PreviewStep] = []
    following: list[PreviewStep] = []
    variables: set[str] = set()
    for step in steps:
        names = _variables(step) if step.type == CONFIG_MAP else set()
        secret = step.type != CONFIG_MAP and _module(step.name) not in rotated
        variables |= names
        (restarting if names or secret else following).append(step)
    what = f": {codes(sorted(variables))}" if variables else ""
    return [
        *_changes_of(Risk.RESTART, restarting, f"{{}} changed{what}; services must restart to use it"),
        *_changes_of(Risk.NONE, following, "{} updated"),
    ]


def _variables(step: PreviewStep) -> set[str]:
    """Variables with a new value. Added ones need no restart, and removed ones follow from removed access."""
    old, new = (state.declared("data") or {} for state in (step.old, step.new))
    if not isinstance(old, dict) or not isinstance(new, dict) or old == new:
        return generic.changed_keys(step) - {"data"}
    return {str(key) for key in old.keys() & new.keys() if old[key] != new[key]} - _FOLLOWING


def _changes_of(risk: Risk, steps: list[PreviewStep], sentence: str) -> list[RatedChange]:
    if not steps:
        return []
    kinds = {generic.kind(step) for step in steps}
    modules = sorted({_module(step.name) for step in steps})
    many = len(steps) > 1
    noun = " and ".join(f"{kind}{'s' if len(modules) > 1 else ''}" for kind in sorted(kinds))
    what = sentence.format(f"{noun} of {codes(modules)} {'are' if many else 'is'}")
    return [RatedChange(risk, STORE, GROUP, what, GROUP, (), tuple(step.urn for step in steps))]


def _module(name: str) -> str:
    return name.removeprefix(PREFIX).replace("-", "_")


def _places(steps: list[PreviewStep]) -> str:
    found = {str((step.new.declared("metadata") or {}).get("namespace", "")) for step in steps}
    return (
        f"namespace {codes(sorted(found), most=3)}" if len(found) == 1 else f"namespaces {codes(sorted(found), most=3)}"
    )
