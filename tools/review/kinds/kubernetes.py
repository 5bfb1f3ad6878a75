"""Kubernetes objects. CronJobs and disruption budgets are described here, the others by the modules imported here."""

from tools.review.change import RatedChange
from tools.review.context import ReviewContext
from tools.review.escape import code
from tools.review.kinds import contract_objects, generic, network_policies, valkey_deployment
from tools.review.preview import PreviewStep
from tools.review.risk import Risk
from tools.review.tokens import (
    CONFIG_MAP,
    CRON_JOB,
    DISRUPTION_BUDGET,
    JOB,
    NETWORK_POLICY,
    SECRET,
    SERVICE,
    STATEFUL_SET,
)

TYPES = (CONFIG_MAP, SECRET, STATEFUL_SET, NETWORK_POLICY, SERVICE, JOB, CRON_JOB, DISRUPTION_BUDGET)
STORE = "Kubernetes"


def changes(context: ReviewContext, steps: list[PreviewStep]) -> list[RatedChange]:
    changing = [step for step in steps if step.op != "same"]
    contract = [step for step in changing if contract_objects.is_contract_object(step)]
    valkey = [step for step in changing if valkey_deployment.is_valkey_object(step)]
    result = contract_objects.changes(context, contract)
    found, covered = valkey_deployment.changes(context, valkey)
    result += found
    for step in changing:
        if step in contract or step in covered:
            continue
        if step.type == NETWORK_POLICY:
            result += network_policies.changes(step)
        elif step.type == CRON_JOB:
            result += _cron_job(step)
        elif step.type == DISRUPTION_BUDGET:
            result += _disruption_budget(step)
        else:
            result += generic.changes(context, [step])
    return result


def _spec(step: PreviewStep) -> tuple[dict[str, object], dict[str, object]]:
    old, new = (state.declared("spec") for state in (step.old, step.new))
    return (old if isinstance(old, dict) else {}), (new if isinstance(new, dict) else {})


def _cron_job(step: PreviewStep) -> list[RatedChange]:
    old, new = _spec(step)
    name = code(step.name)
    old_schedule, new_schedule = (code(spec.get("schedule", "?")) for spec in (old, new))
    if step.op == "delete" or (new.get("suspend") and not old.get("suspend")):
        risk, sentence = Risk.RESTART, f"{name} no longer runs (previously at {old_schedule})"
    elif step.op == "create":
        risk, sentence = Risk.ADDITIVE, f"{name} runs at {new_schedule}"
    elif old.get("schedule") != new.get("schedule"):
        risk, sentence = Risk.NONE, f"{name} runs at {new_schedule} instead of {old_schedule}"
    else:
        risk, sentence = Risk.NONE, f"{name} changes; the change takes effect at its next run"
    return [RatedChange(risk, STORE, step.name, sentence, step.name, (), (step.urn,))]


def _disruption_budget(step: PreviewStep) -> list[RatedChange]:
    old, new = _spec(step)
    name = code(step.name)
    if step.op == "delete":
        sentence = f"all servers of {name} can be evicted at the same time: its disruption budget is deleted"
        return [RatedChange(Risk.RESTART, STORE, step.name, sentence, step.name, (), (step.urn,))]
    for key, template in (
        ("maxUnavailable", "up to {} server(s) of {} can be evicted at the same time"),
        ("minAvailable", "at least {} server(s) of {} stay available during evictions"),
    ):
        if old.get(key) != new.get(key) and new.get(key) is not None:
            previously = f" instead of {code(old[key])}" if old.get(key) is not None else ""
            sentence = f"{template.format(code(new[key]), name)}{previously}"
            risk = Risk.ADDITIVE if step.op == "create" else Risk.RESTART
            return [RatedChange(risk, STORE, step.name, sentence, step.name, (), (step.urn,))]
    return [
        RatedChange(Risk.NONE, STORE, step.name, f"the disruption budget of {name} changes", step.name, (), (step.urn,))
    ]
