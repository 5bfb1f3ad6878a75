"""Access keys of the object store. Which prefixes a module gains or loses, the contract says in words."""

from review.change import Change
from review.context import Context
from review.escape import code, codes
from review.preview import Step
from review.risk import Risk
from review.tokens import OBJECT_STORE_USER

TYPES = (OBJECT_STORE_USER,)
STORE = "Object store"


def changes(_context: Context, steps: list[Step]) -> list[Change]:
    return [_told(step) for step in steps if step.op != "same"]


def _told(step: Step) -> Change:
    user = str(step.state.live("user", step.name))
    before, after = _policy(step.old.live("policy")), _policy(step.new.asked("policy"))
    wider = sorted(name for name, rule in after.items() if before.get(name) != rule)
    narrower = sorted(before.keys() - after.keys())
    if step.op == "create":
        risk, sentence = Risk.ADDITIVE, f"access key {code(user)} is made"
    elif step.op == "delete":
        risk, sentence = Risk.ACCESS_REVOKED, f"access key {code(user)} is deleted"
    elif step.op == "replace" or step.old.live("rotate") != step.new.asked("rotate"):
        risk, sentence = (
            Risk.RESTART,
            f"the secret key of {code(user)} is renewed: it must be restarted with the new one",
        )
    elif wider:
        # Whether a changed statement allows more, only its reader can tell.
        risk, sentence = Risk.ACCESS_WIDENED, f"the policy of {code(user)} gets or changes {codes(wider)}"
    elif narrower:
        risk, sentence = Risk.ACCESS_REVOKED, f"the policy of {code(user)} loses {codes(narrower)}"
    else:
        risk, sentence = Risk.RESTART, f"access key {code(user)} is put right"
    if step.op == "replace" and wider:
        risk = Risk.ACCESS_WIDENED
    return Change(risk, STORE, user, sentence, user, ("modules", user, "rustfs"), (step.urn,))


def _policy(value: object) -> dict[str, object]:
    return {str(name): rule for name, rule in value.items()} if isinstance(value, dict) else {}
