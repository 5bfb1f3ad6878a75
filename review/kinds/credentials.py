"""Passwords that are made, renewed or retired. Their values are nowhere in a preview."""

from review.change import Change
from review.context import Context
from review.escape import code
from review.preview import Step
from review.risk import Risk
from review.tokens import CREDENTIAL, ROLE

TYPES = (CREDENTIAL,)
STORE = "Stack"


def changes(context: Context, steps: list[Step]) -> list[Change]:
    return [_told(context, step) for step in steps if step.op != "same"]


def _told(context: Context, step: Step) -> Change:
    user = str(step.state.asked("user", step.name))
    kind = "modules" if ("modules", user) in context.origins.lines else "services"
    origin = (kind, user, "rotate")
    if step.op == "create":
        risk, sentence = Risk.ADDITIVE, f"{code(user)} gets passwords of its own"
    elif step.op == "delete":
        risk, sentence = Risk.ACCESS_REVOKED, f"the passwords of {code(user)} are retired"
    else:
        sentence = f"the passwords of {code(user)} are renewed: it must be restarted with the new ones"
        risk = Risk.RESTART
    # The login's new verifier is part of it.
    login = tuple(role.urn for role in context.steps(ROLE) if role.name == user and role.op == "update")
    return Change(risk, STORE, "credentials", sentence, user, origin, (step.urn, *login))
