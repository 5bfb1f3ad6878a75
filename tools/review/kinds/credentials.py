"""Passwords that are created, rotated or deleted. A preview never contains their values."""

from tools.review.change import RatedChange
from tools.review.context import ReviewContext
from tools.review.escape import code, codes
from tools.review.preview import PreviewStep
from tools.review.risk import Risk
from tools.review.tokens import CREDENTIAL, ROLE, VALKEY

TYPES = (CREDENTIAL,)
STORE, GROUP = "Stack", "credentials"
MOST = 3  # if there are more sentences than this for an operation, they are joined into one


def changes(context: ReviewContext, steps: list[PreviewStep]) -> list[RatedChange]:
    changing = [step for step in steps if step.op != "same"]
    internal = [step for step in changing if step.component == VALKEY]
    users = [step for step in changing if step not in internal]
    result = [*_internal(internal), *(_rotated(context, step) for step in users if step.op not in ("create", "delete"))]
    for op, risk, template in (
        ("create", Risk.ADDITIVE, "passwords of {} are created"),
        ("delete", Risk.ACCESS_REVOKED, "the passwords of {} are deleted"),
    ):
        found = [step for step in users if step.op == op]
        if len(found) > MOST:
            sentence = template.format(codes(sorted(map(_user, found))))
            result.append(RatedChange(risk, STORE, GROUP, sentence, GROUP, (), tuple(step.urn for step in found)))
        else:
            for step in found:
                # If the login is dropped too, that change carries the risk.
                login_dropped = op == "delete" and any(
                    role.op == op and role.name == _user(step) for role in context.steps(ROLE)
                )
                sentence = template.format(code(_user(step)))
                result.append(_change(context, step, Risk.NONE if login_dropped else risk, sentence))
    return result


def _user(step: PreviewStep) -> str:
    return str(step.state.declared("user", step.name))


def _internal(steps: list[PreviewStep]) -> list[RatedChange]:
    """Describe passwords of the users that Valkey's nodes, jobs and exporter use, but no module or service."""
    if not steps:
        return []
    ops = {step.op for step in steps}
    verb = {"create": "created", "delete": "deleted"}.get(next(iter(ops)) if len(ops) == 1 else "", "rotated")
    sentence = f"the passwords of Valkey's internal users are {verb}: {codes(sorted(map(_user, steps)))}"
    risk = Risk.ADDITIVE if ops == {"create"} else Risk.NONE
    return [RatedChange(risk, STORE, GROUP, sentence, GROUP, (), tuple(step.urn for step in steps))]


def _rotated(context: ReviewContext, step: PreviewStep) -> RatedChange:
    sentence = f"the passwords of {code(_user(step))} are rotated: it must restart to use the new ones"
    return _change(context, step, Risk.RESTART, sentence)


def _change(context: ReviewContext, step: PreviewStep, risk: Risk, sentence: str) -> RatedChange:
    user = _user(step)
    kind = "modules" if ("modules", user) in context.origins.lines else "services"
    # Include the login, whose password verifier changes too.
    login = tuple(role.urn for role in context.steps(ROLE) if role.name == user and role.op == "update")
    return RatedChange(risk, STORE, GROUP, sentence, user, (kind, user, "rotate"), (step.urn, *login))
