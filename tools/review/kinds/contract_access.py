"""Access that no resource of the preview contains, from the contract before and after.

This is object access where the stack does not manage access keys, and access to keys and streams where the Valkey users
are only in a Secret.
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
    for store, read, resource_type in (
        ("Object store", attrgetter("objects"), OBJECT_STORE_USER),
        ("Valkey", attrgetter("key_verbs"), VALKEY_USERS),
    ):
        if any(context.steps(resource_type)):
            continue
        known = {place.split("/")[0] for module in before.values() for place, _ in read(module)}
        for name in sorted(before.keys() | after.keys()):
            has, gets = read(before.get(name, ModuleUse())), read(after.get(name, ModuleUse()))
            result += _changes_of(context, store, name, "gains", gets - has, known)
            result += _changes_of(context, store, name, "loses", has - gets, known)
    return result


def _changes_of(
    context: ReviewContext, store: str, name: str, verb: str, pairs: frozenset[tuple[str, str]], known: set[str]
) -> list[RatedChange]:
    result = []
    for kind in sorted({kind for _, kind in pairs}):
        places = sorted(place for place, found in pairs if found == kind)
        fresh = all(place.split("/")[0] not in known for place in places)
        widened = Risk.ADDITIVE if fresh else Risk.ACCESS_WIDENED
        risk = Risk.ACCESS_REVOKED if verb == "loses" else widened
        sentence = f"{code(name)} {verb} {_WORDS.get(kind, plain(kind))} access to {codes(places)}"
        if store == "Valkey":
            origin = key_origin(context, name, places[0])
        else:
            origin = context.origins.access(name, "rustfs", *places)
        result.append(RatedChange(risk, store, name, sentence, name, origin))
    return result
