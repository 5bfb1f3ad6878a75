"""What the ACL of a module or service cannot prevent: options of allowed commands, and groups of others in the same stream."""

from collections.abc import Iterable

from components.mapping.values import KeyPattern
from components.valkey.commands import commands
from tools.reference.facts import ReferenceFacts, module_page
from tools.reference.markdown import code, codes, link, prose, table

WATCHED = "../../valkey.md#what-no-acl-can-prevent"
ADD, CHANGE_GROUPS = "xadd", "xgroup|delconsumer"
ADDING = "trim unread entries, add an ID in the future"
CHANGING = "delete consumers of other groups, acknowledge and claim their entries"
SHARED = "all of these, and fill the memory"


def limits(facts: ReferenceFacts, user: str) -> list[str | None]:
    """The section of the page of ``user``; empty if the ACL prevents everything."""
    groups = facts.mapping.access.stream_groups
    own = [group for group in groups if group.consumer == user]
    rows = []
    added = _streams(facts, user, ADD)
    shared = [pattern for pattern in added if facts.mapping.valkey.keys[pattern].shared]
    for pattern in added:
        if pattern not in shared:
            rows.append([ADDING, code(pattern), _names(facts, user, _consumers(facts, pattern))])
    for pattern in _streams(facts, user, CHANGE_GROUPS):
        others = {group.consumer for group in groups if group.stream == pattern} - {user}
        if others:
            rows.append([CHANGING, code(pattern), _names(facts, user, others)])
    if shared:
        rows.append([SHARED, codes(shared), "all modules and services"])
    if not rows:
        return []
    concerned = []
    for group in own:
        producers = set(facts.mapping.valkey.streams[group.stream].producers) - {user}
        consumers = _consumers(facts, group.stream) - {user}
        if producers or consumers:
            concerned.append(
                [code(group.name), code(group.stream), _names(facts, user, producers), _names(facts, user, consumers)]
            )
    return [
        "### What the ACL cannot prevent",
        f"An ACL allows commands on keys. It cannot restrict their options, or a consumer to its own group. [How this is noticed and repaired]({WATCHED}).",
        table(["May", "On", "Concerns"], rows),
        "Others may do this to its groups:" if concerned else None,
        table(["Group", "Stream", "Producers, which may trim", "Consumers, which may change the group"], concerned),
    ]


def _streams(facts: ReferenceFacts, user: str, command: str) -> list[KeyPattern]:
    """Patterns of streams on which ``user`` may run a command."""
    return [
        access.pattern
        for access in facts.keys[user]
        if access.type == "stream" and command in commands(access.verb, access.type)
    ]


def _consumers(facts: ReferenceFacts, stream: str) -> set[str]:
    """Modules with a consumer group of ``stream``, and those that may read in any group."""
    return {group.consumer for group in facts.mapping.access.stream_groups if group.stream == stream} | {
        user for user in facts.mapping.users if stream in _streams(facts, user, CHANGE_GROUPS)
    }


def _names(facts: ReferenceFacts, user: str, others: Iterable[str]) -> str:
    path = module_page(user)
    ordered = [other for other in facts.mapping.users if other in set(others)]
    return ", ".join(link(prose(facts.name(other)), path, module_page(other)) for other in ordered)
