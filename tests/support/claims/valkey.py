"""Sentences about users, streams and the deployment of Valkey."""

import json
import re

from tests.support.claims.compare import Claims, Match, count_in, names_in, rule
from tests.support.live_facts import Facts

_SIGNS = {"read and write access": "~", "read access": "%R~", "write access": "%W~"}


def _rules_of(facts: Facts, user: str, pattern: str) -> set[tuple[str, str]]:
    """(kind of access, command) of a user's ACL rules for a pattern or channel."""
    found = set()
    for fact in facts:
        if fact[0] != "rule" or fact[1] != user:
            continue
        sign = re.match(r"%R~|%W~|%RW~|~|&|", fact[2])
        assert sign is not None
        target = fact[2] if sign[0] == "&" else fact[2].removeprefix(sign[0])
        if target == pattern:
            found.add(({"%RW~": "~"}.get(sign[0], sign[0]), fact[3]))
    return found


@rule(r"user `([^`]+)` is created(?: with access to (`.+`|`.+ more))?")
def _user_created(claims: Claims, match: Match) -> None:
    user = match[1]
    claims.appears("user", user)
    patterns = {re.sub(r"^(%RW~|%R~|%W~|~)", "", fact[2]) for fact in claims.after if fact[:2] == ("rule", user)} - {""}
    listed = set(names_in(match[2] or ""))
    claims.must(
        listed <= patterns and count_in(match[2] or "") == len(patterns), f"it has access to {sorted(patterns)}"
    )
    claims.announce("user password", "rule", where=lambda fact: fact[1] == user)


@rule(r"user `([^`]+)` is deleted with all its permissions")
def _user_deleted(claims: Claims, match: Match) -> None:
    claims.disappears("user", match[1])
    claims.announce("user password", "rule", where=lambda fact: fact[1] == match[1])


@rule(
    r"`(?P<user>[^`]+)` (?P<verb>gains|loses) (?P<access>read and write access|read access|write access|producer access|consumer access|access)"
    r" to (?P<patterns>`.+`) \((?P<count>\d+) commands?\)"
)
def _all_access(claims: Claims, match: Match) -> None:
    user, gains = match["user"], match["verb"] == "gains"
    had, has = (claims.before, claims.after) if gains else (claims.after, claims.before)
    for pattern in names_in(match["patterns"]):
        new, old = _rules_of(has, user, pattern), _rules_of(had, user, pattern)
        sign = _SIGNS.get(match["access"])
        if sign:
            new, old = ({item for item in side if item[0] == sign} for side in (new, old))
        claims.must(
            len({command for _, command in new}) == int(match["count"]), f"commands on {pattern}: {sorted(new)}"
        )
        claims.must(not old, f"{user} {'had' if gains else 'keeps'} {sorted(old)} on {pattern}")
        commands = {command for _, command in new}
        if match["access"] == "consumer access":
            claims.must("+xreadgroup" in commands and "+xadd" not in commands, f"{sorted(commands)}")
        if match["access"] == "producer access":
            claims.must("+xadd" in commands and "+xreadgroup" not in commands, f"{sorted(commands)}")
        signs = {kind for kind, _ in new}
        claims.announced |= {("rule", user, f"{kind}{pattern}", command) for kind, command in new for kind in signs}


@rule(r"`(?P<user>[^`]+)` (?P<verb>gains|loses) (?P<commands>`[A-Z|]+`.*?)(?: on (?P<patterns>`.+`))?")
def _some_commands(claims: Claims, match: Match) -> None:
    user, gains = match["user"], match["verb"] == "gains"
    had, has = (claims.before, claims.after) if gains else (claims.after, claims.before)
    for pattern in names_in(match["patterns"] or "") or [""]:
        extra = _rules_of(has, user, pattern) - _rules_of(had, user, pattern)
        commands = {command for _, command in extra}
        claims.must(
            {f"+{name.lower()}" for name in names_in(match["commands"])} <= commands,
            f"commands on {pattern}: {sorted(commands)}",
        )
        claims.must(len(commands) == count_in(match["commands"]), f"commands on {pattern}: {sorted(commands)}")
        claims.announced |= {("rule", user, f"{sign}{pattern}", command) for sign, command in extra}


@rule(r"stream `([^`]+)` is created(?: with consumer groups (`.+`|`.+ more))?")
def _stream_created(claims: Claims, match: Match) -> None:
    claims.appears("stream", match[1])
    claims.announce("deletable", where=lambda fact: fact[1] == "Streams" and fact not in claims.before)
    groups = [fact for fact in claims.after if fact[:2] == ("consumer group", match[1])]
    claims.must(len(groups) == count_in(match[2] or ""), f"it has {groups}")
    for group in names_in(match[2] or ""):
        claims.appears("consumer group", match[1], group)


@rule(r"stream `([^`]+)` is deleted (with its entries|\(refused while it has entries: allowDataLoss is false\))")
def _stream_deleted(claims: Claims, match: Match) -> None:
    claims.disappears("stream", match[1])
    claims.announce("consumer group", where=lambda fact: fact[1] == match[1])


@rule(r"consumer group `([^`]+)` is created on stream `([^`]+)`")
def _group_created(claims: Claims, match: Match) -> None:
    claims.appears("consumer group", match[2], match[1])


@rule(r"consumer group `([^`]+)` of stream `([^`]+)` is deleted with its position .+")
def _group_deleted(claims: Claims, match: Match) -> None:
    claims.disappears("consumer group", match[2], match[1])


@rule(r"streams (?:can be deleted with their entries from now on|that have entries can no longer be deleted)")
def _streams_deletable(claims: Claims, match: Match) -> None:
    value = "True" if "from now on" in match[0] else "False"
    for fact in claims.announce("deletable", where=lambda fact: fact[1] == "Streams"):
        claims.must(claims.after.get(fact) == value, f"{fact} is {claims.after.get(fact)}")


@rule(r"the rotated passwords of (`.+`) are set in Valkey")
def _valkey_passwords(claims: Claims, match: Match) -> None:
    for user in names_in(match[1]):
        claims.changes("user password", user)


# Objects that Valkey's sentences cover as a whole; each module's own objects have other names.
DEPLOYMENT = re.compile(r"valkey(-.*)?")
_BYTES = {"kb": 10, "mb": 20, "gb": 30}


def _directive(text: str) -> str:
    """A value of ``valkey.conf`` as the server returns it; "unset" is the default of a directive."""
    size = re.fullmatch(r"(\d+)(kb|mb|gb)", text)
    return str(int(size[1]) << _BYTES[size[2]]) if size else text


@rule(r"(Valkey restarts once|Valkey's servers restart one after the other)(?P<reasons>: .+)?")
def _restarts(claims: Claims, match: Match) -> None:
    """The pod template changes on Kubernetes. A directive that the local server has as well restarts it, too."""
    template = [
        f
        for f in claims.changed
        if f[:2] == ("manifest spec", "StatefulSet") and DEPLOYMENT.fullmatch(f[3]) and f[4] == "template"
    ]
    claims.must(template, "the pods' template is unchanged, so nothing restarts")
    changed = {fact[1] for fact in claims.changed if fact[0] == "directive"}
    for name, old, new in re.findall(r"`([a-z-]+)` from `([^`]+)` to `([^`]+)`", match["reasons"] or ""):
        fact = ("directive", name)
        if fact in claims.before:
            claims.must(old == "unset" or claims.before[fact] == _directive(old), f"{name} was {claims.before[fact]}")
            claims.must(new == "unset" or claims.after[fact] == _directive(new), f"{name} is {claims.after[fact]}")
    if changed:
        claims.must(("process", "valkey") in claims.changed, f"the server was not restarted for {changed}")
    text = " ".join(claims.after.get(fact, "") for fact in template)
    for _, _, new in re.findall(r"(image|memory limit) from `([^`]+)` to `([^`]+)`", match["reasons"] or ""):
        claims.must(new in text, f"the template has no {new}")
    claims.announce("directive", "process")
    _announce_deployment(claims)


def _announce_deployment(claims: Claims) -> None:
    claims.announce(
        "manifest", "manifest data", "manifest spec",
        where=lambda fact: DEPLOYMENT.fullmatch(fact[3]) and fact[1] in ("StatefulSet", "ConfigMap", "Secret", "Service", "Job", "CronJob"),
    )  # fmt: skip


@rule(r"`maxmemory` decreases from `([^`]+)` to `([^`]+)`: keys with a TTL are evicted earlier")
def _less_memory(claims: Claims, match: Match) -> None:
    claims.must(
        int(claims.after["directive", "maxmemory"]) < int(claims.before["directive", "maxmemory"]), "it does not"
    )
    claims.must(
        claims.after["directive", "maxmemory-policy"].startswith("volatile-"), "keys with a TTL are not evicted"
    )


@rule(r"the estimates no longer fit in memory: .+ take (\d+)% of `([^`]+)`.+")
def _estimates(claims: Claims, match: Match) -> None:
    claims.must(claims.after["directive", "maxmemory"] == _directive(match[2]), "maxmemory is another one")


@rule(r"without the append-only file a crash \*\*loses every write\*\* since the last snapshot")
def _no_append_only_file(claims: Claims, _match: Match) -> None:
    claims.becomes(("directive", "appendonly"), "yes", "no")


@rule(r"Valkey starts with the append-only file that its volume has: .+ are lost\*\*, unless .+")
def _old_append_only_file(claims: Claims, _match: Match) -> None:
    claims.becomes(("directive", "appendonly"), "no", "yes")
    # What the old file has comes back; what was added since is gone.
    claims.announce("stream", "consumer group")


@rule(r"Valkey's servers reload their users without a restart")
def _reloads(claims: Claims, _match: Match) -> None:
    template = [f for f in claims.changed if f[:2] == ("manifest spec", "StatefulSet") and DEPLOYMENT.fullmatch(f[3])]
    claims.must(not template, "the StatefulSet changes")
    claims.must(("process", "valkey") not in claims.changed, "the local server was restarted")
    _announce_deployment(claims)


@rule(r"Valkey's upkeep jobs change")
@rule(r"Valkey's Services? .+ changes?")
def _jobs(claims: Claims, _match: Match) -> None:
    claims.must(("process", "valkey") not in claims.changed, "the local server was restarted")
    _announce_deployment(claims)


@rule(r"(?:keys|entries) of `([^`]+)` are kept for `([^`]+)` instead of `([^`]+)`")
def _time_to_live(claims: Claims, match: Match) -> None:
    claims.becomes(("time to live", match[1]), match[3], match[2])
    # The job that trims streams reads the age in its plan.
    claims.announce("manifest data", where=lambda fact: fact[4] == "plan.json")


@rule(r"acknowledged entries of (`.+`|`.+ more) are kept for (.+) instead of (.+)")
def _acknowledged(claims: Claims, _match: Match) -> None:
    claims.must(
        claims.announce("manifest data", where=lambda fact: fact[4] == "plan.json"), "the jobs' plan is unchanged"
    )


@rule(r"Valkey's volumes will be (kept|deleted) when Valkey is deleted(?: \(allowDataLoss\))?")
def _volumes(claims: Claims, match: Match) -> None:
    found = {
        fact
        for fact in claims.changed
        if fact[1:2] == ("StatefulSet",) and fact[4:] == ("persistentVolumeClaimRetentionPolicy",)
    }
    claims.must(found, "the StatefulSet's policy is unchanged")
    for fact in found:
        policy = json.loads(claims.after.get(fact, "{}")).get("whenDeleted", "Retain")
        claims.must((policy == "Delete") == (match[1] == "deleted"), f"the policy is {policy}")
    claims.announced |= found


# A new stack.


@rule(r"(\d+) users are created, each with access to its own keys")
def _all_users_created(claims: Claims, match: Match) -> None:
    users = claims.announce("user", where=lambda fact: fact not in claims.before)
    claims.must(len(users) == int(match[1]), f"{len(users)} are created")
    claims.announce("user password", "rule", where=lambda fact: ("user", fact[1]) in users)


@rule(r"Valkey is deployed on Kubernetes with (?:one server|(\d+) servers)")
def _deployed(claims: Claims, match: Match) -> None:
    replicas = [
        value for fact, value in claims.after.items() if fact[1:2] == ("StatefulSet",) and fact[4:] == ("replicas",)
    ]
    claims.must(replicas == [match[1] or "1"], f"its StatefulSet has {replicas}")
    claims.announce("manifest", "manifest data", "manifest spec", where=lambda fact: DEPLOYMENT.fullmatch(fact[3]))
