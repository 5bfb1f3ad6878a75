"""Access keys of the object store, described by the object access that their policies grant."""

from collections import defaultdict

from tools.review.change import MappingPath, RatedChange
from tools.review.context import ReviewContext
from tools.review.escape import code, codes
from tools.review.preview import PreviewStep
from tools.review.risk import Risk
from tools.review.tokens import OBJECT_STORE_USER

TYPES = (OBJECT_STORE_USER,)
STORE = "Object store"

_WORDS = {
    "s3:GetObject": "read",
    "s3:PutObject": "write",
    "s3:DeleteObject": "delete",
    "s3:ListBucket": "list",
}
_ORDER = [*_WORDS.values()]
# They accompany the actions above and go unmentioned.
_MINOR = frozenset({"s3:AbortMultipartUpload", "s3:ListMultipartUploadParts", "s3:GetBucketLocation"})
PolicyAccess = dict[tuple[str, str], set[str]]  # (Allow or Deny, place) -> actions


def changes(context: ReviewContext, steps: list[PreviewStep]) -> list[RatedChange]:
    return [change for step in steps if step.op != "same" for change in _changes_of(context, step)]


def _changes_of(context: ReviewContext, step: PreviewStep) -> list[RatedChange]:
    user = step.name
    old, new = _rights(step.old.live("policy")), _rights(step.new.declared("policy"))

    def change(risk: Risk, sentence: str, origin: MappingPath = ("modules", user, "rustfs")) -> RatedChange:
        return RatedChange(risk, STORE, user, sentence, user, origin, (step.urn,))

    result = []
    if step.op == "delete":
        result.append(change(Risk.ACCESS_REVOKED, f"access key of {code(user)} is deleted"))
        new = {place: does for place, does in old.items() if place[0] == "Deny"}
    elif step.op == "create":
        result.append(change(Risk.ADDITIVE, f"access key of {code(user)} is created"))
        old = {place: does for place, does in new.items() if place[0] == "Deny"}
    elif step.op == "replace":
        named = f"{code(step.old.live('user', user))} is deleted and {code(step.new.declared('user', user))} is created in its place"
        result.append(change(Risk.ACCESS_REVOKED, f"access key {named}"))
    elif step.old.live("rotate") != step.new.declared("rotate"):
        what = f"the secret key of {code(user)} is rotated: it must restart to use the new one"
        result.append(change(Risk.RESTART, what))
    elif (state := step.old.live("state", "enabled")) != "enabled":
        result.append(change(Risk.RESTART, f"access key of {code(user)} is corrected: its state is {code(state)}"))
    for one, other, verb in ((new, old, "gains"), (old, new, "loses")):
        differences = _differences(context, user, _less(one, other), verb)
        result += [change(risk, sentence, origin) for risk, sentence, origin in differences]
    return result or [change(Risk.RESTART, f"access key of {code(user)} is corrected")]


def _differences(
    context: ReviewContext, user: str, rights: PolicyAccess, verb: str
) -> list[tuple[Risk, str, MappingPath]]:
    """One sentence for each set of actions. List access goes unmentioned beside other access to the same bucket."""
    mentioned = {_bucket(place) for (effect, place), does in rights.items() if effect == "Allow" and does != {"list"}}
    grouped: dict[tuple[str, tuple[str, ...]], list[str]] = defaultdict(list)
    for (effect, place), does in rights.items():
        if effect == "Allow" and does == {"list"} and _bucket(place) in mentioned:
            continue
        sorted_ = sorted(does, key=lambda word: (_ORDER.index(word) if word in _ORDER else len(_ORDER), word))
        grouped[effect, tuple(sorted_)].append(place)
    result = []
    for (effect, words), places in sorted(grouped.items()):
        names = [_shown(context, place) for place in sorted(places)]
        fresh = all(name.partition("/")[0] in context.created_buckets for name in names)
        # The end of a denial widens access.
        gained = (verb == "gains") == (effect == "Allow")
        risk = (Risk.ADDITIVE if fresh else Risk.ACCESS_WIDENED) if gained else Risk.ACCESS_REVOKED
        if effect == "Deny":
            sentence = f"{code(user)} is {'no longer ' if gained else ''}denied {_access(words)} {codes(names)}"
        elif words == ("attached",):
            sentence = f"{code(user)} {verb} {codes(names)}, which was attached manually"
        else:
            sentence = f"{code(user)} {verb} {_access(words)} {codes(names)}"
        origin = context.origins.access(user, "rustfs", *names)
        result.append((risk, sentence, origin))
    return result


def _access(words: tuple[str, ...]) -> str:
    """``read and write access to``, or ``s3:Action on`` where an action has no word."""
    shown = [word if word in _ORDER else code(word) for word in words]
    listed = ", ".join(shown[:-1]) + f" and {shown[-1]}" if len(shown) > 1 else "".join(shown)
    return f"{listed} access to" if set(words) <= set(_ORDER) else f"{listed} on"


def _shown(context: ReviewContext, place: str) -> str:
    """``blobs/*`` as ``blobs/``, the bucket by its name in the mapping."""
    bucket, slash, keys = place.partition("/")
    return context.buckets.get(bucket, bucket) + slash + (keys[:-1] if keys == "*" or keys.endswith("/*") else keys)


def _bucket(place: str) -> str:
    return place.partition(" ")[0].partition("/")[0]


def _less(one: PolicyAccess, other: PolicyAccess) -> PolicyAccess:
    """The access in ``one`` that ``other`` lacks."""
    left = {place: does - other.get(place, set()) for place, does in one.items()}
    return {place: does for place, does in left.items() if does}


def _rights(policy: object) -> PolicyAccess:
    found: PolicyAccess = defaultdict(set)
    for name, rule in policy.items() if isinstance(policy, dict) else ():
        if not isinstance(rule, dict):
            found["Allow", str(name)].add("attached")
            continue
        effect = str(rule.get("Effect") or "Allow")
        place = str(name).removeprefix(f"{effect} ")
        actions = set(map(str, rule.get("Action") or ()))
        major = actions - _MINOR
        # Conditions on list actions name prefixes; the bucket is detail enough.
        where = place.partition(" where s3:prefix ")[0]
        # On a bucket itself, minor actions only read its location, which list access implies.
        if major or "/" in where:
            found[effect, where] |= {_WORDS.get(action, action) for action in major or actions}
    return dict(found)
