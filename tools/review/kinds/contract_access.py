"""Access that no resource of the preview spells out: the contract says it, before and after.

Objects where access keys are not resources of ours; keys and streams where the users of Valkey are only in a Secret.
"""

from typing import Any

from tools.review.change import Change
from tools.review.context import Context
from tools.review.escape import code, codes, plain
from tools.review.kinds.valkey import key_origin
from tools.review.risk import Risk
from tools.review.tokens import OBJECT_STORE_USER, VALKEY_USERS

_WORDS = {"write": "writing", "read": "reading", "produce": "adding", "consume": "consuming"}


def changes(context: Context) -> list[Change]:
    old, new = context.contracts
    if new is None or not old:
        return []
    before, after = _modules(old), _modules(new)
    result = []
    for store, read, spelt_out in (("Object store", _objects, OBJECT_STORE_USER), ("Valkey", _keys, VALKEY_USERS)):
        if any(context.steps(spelt_out)):
            continue
        known = {place.split("/")[0] for module in before.values() for place, _ in read(module)}
        for name in sorted(before.keys() | after.keys()):
            has, gets = read(before.get(name, {})), read(after.get(name, {}))
            result += _told(context, store, name, "gains", gets - has, known)
            result += _told(context, store, name, "loses", has - gets, known)
    return result


def _told(
    context: Context, store: str, name: str, verb: str, pairs: set[tuple[str, str]], known: set[str]
) -> list[Change]:
    result = []
    for kind in sorted({kind for _, kind in pairs}):
        places = sorted(place for place, found in pairs if found == kind)
        fresh = all(place.split("/")[0] not in known for place in places)
        widened = Risk.ADDITIVE if fresh else Risk.ACCESS_WIDENED
        risk = Risk.ACCESS_REVOKED if verb == "loses" else widened
        sentence = f"{code(name)} {verb} {_WORDS.get(kind, plain(kind))} of {codes(places)}"
        if store == "Valkey":
            origin = key_origin(context, name, places[0])
        else:
            origin = context.origins.access(name, "rustfs", *places)
        result.append(Change(risk, store, name, sentence, name, origin))
    return result


def _modules(contract: dict[str, Any]) -> dict[str, dict[str, Any]]:
    modules = contract.get("modules")
    return (
        {str(name): item for name, item in modules.items() if isinstance(item, dict)}
        if isinstance(modules, dict)
        else {}
    )


def _objects(module: dict[str, Any]) -> set[tuple[str, str]]:
    """(bucket/prefix, verb)."""
    uses = module.get("object_store")
    return {(f"{use.get('bucket')}/{use.get('prefix', '')}", str(use.get("verb"))) for use in _dicts(uses)}


def _keys(module: dict[str, Any]) -> set[tuple[str, str]]:
    """(pattern or stream, verb)."""
    valkey = module.get("valkey")
    valkey = valkey if isinstance(valkey, dict) else {}
    keys = {(str(use.get("pattern")), str(use.get("verb"))) for use in _dicts(valkey.get("keys"))}
    return keys | {(str(use.get("name")), str(use.get("verb"))) for use in _dicts(valkey.get("streams"))}


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
