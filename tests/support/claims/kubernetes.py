"""Sentences about rendered objects and passwords."""

import json

from tests.support.claims.compare import Claims, Match, count_in, names_in, rule
from tests.support.claims.valkey import DEPLOYMENT
from tests.support.live_facts import Fact, Facts


@rule(
    r"(?P<kinds>ConfigMaps?|Secrets?|ConfigMaps? and Secrets?) of (?P<modules>`.+`|`.+ more) (?:is|are) (?P<what>created|deleted.*|updated|changed.*)"
)
def _module_objects(claims: Claims, match: Match) -> None:
    kinds = {kind.removesuffix("s") for kind in match["kinds"].split(" and ")}
    what = match["what"]
    listed, number = (
        {f"stellaops-storage-{name.replace('_', '-')}" for name in names_in(match["modules"])},
        count_in(match["modules"]),
    )

    def objects(facts: Facts) -> set[Fact]:
        return {f for f in facts if f[0] == "manifest" and f[1] in kinds and f[3].startswith("stellaops-storage-")}

    old, new = objects(claims.before), objects(claims.after)
    if what == "created":
        found = new - old
    elif what.startswith("deleted"):
        # Objects of modules that leave the mapping have a sentence of their own.
        gone = {
            f"stellaops-storage-{name.replace('_', '-')}" for name in _modules(claims.before) - _modules(claims.after)
        }
        found = {fact for fact in old - new if (fact[3] in gone) == ("with the module" in what)}
        if "recreated" in what:
            claims.must({fact[3] for fact in new - old} >= {fact[3] for fact in found}, "they are not recreated")
            namespaces = set(names_in(what.partition(" in ")[2].partition(":")[0]))
            claims.must(
                namespaces <= {fact[2] for fact in new - old}, f"the namespaces are { ({f[2] for f in new - old}) }"
            )
            claims.announced |= new - old
    else:
        found = {("manifest", *f[1:4]) for f in claims.changed if f[0] == "manifest data" and f[1] in kinds} & old & new
        variables = names_in(what.partition(":")[2].partition(";")[0])
        for variable in variables:
            claims.must(
                any(f[4] == variable for f in claims.changed if f[0] == "manifest data"), f"{variable} is unchanged"
            )
    modules = {fact[3] for fact in found}
    claims.must(listed <= modules, f"it is so for {sorted(modules)}")
    if "created" not in what and not what.startswith("deleted"):
        claims.must(number <= len(modules), f"it is so for {len(modules)} modules")
    else:
        claims.must(number == len(modules), f"it is so for {len(modules)} modules")
    claims.announced |= found & claims.changed
    places = {fact[1:4] for fact in found | (new - old)}
    claims.announce("manifest data", "manifest spec", where=lambda fact: fact[1:4] in places)


def _modules(facts: Facts) -> set[str]:
    return {fact[1] for fact in facts if fact[0] == "secret"}


def _with_password(facts: Facts) -> set[str]:
    """Users whose password is in the stack's outputs, or only on a server, as those of jobs are."""
    secrets = {fact[1] for fact in facts if fact[0] == "secret" and not fact[2].startswith("object_store")}
    return secrets | {fact[1] for fact in facts if fact[0] in ("user password", "verifier")}


@rule(r"(?:the )?passwords of (`.+`|`.+ more) are (created|deleted)")
def _passwords(claims: Claims, match: Match) -> None:
    side, other = (claims.after, claims.before) if match[2] == "created" else (claims.before, claims.after)
    users = _with_password(side) - _with_password(other)
    claims.must(set(names_in(match[1])) <= users, f"it is so for {sorted(users)}")
    claims.announce("secret", where=lambda fact: fact[1] in users)


@rule(r"the passwords of `([^`]+)` are rotated: it must restart to use the new ones")
def _rotated(claims: Claims, match: Match) -> None:
    user = match[1]
    changed = claims.announce("secret", where=lambda fact: fact[1] == user and fact[2].endswith("password"))
    claims.must(
        changed and {f for f in claims.before if f[:2] == ("secret", user) and f[2].endswith("password")} <= changed,
        "some are the same",
    )
    claims.announce("verifier", "user password", where=lambda fact: fact[1] == user)


def _network_pairs(value: str) -> set[tuple[str, str]]:
    """(peer, port) of each connection that a NetworkPolicy's ``ingress`` allows."""
    found = set()
    for entry in json.loads(value or "[]"):
        for peer in entry.get("from") or [{}]:
            for port in entry.get("ports") or [{}]:
                found.add((json.dumps(peer, sort_keys=True), str(port.get("port"))))
    return found


@rule(r"network policy `([^`]+)` (no longer allows|allows) connections from (`.+`) on port `(\d+)`")
def _network(claims: Claims, match: Match) -> None:
    name, ends, peers, port = match[1], "no longer" in match[2], names_in(match[3]), match[4]
    found = {
        f
        for f in claims.before.keys() | claims.after.keys()
        if f[:2] == ("manifest spec", "NetworkPolicy") and f[3:] == (name, "ingress")
    }
    for fact in found:
        old, new = _network_pairs(claims.before.get(fact, "")), _network_pairs(claims.after.get(fact, ""))
        changed = {peer for peer, number in (old - new if ends else new - old) if number == port}
        for peer in peers:
            claims.must(any(f'"{peer.split(" ", 1)[1]}"' in item for item in changed), f"{peer} is not among {changed}")
        claims.must(len(changed) == len(peers), f"it is so for {changed}")
        claims.announced.add(fact)
    claims.must(found, "there is no such policy")


@rule(r"the passwords of Valkey's internal users are (created|rotated|deleted): .+")
def _internal_passwords(claims: Claims, match: Match) -> None:
    changed = claims.announce("manifest data", where=lambda fact: fact[1] == "Secret" and DEPLOYMENT.fullmatch(fact[3]))
    claims.must(changed, "no Secret of Valkey changes")


@rule(r"(?!grant\b)([A-Z]\w+) `([^`]+)` (is created|is deleted|is deleted and recreated|changes: `.+`)")
def _other_object(claims: Claims, match: Match) -> None:
    kind, name, what = match.groups()
    found = claims.announce(
        "manifest", "manifest data", "manifest spec", where=lambda fact: (fact[1], fact[3]) == (kind, name)
    )
    claims.must(found, f"{kind} {name} is unchanged")
    if what == "is created":
        claims.must(any(fact[0] == "manifest" and fact in claims.after for fact in found), "it is not there")
    if what == "is deleted":
        claims.must(any(fact[0] == "manifest" and fact not in claims.after for fact in found), "it is still there")


@rule(r"`([^`]+)` runs at `([^`]+)`(?: instead of `([^`]+)`)?")
def _schedule(claims: Claims, match: Match) -> None:
    name, new, old = match.groups()
    found = {fact for fact in claims.changed if fact[1:2] == ("CronJob",) and fact[3:] == (name, "schedule")}
    claims.must(found, "no schedule of that name changes")
    for fact in found:
        claims.becomes(fact, json.dumps(old) if old else "", json.dumps(new))
    if not old:
        claims.announce("manifest", "manifest spec", where=lambda fact: fact[1:2] == ("CronJob",) and fact[3] == name)


@rule(r"`([^`]+)` changes; the change takes effect at its next run")
def _job(claims: Claims, match: Match) -> None:
    found = claims.announce("manifest spec", where=lambda fact: fact[1] == "CronJob" and fact[3] == match[1])
    claims.must(found, "no CronJob of that name changes")
