"""Passwords that are created, renewed or retired. Their values are nowhere in a preview."""

from tools.review.change import RatedChange
from tools.review.context import ReviewContext
from tools.review.escape import code, codes
from tools.review.preview import PreviewStep
from tools.review.risk import Risk
from tools.review.tokens import CREDENTIAL, ROLE, VALKEY

TYPES = (CREDENTIAL,)
STORE, GROUP = "Stack", "credentials"
MOST = 3  # sentences of a kind; more of them become one


def changes(context: ReviewContext, steps: list[PreviewStep]) -> list[RatedChange]:
    changing = [step for step in steps if step.op != "same"]
    own = [step for step in changing if step.component == VALKEY]
    users = [step for step in changing if step not in own]
    result = [*_own(own), *(_renewed(context, step) for step in users if step.op not in ("create", "delete"))]
    for op, risk, one, many in (
        ("create", Risk.ADDITIVE, "{} gets passwords of its own", "{} get passwords of their own"),
        ("delete", Risk.ACCESS_REVOKED, "the passwords of {} are retired", "the passwords of {} are retired"),
    ):
        found = [step for step in users if step.op == op]
        if len(found) > MOST:
            what = many.format(codes(sorted(map(_user, found))))
            result.append(RatedChange(risk, STORE, GROUP, what, GROUP, (), tuple(step.urn for step in found)))
        else:
            for step in found:
                # Who loses the login, too, is told there.
                login = op == "delete" and any(
                    role.op == op and role.name == _user(step) for role in context.steps(ROLE)
                )
                result.append(_change(context, step, Risk.NONE if login else risk, one.format(code(_user(step)))))
    return result


def _user(step: PreviewStep) -> str:
    return str(step.state.declared("user", step.name))


def _own(steps: list[PreviewStep]) -> list[RatedChange]:
    """Of Valkey's nodes, jobs and exporter: whom nobody else has to tell."""
    if not steps:
        return []
    ops = {step.op for step in steps}
    verb = {"create": "created", "delete": "retired"}.get(next(iter(ops)) if len(ops) == 1 else "", "renewed")
    what = f"passwords that Valkey's own servers and jobs use are {verb}: {codes(sorted(map(_user, steps)))}"
    risk = Risk.ADDITIVE if ops == {"create"} else Risk.NONE
    return [RatedChange(risk, STORE, GROUP, what, GROUP, (), tuple(step.urn for step in steps))]


def _renewed(context: ReviewContext, step: PreviewStep) -> RatedChange:
    what = f"the passwords of {code(_user(step))} are renewed: it must be restarted with the new ones"
    return _change(context, step, Risk.RESTART, what)


def _change(context: ReviewContext, step: PreviewStep, risk: Risk, sentence: str) -> RatedChange:
    user = _user(step)
    kind = "modules" if ("modules", user) in context.origins.lines else "services"
    # The login's new verifier is part of it.
    login = tuple(role.urn for role in context.steps(ROLE) if role.name == user and role.op == "update")
    return RatedChange(risk, STORE, GROUP, sentence, user, (kind, user, "rotate"), (step.urn, *login))
