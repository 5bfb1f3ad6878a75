"""Access changes that no resource in the preview shows, from the current and the planned contract.

These are changes of object access if the stack does not manage access keys, and of access to keys and streams if the
Valkey users exist only in a Secret.
"""

from operator import attrgetter

from tools.review.change import RatedChange
from tools.review.context import ReviewContext
from tools.review.contract import ModuleUse
from tools.review.escape import code, codes, plain
from tools.review.kinds.valkey import key_origin
from tools.review.risk import Risk
from tools.review.tokens import OBJECT_STORE_USER, VALKEY_USERS

_WORDS = {"write": "write", "read": "read", "produce": "producer", "consume": "consumer"}


def changes(context: ReviewContext) -> list[RatedChange]:
    old, new = context.contracts
    if new is None or not old:
        return []
    before, after = context.modules
    result = []
    for store, pairs_of, resource_type in (
        ("Object store", attrgetter("objects"), OBJECT_STORE_USER),
        ("Valkey", attrgetter("key_verbs"), VALKEY_USERS),
    ):
        if any(context.steps(resource_type)):
            continue
        known = {place.split("/")[0] for module in before.values() for place, _ in pairs_of(module)}
        for name in sorted(before.keys() | after.keys()):
            current, planned = (pairs_of(side.get(name, ModuleUse())) for side in (before, after))
            result += _changes_of(context, store, name, "gains", planned - current, known)
            result += _changes_of(context, store, name, "loses", current - planned, known)
    return result


def _changes_of(
    context: ReviewContext, store: str, name: str, verb: str, pairs: frozenset[tuple[str, str]], known: set[str]
) -> list[RatedChange]:
    result = []
    for kind in sorted({kind for _, kind in pairs}):
        places = sorted(place for place, found in pairs if found == kind)
        all_new = all(place.split("/")[0] not in known for place in places)
        widened = Risk.ADDITIVE if all_new else Risk.ACCESS_WIDENED
        risk = Risk.ACCESS_REVOKED if verb == "loses" else widened
        sentence = f"{code(name)} {verb} {_WORDS.get(kind, plain(kind))} access to {codes(places)}"
        if store == "Valkey":
            origin = key_origin(context, name, places[0])
        else:
            origin = context.origins.access(name, "rustfs", *places)
        result.append(RatedChange(risk, store, name, sentence, name, origin))
    return result
