"""Join changes that are the same for many modules, such as a changed default, into one sentence."""

from collections import defaultdict
from collections.abc import Collection

from tools.review.change import SUBJECTS, RatedChange
from tools.review.escape import codes
from tools.review.risk import Risk

FEWEST = 3  # changes with one sentence; fewer are listed one by one
MOST_NAMES = 4


def joined(changes: list[RatedChange], modules: Collection[str], role_prefix: str = "") -> list[RatedChange]:
    """Return ``changes`` with one change in place of those that are alike. ``modules`` are all modules of the stack,
    whose roles have names with ``role_prefix``.

    Changes that delete data stay separate, because each needs its own approval.
    """
    found: dict[tuple[Risk, str, str], list[RatedChange]] = defaultdict(list)
    for change in changes:
        if change.alike and change.risk < Risk.DATA_LOSS:
            found[change.risk, change.store, change.alike].append(change)
    groups = {id(same[0]): same for same in found.values() if len(same) >= FEWEST}
    absorbed = {id(change) for same in groups.values() for change in same[1:]}
    return [
        _one(groups[id(change)], modules, role_prefix) if id(change) in groups else change
        for change in changes
        if id(change) not in absorbed
    ]


def _one(changes: list[RatedChange], modules: Collection[str], role_prefix: str) -> RatedChange:
    names = sorted(change.resource for change in changes)
    everyone = bool(modules) and set(modules) <= {name.removeprefix(role_prefix) for name in names}
    first = changes[0]
    noun = "logins" if first.store == "PostgreSQL" else "users"
    group = f"all {len(names)} {noun}" if everyone else f"{len(names)} {noun}"
    subject = group if everyone else f"{group} ({codes(names, MOST_NAMES)})"
    origin = first.origin if all(change.origin == first.origin for change in changes) else ()
    urns = tuple(dict.fromkeys(urn for change in changes for urn in change.urns))
    sentence = first.alike.replace(SUBJECTS, subject, 1)
    # The label that approves the change names its users, so that it approves no change of others.
    resource = group if everyone else "+".join(names)
    return RatedChange(first.risk, first.store, group, sentence, resource, origin, urns)
