"""Valkey users with the permissions of their ACL rules, streams, and consumer groups."""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from components.mapping.values import KeyPattern
from tools.review.change import SUBJECTS, MappingPath, RatedChange
from tools.review.context import ReviewContext
from tools.review.escape import code, codes
from tools.review.preview import PreviewStep
from tools.review.risk import Risk
from tools.review.tokens import CREDENTIAL, VALKEY_STREAMS, VALKEY_USERS

TYPES = (VALKEY_USERS, VALKEY_STREAMS)
STORE = "Valkey"

_PERMISSIONS = {
    "~": "read and write access",
    "%RW~": "read and write access",
    "%R~": "read access",
    "%W~": "write access",
}
_ANYWHERE = ("", "commands without a key")


def changes(context: ReviewContext, steps: list[PreviewStep]) -> list[RatedChange]:
    result: list[RatedChange] = []
    for step in steps:
        if step.op != "same":
            result += _users(context, step) if step.type == VALKEY_USERS else _streams(step)
    return result


@dataclass
class Commands:
    """``allowed`` commands and categories, without the ``denied`` ones, which an allowed category would include."""

    allowed: set[str] = field(default_factory=set)
    denied: set[str] = field(default_factory=set)

    def add(self, rule: str) -> None:
        """Apply one rule of an ACL. Rules apply in their order, so that a later one overrides an earlier one."""
        if rule in ("allcommands", "+@all"):
            self.allowed, self.denied = {"@all"}, set()
        elif rule in ("nocommands", "-@all"):
            self.allowed, self.denied = set(), set()
        elif rule.startswith("+"):
            self.allowed.add(rule[1:].lower())
            self.denied.discard(rule[1:].lower())
        elif rule.startswith("-"):
            self.allowed.discard(rule[1:].lower())
            if self.categories:
                self.denied.add(rule[1:].lower())

    def beyond(self, other: "Commands") -> frozenset[str]:
        """The commands that ``other`` lacks."""
        readmitted = other.denied - self.denied - other.allowed if self.categories & other.categories else set()
        return frozenset(self.allowed - other.allowed | readmitted)

    def merge(self, other: "Commands") -> None:
        """Add the commands of another set of permissions for the same keys: what either allows is allowed."""
        both = self.categories and other.categories
        denied = self.denied & other.denied if both else self.denied | other.denied
        self.denied = denied - self.allowed - other.allowed
        self.allowed |= other.allowed

    @property
    def categories(self) -> set[str]:
        return {name for name in self.allowed if name.startswith("@")}


# (key pattern or channel, kind of access) -> commands
AclRules = dict[tuple[str, str], Commands]


def parsed(rules: list[Any]) -> AclRules:
    """Parse the arguments of ``ACL SETUSER``. The root permissions and each selector in parentheses apply separately."""
    found: AclRules = defaultdict(Commands)
    root: list[str] = []
    for rule in map(str, rules):
        if rule.startswith("("):
            _add(found, rule.strip("()").split())
        else:
            root.append(rule)
    _add(found, root)
    return {place: commands for place, commands in found.items() if commands.allowed}


def _add(found: AclRules, words: list[str]) -> None:
    commands = Commands()
    for word in words:
        commands.add(word)
    targets = [("*", _PERMISSIONS["~"])] if "allkeys" in words else []
    for word in words:
        for sign, meaning in _PERMISSIONS.items():
            if word.startswith(sign):
                targets.append((word.removeprefix(sign), meaning))
                break
        if word.startswith("&") or word == "allchannels":
            targets.append((word if word.startswith("&") else "&*", "access"))
    for place in targets or [_ANYWHERE]:
        found[place].merge(commands)


def _users(context: ReviewContext, step: PreviewStep) -> list[RatedChange]:
    before, after = step.old.live("users") or {}, step.new.declared("users") or {}
    if step.op == "delete":
        after = {}
    result = []
    if step.op == "create":
        sentence = f"{len(after)} users are created, each with access to its own keys"
        return [RatedChange(Risk.ADDITIVE, STORE, "users", sentence, step.name, (), (step.urn,))]
    for user in sorted(before.keys() | after.keys()):
        if user not in after:
            sentence = f"user {code(user)} is deleted with all its permissions"
            result.append(RatedChange(Risk.ACCESS_REVOKED, STORE, user, sentence, user, (), (step.urn,)))
        elif user not in before:
            places = [pattern for pattern, _ in parsed(after[user]) if pattern]
            sentence = f"user {code(user)} is created"
            if places:
                sentence += f" with access to {codes(sorted(places))}"
            origin = _user_origin(context, user)
            result.append(RatedChange(Risk.ADDITIVE, STORE, user, sentence, user, origin, (step.urn,)))
        elif before[user] != after[user]:
            result += _differences(context, step, user, parsed(before[user]), parsed(after[user]))
    if not result:
        rotated = sorted(item.name for item in context.steps(CREDENTIAL) if item.op == "replace")
        risk, sentence = Risk.NONE, "the users are reapplied"
        if rotated:
            risk, sentence = Risk.RESTART, f"the rotated passwords of {codes(rotated)} are set in Valkey"
        result.append(RatedChange(risk, STORE, "users", sentence, step.name, (), (step.urn,)))
    return result


def _user_origin(context: ReviewContext, user: str) -> MappingPath:
    return (("modules" if ("modules", user) in context.origins.lines else "services"), user)


def _differences(
    context: ReviewContext, step: PreviewStep, user: str, before: AclRules, after: AclRules
) -> list[RatedChange]:
    result = []
    for verb, risk, rules, other_rules in (
        ("gains", Risk.ACCESS_WIDENED, after, before),
        ("loses", Risk.ACCESS_REVOKED, before, after),
    ):
        grouped: dict[tuple[str, frozenset[str], bool], list[str]] = defaultdict(list)
        for (pattern, access), permitted in rules.items():
            # Whether the user has no such access to the pattern in the other version.
            all_access = (pattern, access) not in other_rules
            extra = permitted.beyond(other_rules.get((pattern, access), Commands()))
            if extra:
                grouped[access, extra, all_access].append(pattern)
        for (access, commands, all_access), patterns in sorted(grouped.items(), key=lambda item: sorted(item[1])):
            if {"xreadgroup", "xadd"} & commands:
                both = {"xreadgroup", "xadd"} <= commands
                access = access if both else "consumer access" if "xreadgroup" in commands else "producer access"  # noqa: PLW2901
            named = codes(sorted(command.upper() for command in commands), most=4)
            if patterns == [""]:
                what = named
            elif all_access:
                count = f"{len(commands)} command{'' if len(commands) == 1 else 's'}"
                what = f"{access} to {codes(sorted(patterns))} ({count})"
            else:
                what = f"{named} on {codes(sorted(patterns))}"
            origin, alike = key_origin(context, user, patterns[0]), f"{SUBJECTS} {verb.removesuffix('s')} {what}"
            sentence = f"{code(user)} {verb} {what}"
            result.append(RatedChange(risk, STORE, user, sentence, user, origin, (step.urn,), alike=alike))
    return result


def key_origin(context: ReviewContext, user: str, pattern: str) -> MappingPath:
    """The mapping path of the access of ``user`` to ``pattern``: the user's entry, else the entry of the key or stream."""
    valkey = context.origins.data.get("valkey")
    valkey = valkey if isinstance(valkey, dict) else {}
    for kind in ("streams", "keys"):
        for key in valkey.get(kind) or {}:
            if isinstance(key, str) and pattern in (key, KeyPattern(key).glob):
                found = context.origins.access(user, "valkey", key)
                return found if len(found) > 3 else ("valkey", kind, key)
    return context.origins.access(user, "valkey", pattern)


def _streams(step: PreviewStep) -> list[RatedChange]:
    before, after = step.old.live("streams") or {}, step.new.declared("streams") or {}
    if step.op == "delete":
        after = {}
    deletes = bool(step.state.declared("allowDataLoss"))
    result = []
    for stream in sorted(before.keys() | after.keys()):
        origin = ("valkey", "streams", stream)

        def change(risk: Risk, sentence: str, name: str = stream, where: MappingPath = origin) -> RatedChange:
            return RatedChange(risk, STORE, "streams", sentence, name, where, (step.urn,))

        if stream not in after:
            condition = "with its entries" if deletes else "(refused while it has entries: allowDataLoss is false)"
            result.append(change(Risk.DATA_LOSS, f"stream {code(stream)} is deleted {condition}"))
        elif stream not in before:
            groups = f" with consumer groups {codes(after[stream])}" if after[stream] else ""
            result.append(change(Risk.ADDITIVE, f"stream {code(stream)} is created{groups}"))
        else:
            for group in sorted(set(after[stream]) - set(before[stream])):
                result.append(
                    change(Risk.ADDITIVE, f"consumer group {code(group)} is created on stream {code(stream)}")
                )
            for group in sorted(set(before[stream]) - set(after[stream])):
                condition = (
                    "and pending entries" if deletes else "(refused while entries are pending: allowDataLoss is false)"
                )
                deleted = f"consumer group {code(group)} of stream {code(stream)} is deleted with its position"
                sentence = f"{deleted} {condition}"
                result.append(change(Risk.DATA_LOSS if deletes else Risk.ACCESS_REVOKED, sentence, f"{stream}/{group}"))
    if step.old.declared("allowDataLoss") != step.new.declared("allowDataLoss") and step.op == "update":
        risk, sentence = Risk.NONE, "streams that have entries can no longer be deleted"
        if step.new.declared("allowDataLoss"):
            risk, sentence = Risk.ACCESS_WIDENED, "streams can be deleted with their entries from now on"
        result.append(RatedChange(risk, STORE, "streams", sentence, step.name, (), (step.urn,)))
    return result or [
        RatedChange(Risk.NONE, STORE, "streams", "the streams are checked again", step.name, (), (step.urn,))
    ]
