"""Bucket policies, including guard policies, and public access blocks."""

import json
from collections.abc import Iterator
from typing import Any

from components.rustfs.policy_documents import KEEP_OBJECTS, KEEP_SETTINGS
from tools.review.change import RatedChange
from tools.review.escape import code, codes
from tools.review.preview import PreviewStep, ResourceState
from tools.review.risk import Risk

STORE = "Object store"

_GUARDS = {
    KEEP_OBJECTS: ("nobody can delete objects", "objects **can be deleted** again"),
    KEEP_SETTINGS: (
        "nobody can change its lifecycle or versioning",
        "its lifecycle and versioning **can be changed** again",
    ),
}


def policy(name: str, step: PreviewStep, *, new_bucket: bool) -> list[RatedChange]:
    """Describe a bucket policy by its statements: guard statements, grants to everyone, other grants and denials."""
    before, after = (_statements(state) for state in (step.old, step.new))

    def change(risk: Risk, sentence: str) -> RatedChange:
        return RatedChange(
            risk, STORE, name, f"{code(name)}: {sentence}", name, ("rustfs", "buckets", step.name), (step.urn,)
        )

    result = []
    for sid in sorted(before.keys() | after.keys()):
        old, new = before.get(sid), after.get(sid)
        if old == new:
            continue
        if sid in _GUARDS:
            added, removed = _GUARDS[sid]
            sentence = added if old is None else removed if new is None else f"its guard policy changes ({code(sid)})"
            risk = Risk.ADDITIVE if new_bucket else Risk.ACCESS_REVOKED
            result.append(change(risk if old is None else Risk.DATA_LOSS, sentence))
            continue
        for statement, negation in ((old, "no longer "), (new, "")):
            if statement is not None:
                allows = statement.get("Effect") == "Allow"
                verb = f"{negation}{'allows' if allows else 'denies'}"
                principals = "everyone" if _everyone(statement) else "some principals"
                sentence = f"its policy {verb} {principals} {codes(_listed(statement.get('Action')))}"
                widens = allows == (statement is new)
                result.append(change(Risk.ACCESS_WIDENED if widens else Risk.ACCESS_REVOKED, sentence))
    return result or [change(Risk.NONE, "its policy is reapplied")]


def grants_to_everyone(step: PreviewStep) -> Iterator[str]:
    """Sentences for the statements that allow access without an access key."""
    for statement in _statements(step.new).values():
        if statement.get("Effect") == "Allow" and _everyone(statement):
            yield f"the policy of bucket {step.name} allows {', '.join(_listed(statement.get('Action')))} to everyone"


def public_access(name: str, step: PreviewStep) -> list[RatedChange]:
    """Describe a change of the public access block."""
    keys = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
    before, after = ({key for key in keys if state.declared(key)} for state in (step.old, step.new))
    if step.op == "delete":
        after = set()
    if before - after:
        risk = Risk.ACCESS_WIDENED
        sentence = f"public access is **no longer blocked** ({codes(sorted(before - after))})"
    elif after - before:
        risk, sentence = Risk.ADDITIVE, "public access is blocked"
    else:
        risk, sentence = Risk.NONE, "the public access block is reapplied"
    return [
        RatedChange(risk, STORE, name, f"{code(name)}: {sentence}", name, ("rustfs", "buckets", step.name), (step.urn,))
    ]


def _statements(state: ResourceState) -> dict[str, dict[str, Any]]:
    """Sid, or position without one, -> statement. Empty if the policy is not known before the run."""
    try:
        document = json.loads(str(state.live("policy") or "{}"))
    except ValueError:
        return {}
    statement = document.get("Statement") if isinstance(document, dict) else None
    statements = [statement] if isinstance(statement, dict) else statement if isinstance(statement, list) else []
    return {str(item.get("Sid") or number): item for number, item in enumerate(statements) if isinstance(item, dict)}


def _everyone(statement: dict[str, Any]) -> bool:
    principal = statement.get("Principal")
    return "*" in (_listed(principal.get("AWS")) if isinstance(principal, dict) else _listed(principal))


def _listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else [str(item) for item in value or ()]
