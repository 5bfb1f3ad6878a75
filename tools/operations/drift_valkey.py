"""Compare Valkey with the mapping: users, ACL rules, passwords, streams, groups, memory and persistence."""

import hashlib
from collections.abc import Iterable, Iterator
from typing import Any

from components.mapping import Mapping
from components.mapping.backup_names import VALKEY_USER as BACKUP_USER
from components.valkey.acl import PROBE_USER
from components.valkey.component import streams_of
from components.valkey.deployment.users import EXPORTER_USER, NODE_USER, exporter_rules
from components.valkey.plan import maintenance_plan
from components.valkey.render import MAINTENANCE_USER, MARK_PREFIX, acl_rules, maintenance_rules, render_conf
from pods.valkey_upkeep.groups import groups, streams
from pods.valkey_upkeep.keyspace import Keyspace
from pods.valkey_upkeep.resp import Connection, pairs
from provider.difference import Difference
from provider.errors import ProviderError
from tools.operations.drift_finding import DriftFinding
from tools.operations.stack import Stack
from tools.operations.upkeep import connected
from tools.operations.valkey_rules import CHANNELS, NO_KEY, Rules, parse

STORE = "valkey"
SHOWN_COMMANDS = 6
# Directives of the rendered configuration that depend on the machine, not on the mapping.
MACHINE_DIRECTIVES = frozenset(
    {"bind", "port", "dir", "aclfile", "logfile", "daemonize", "protected-mode", "tcp-keepalive"}
)


def check(stack: Stack) -> list[DriftFinding]:
    """Return every difference. Raises ``ProviderError`` if the server or the stack's outputs cannot be read."""
    mapping = stack.mapping
    passwords = _passwords(stack, mapping)
    with connected(stack) as connection:
        found = [
            *_users(connection, mapping, passwords, stack.valkey.user, stack.valkey.password),
            *_streams(connection, mapping),
            *_settings(connection, mapping),
        ]
    return [DriftFinding(STORE, Difference(sentence)) for sentence in found]


def _passwords(stack: Stack, mapping: Mapping) -> dict[str, str]:
    """User -> SHA-256 of its password."""
    secrets: dict[str, dict[str, str]] = stack.outputs.get("secrets", {})
    return {name: _sha256(secrets[name]["valkey_password"]) for name in mapping.users if name in secrets}


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _users(
    connection: Connection, mapping: Mapping, passwords: dict[str, str], admin: str, admin_password: str
) -> Iterator[str]:
    live = {}
    for line in connection.call("ACL", "LIST"):
        _, name, words = line.split(" ", 2)
        live[name] = parse(words)
    for name in mapping.users:
        if name not in live:
            yield f"user {name} is missing"
            continue
        if name not in passwords:
            yield f"user {name} has a password, but the stack has none for it; run pulumi up"
        yield from _user(name, live[name], acl_rules(mapping, name), passwords.get(name))
    yield from _own_users(live, mapping, admin, _sha256(admin_password))
    # The rules of the nodes' user depend on the deployment.
    known = {*mapping.users, *_own_rules(mapping), NODE_USER, admin, "default"}
    for name in sorted(live.keys() - known):
        if not name.startswith(MARK_PREFIX):
            yield f"user {name} is not in the mapping{_power(live[name])}"
        elif live[name].enabled or live[name].uses:
            yield f"user {name} only identifies a version of users.acl, but it is on or has permissions"


def _own_rules(mapping: Mapping) -> dict[str, str]:
    """Users of the deployment (not of a module) -> ACL rules."""
    return {
        PROBE_USER: "+ping",
        BACKUP_USER: " ".join(acl_rules(mapping, BACKUP_USER)),
        MAINTENANCE_USER: " ".join(maintenance_rules(mapping)),
        EXPORTER_USER: " ".join(exporter_rules()),
    }


def _own_users(live: dict[str, Rules], mapping: Mapping, admin: str, admin_sha256: str) -> Iterator[str]:
    """Compare the users of the deployment that exist."""
    default = live.get("default")
    if default is not None and default.enabled:
        password = "" if default.needs_password else " and needs no password"
        yield f"user default is on{password}: it must be off{_power(default)}"
    for name, rules in _own_rules(mapping).items():
        if name in live:
            yield from _compare_rules(name, live[name], parse(rules))
            if not live[name].needs_password and name != PROBE_USER:
                yield f"user {name} needs no password"
    if admin in live and live[admin].hashes != {admin_sha256}:
        yield f"user {admin} must have exactly one password, the stack's"


def _power(rules: Rules) -> str:
    return "; it has admin permissions" if rules.enabled and rules.admin_like else ""


def _user(name: str, live: Rules, rules: Iterable[str], sha256: str | None) -> Iterator[str]:
    if not live.enabled:
        yield f"user {name} is off"
    if not live.needs_password:
        yield f"user {name} needs no password"
    elif sha256 is not None and sha256 not in live.hashes:
        yield f"user {name} has another password than the stack's"
    if live.needs_password and len(live.hashes) > 1:
        yield f"user {name} has {len(live.hashes)} passwords"
    yield from _compare_rules(name, live, parse(" ".join(rules)))


def _compare_rules(name: str, live: Rules, wanted: Rules) -> Iterator[str]:
    yield from _describe_rules(f"user {name} may run", live.uses - wanted.uses, "not in the mapping")
    # A user with all commands lacks none.
    if not any(command == "@all" for _, command in live.uses):
        yield from _describe_rules(f"user {name} may not run", wanted.uses - live.uses, "in the mapping")


def _describe_rules(beginning: str, uses: frozenset[tuple[str, str]], ending: str) -> Iterator[str]:
    for key in sorted({key for key, _ in uses}):
        commands = sorted(command.upper() for place, command in uses if place == key)
        more = f" and {len(commands) - SHOWN_COMMANDS} more" if len(commands) > SHOWN_COMMANDS else ""
        shown = ", ".join(commands[:SHOWN_COMMANDS]) + more
        where = {NO_KEY: "", CHANNELS: " as channels"}.get(key, f" on {key}")
        yield f"{beginning} {shown}{where}: {ending}"


def _streams(connection: Connection, mapping: Mapping) -> Iterator[str]:
    live = set(streams(connection))
    wanted = streams_of(mapping)
    for name, names in wanted.items():
        if name not in live:
            kind = connection.call("TYPE", name)
            yield f"stream {name} is missing" if kind == "none" else f"key {name} is a {kind}, not a stream"
            continue
        found = {group["name"] for group in groups(connection, name)}
        for group in names:
            if group not in found:
                yield f"consumer group {group} of stream {name} is missing"
        for group in sorted(found - set(names)):
            yield f"consumer group {group} of stream {name} is not in the mapping"
    keyspace = Keyspace(maintenance_plan(mapping))
    for name in sorted(live - wanted.keys()):
        pattern = keyspace.of(name)
        if pattern is None or "stream" not in pattern.types:
            yield f"stream {keyspace.shown(name, pattern)} is not in the mapping"


def _settings(connection: Connection, mapping: Mapping) -> Iterator[str]:
    for name, wanted in _directives(mapping).items():
        answer: dict[str, Any] = pairs(connection.call("CONFIG", "GET", name))
        if name not in answer:
            raise ProviderError(f"{connection.endpoint}: it has no setting {name}; the server is too old")
        live = answer[name]
        # A stack may be stricter than the mapping's default.
        if live != wanted and (name, live) != ("appendfsync", "always"):
            yield f"setting {name} is {live or 'empty'}, not {wanted or 'empty'}"


def _directives(mapping: Mapping) -> dict[str, str]:
    """Directives of ``valkey.conf`` that the mapping sets -> value, as ``CONFIG GET`` returns it."""
    conf = render_conf(mapping, directory="/", port=1, bind="", aclfile="/")
    lines = [line.split(" ", 1) for line in conf.splitlines() if line and not line.startswith("#")]
    wanted = {name: value.strip('"') for name, value in lines if name not in MACHINE_DIRECTIVES}
    return {**wanted, "maxmemory": str(mapping.valkey.memory.maxmemory.bytes)}
