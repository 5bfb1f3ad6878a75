"""Access keys of the object store, described by the object access that their policies grant."""

from collections import defaultdict

from tools.review.change import SUBJECTS, MappingPath, RatedChange
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
_PLURAL = {"gains": "gain", "loses": "lose", "is": "are"}
_ORDER = [*_WORDS.values()]
# Actions that accompany the ones above. Sentences omit them.
_MINOR = frozenset({"s3:AbortMultipartUpload", "s3:ListMultipartUploadParts", "s3:GetBucketLocation"})
PolicyAccess = dict[tuple[str, str], set[str]]  # (Allow or Deny, place) -> actions


def changes(context: ReviewContext, steps: list[PreviewStep]) -> list[RatedChange]:
    return [change for step in steps if step.op != "same" for change in _changes_of(context, step)]


def _changes_of(context: ReviewContext, step: PreviewStep) -> list[RatedChange]:
    user = step.name
    old, new = _policy_access(step.old.live("policy")), _policy_access(step.new.declared("policy"))

    def change(risk: Risk, sentence: str, origin: MappingPath = ("modules", user, "rustfs")) -> RatedChange:
        return RatedChange(risk, STORE, user, sentence, user, origin, (step.urn,), alike=_alike(user, sentence))

    result = []
    if step.op == "delete":
        result.append(change(Risk.ACCESS_REVOKED, f"access key of {code(user)} is deleted"))
        new = {place: actions for place, actions in old.items() if place[0] == "Deny"}
    elif step.op == "create":
        result.append(change(Risk.ADDITIVE, f"access key of {code(user)} is created"))
        old = {place: actions for place, actions in new.items() if place[0] == "Deny"}
    elif step.op == "replace":
        old_name, new_name = code(step.old.live("user", user)), code(step.new.declared("user", user))
        sentence = f"access key {old_name} is deleted and {new_name} is created in its place"
        result.append(change(Risk.ACCESS_REVOKED, sentence))
    elif step.old.live("rotate") != step.new.declared("rotate"):
        sentence = f"the secret key of {code(user)} is rotated: it must restart to use the new one"
        result.append(change(Risk.RESTART, sentence))
    elif (state := step.old.live("state", "enabled")) != "enabled":
        result.append(change(Risk.RESTART, f"access key of {code(user)} is corrected: its state is {code(state)}"))
    for access, other, verb in ((new, old, "gains"), (old, new, "loses")):
        differences = _differences(context, user, _less(access, other), verb)
        result += [change(risk, sentence, origin) for risk, sentence, origin in differences]
    return result or [change(Risk.RESTART, f"access key of {code(user)} is corrected")]


def _alike(user: str, sentence: str) -> str:
    """The sentence about several users, if ``sentence`` begins with the user and a verb."""
    subject = f"{code(user)} "
    verb, _, rest = sentence.removeprefix(subject).partition(" ")
    return f"{SUBJECTS} {_PLURAL[verb]} {rest}" if sentence.startswith(subject) and verb in _PLURAL else ""


def _differences(
    context: ReviewContext, user: str, access: PolicyAccess, verb: str
) -> list[tuple[Risk, str, MappingPath]]:
    """One sentence for each set of actions. List access is omitted if there is other access to the same bucket."""
    with_other_access = {
        _bucket(place) for (effect, place), actions in access.items() if effect == "Allow" and actions != {"list"}
    }
    grouped: dict[tuple[str, tuple[str, ...]], list[str]] = defaultdict(list)
    for (effect, place), actions in access.items():
        if effect == "Allow" and actions == {"list"} and _bucket(place) in with_other_access:
            continue
        words = sorted(actions, key=lambda word: (_ORDER.index(word) if word in _ORDER else len(_ORDER), word))
        grouped[effect, tuple(words)].append(place)
    result = []
    for (effect, group_actions), places in sorted(grouped.items()):
        names = [_display_name(context, place) for place in sorted(places)]
        all_new = all(name.partition("/")[0] in context.created_buckets for name in names)
        # Removing a denial widens access.
        gained = (verb == "gains") == (effect == "Allow")
        risk = (Risk.ADDITIVE if all_new else Risk.ACCESS_WIDENED) if gained else Risk.ACCESS_REVOKED
        if effect == "Deny":
            sentence = f"{code(user)} is {'no longer ' if gained else ''}denied {_access(group_actions)} {codes(names)}"
        elif group_actions == ("attached",):
            sentence = f"{code(user)} {verb} {codes(names)}, which was attached manually"
        else:
            sentence = f"{code(user)} {verb} {_access(group_actions)} {codes(names)}"
        origin = context.origins.access(user, "rustfs", *names)
        result.append((risk, sentence, origin))
    return result


def _access(actions: tuple[str, ...]) -> str:
    """``read and write access to``, or ``s3:Action on`` if an action has no entry in ``_WORDS``."""
    words = [action if action in _ORDER else code(action) for action in actions]
    listed = ", ".join(words[:-1]) + f" and {words[-1]}" if len(words) > 1 else "".join(words)
    return f"{listed} access to" if set(actions) <= set(_ORDER) else f"{listed} on"


def _display_name(context: ReviewContext, place: str) -> str:
    """``blobs/*`` as ``blobs/``, with the bucket's name in the mapping."""
    bucket, slash, keys = place.partition("/")
    return context.buckets.get(bucket, bucket) + slash + (keys[:-1] if keys == "*" or keys.endswith("/*") else keys)


def _bucket(place: str) -> str:
    return place.partition(" ")[0].partition("/")[0]


def _less(access: PolicyAccess, other: PolicyAccess) -> PolicyAccess:
    """The part of ``access`` that ``other`` lacks."""
    remaining = {place: actions - other.get(place, set()) for place, actions in access.items()}
    return {place: actions for place, actions in remaining.items() if actions}


def _policy_access(policy: object) -> PolicyAccess:
    found: PolicyAccess = defaultdict(set)
    for name, rule in policy.items() if isinstance(policy, dict) else ():
        if not isinstance(rule, dict):
            found["Allow", str(name)].add("attached")
            continue
        effect = str(rule.get("Effect") or "Allow")
        place = str(name).removeprefix(f"{effect} ")
        actions = set(map(str, rule.get("Action") or ()))
        major = actions - _MINOR
        # Omit the prefixes in conditions of list actions; sentences name the bucket only.
        place = place.partition(" where s3:prefix ")[0]
        # The only minor action on a bucket itself reads its location, which list access implies.
        if major or "/" in place:
            found[effect, place] |= {_WORDS.get(action, action) for action in major or actions}
    return dict(found)
