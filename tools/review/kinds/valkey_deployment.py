"""The Valkey deployment on Kubernetes: whether it restarts, why, and whether its volumes are kept.

Its objects are described together, because a single edit of the mapping changes several of them.
"""

from typing import Any

from components.valkey.deployment import names
from tools.review.change import MappingPath, RatedChange
from tools.review.context import ReviewContext
from tools.review.escape import code, codes
from tools.review.kinds import valkey_pod
from tools.review.kinds.valkey_conf import CONF, ORIGINS, differences, directive_risks, no_longer_fits
from tools.review.preview import PreviewStep, ResourceState
from tools.review.risk import Risk
from tools.review.tokens import CONFIG_MAP, CREDENTIAL, CRON_JOB, JOB, SECRET, SERVICE, STATEFUL_SET, VALKEY

STORE, GROUP = "Valkey", "deployment"
MOST_REASONS = 5
_NAMES = frozenset(
    {names.NAME, names.HEADLESS, names.MAINTENANCE, names.CONFIGURATION, names.ACL, names.PASSWORDS, "valkey-apply"}
)


def is_valkey_object(step: PreviewStep) -> bool:
    return step.component == VALKEY or (not step.component and step.name in _NAMES)


def changes(context: ReviewContext, steps: list[PreviewStep]) -> tuple[list[RatedChange], list[PreviewStep]]:
    """Changes of the deployment, and the steps that they cover."""
    workload = next((step for step in steps if step.type == STATEFUL_SET), None)
    if workload is not None and workload.op in ("create", "delete"):
        found = [step for step in steps if step.op == workload.op]
        return [_created_or_deleted(workload, found)], found
    # ``kubernetes`` describes disruption budgets, network policies and schedules.
    parts = [step for step in steps if step.type in (CONFIG_MAP, SECRET, SERVICE, JOB, STATEFUL_SET)]
    if workload is not None and _restarts(workload):
        parts += [step for step in steps if step.type == CRON_JOB and step.op == "update" and not _reschedules(step)]
    rotated = any(step.op == "replace" and step.component == VALKEY for step in context.steps(CREDENTIAL))
    return (_changes_of(context, workload, parts, rotated=rotated), parts) if parts else ([], [])


def _change(
    risk: Risk, sentence: str, steps: list[PreviewStep], origin: MappingPath = (), resource: str = "valkey"
) -> RatedChange:
    return RatedChange(risk, STORE, GROUP, sentence, resource, origin, tuple(step.urn for step in steps))


def _created_or_deleted(workload: PreviewStep, steps: list[PreviewStep]) -> RatedChange:
    if workload.op == "create":
        count = int(_spec(workload.new).get("replicas") or 1)
        servers = "one server" if count == 1 else f"{count} servers"
        return _change(Risk.ADDITIVE, f"Valkey is deployed on Kubernetes with {servers}", steps)
    if _deletes_volumes(workload.old):
        return _change(Risk.DATA_LOSS, "Valkey is deleted from Kubernetes **with its volumes**", steps)
    return _change(Risk.ACCESS_REVOKED, "Valkey is deleted from Kubernetes; its volumes are kept", steps)


def _changes_of(
    context: ReviewContext, workload: PreviewStep | None, parts: list[PreviewStep], *, rotated: bool
) -> list[RatedChange]:
    reasons: list[str] = []
    result: list[RatedChange] = []
    # Changes that come from the stack's config have no line in the mapping.
    origin: MappingPath = ()
    pod = valkey_pod.differences(workload) if workload is not None else valkey_pod.PodDifferences()
    reasons += pod.reasons
    for step in parts:
        if step.type == CONFIG_MAP and CONF in _data(step.state):
            old, new = (str(_data(state).get(CONF, "")) for state in (step.old, step.new))
            for name, before, after in differences(old, new):
                # Changing maxmemory also changes the probes and the grace period; TLS and replicas add directives.
                pod.other_settings = [] if name == "maxmemory" else pod.other_settings
                if not pod.feature_switched or name in ORIGINS:
                    reasons.append(f"{code(name)} from {code(before or 'unset')} to {code(after or 'unset')}")
                origin = ORIGINS.get(name, origin)
                result += directive_risks(step, name, before, after)
                result += no_longer_fits(context, step, name, before, after)
        elif step.type == SECRET and step.name == names.PASSWORDS and rotated:
            reasons.append("the passwords of its internal users are rotated")
    listed_reasons = _joined([*reasons, *pod.limits, *pod.other_settings])
    if workload is None:
        return [*result, *_without_restart(parts, listed_reasons, origin)]
    old_spec, new_spec = _spec(workload.old), _spec(workload.new)
    if _deletes_volumes(workload.old) != _deletes_volumes(workload.new):
        result.append(_volumes(workload))
    if workload.op == "replace":
        result.append(_replaced(workload, parts, listed_reasons, origin))
    elif _restarts(workload):
        count = min(int(spec.get("replicas") or 1) for spec in (old_spec, new_spec))
        restart = "Valkey restarts once" if count == 1 else "Valkey's servers restart one after the other"
        result.append(_change(Risk.RESTART, f"{restart}{listed_reasons}", parts, origin))
    elif old_spec.get("replicas") != new_spec.get("replicas"):
        result.append(_change(Risk.RESTART, f"the number of Valkey servers changes{listed_reasons}", parts, origin))
    elif len(parts) > 1 or not result:
        details = listed_reasons or f": {codes(workload.changed)}"
        result.append(_change(Risk.RESTART, f"Valkey's StatefulSet changes{details}", parts))
    if pod.encryption_removed:
        sentence = (
            "connections to Valkey are **no longer encrypted**: passwords and data cross the network in plain text"
        )
        result.append(_change(Risk.ACCESS_WIDENED, sentence, [workload], resource="valkey tls"))
    return result


def _without_restart(parts: list[PreviewStep], listed_reasons: str, origin: MappingPath) -> list[RatedChange]:
    if any(step.type == CONFIG_MAP and CONF in _data(step.state) for step in parts) or listed_reasons:
        return [_change(Risk.RESTART, f"Valkey's configuration changes{listed_reasons}", parts, origin)]
    if any(step.name == names.ACL for step in parts):
        return [_change(Risk.NONE, "Valkey's servers reload their users without a restart", parts)]
    services = [step for step in parts if step.type == SERVICE]
    if services:
        many, listed = len(services) > 1, codes(step.name for step in services)
        sentence = f"Valkey's Service{'s' if many else ''} {listed} change{'' if many else 's'}"
        return [_change(Risk.RESTART, sentence, parts)]
    return [_change(Risk.NONE, "Valkey's upkeep jobs change", parts)]


def _replaced(workload: PreviewStep, parts: list[PreviewStep], listed_reasons: str, origin: MappingPath) -> RatedChange:
    immutable = ("volumeClaimTemplates", "selector", "serviceName")
    keys = codes(name for name in immutable if any(name in path for path in workload.changed))
    cause = f"; {keys} cannot change in place" if keys else ""
    if _deletes_volumes(workload.old):
        sentence = f"Valkey is stopped and recreated **with empty volumes**{listed_reasons}{cause}"
        return _change(Risk.DATA_LOSS, sentence, parts, origin)
    sentence = f"Valkey is stopped and its StatefulSet is recreated; its volumes are kept{listed_reasons}{cause}"
    return _change(Risk.RESTART, sentence, parts, origin)


def _volumes(workload: PreviewStep) -> RatedChange:
    risk, sentence = Risk.NONE, "Valkey's volumes will be kept when Valkey is deleted"
    if _deletes_volumes(workload.new):
        risk, sentence = Risk.ACCESS_WIDENED, "Valkey's volumes will be deleted when Valkey is deleted (allowDataLoss)"
    return _change(risk, sentence, [workload], resource="valkey volumes")


def _restarts(workload: PreviewStep) -> bool:
    changed = workload.changed
    return workload.op == "update" and (not changed or any(path.startswith("spec.template") for path in changed))


def _reschedules(step: PreviewStep) -> bool:
    return bool(_spec(step.old).get("schedule") != _spec(step.new).get("schedule"))


def _deletes_volumes(state: ResourceState) -> bool:
    policy = _spec(state).get("persistentVolumeClaimRetentionPolicy")
    return isinstance(policy, dict) and policy.get("whenDeleted") == "Delete"


def _spec(state: ResourceState) -> dict[str, Any]:
    spec = state.declared("spec")
    return spec if isinstance(spec, dict) else {}


def _data(state: ResourceState) -> dict[str, Any]:
    data = state.declared("data")
    return data if isinstance(data, dict) else {}


def _joined(reasons: list[str]) -> str:
    """List distinct reasons after a colon. Beyond ``MOST_REASONS``, only count them."""
    unique = list(dict.fromkeys(reasons))
    if len(unique) > MOST_REASONS:
        unique = [*unique[: MOST_REASONS - 1], f"{len(unique) - MOST_REASONS + 1} more settings"]
    return f": {'; '.join(unique)}" if unique else ""
