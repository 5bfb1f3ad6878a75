"""Users, their passwords and their ACL rules."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from components.mapping import Mapping
from components.mapping.backup_names import VALKEY_USER as BACKUP_USER
from components.valkey.acl import PROBE_USER
from components.valkey.deployment.users import EXPORTER_USER, NODE_USER, exporter_rules
from components.valkey.render import MAINTENANCE_USER, MARK_PREFIX, acl_rules, maintenance_rules
from pods.valkey_upkeep.resp import Connection
from provider.difference import BY_UP, Difference
from tools.operations.drift_valkey.rules import CHANNELS, NO_KEY, Rules, parse
from tools.operations.stack import Stack
from tools.quoting import command

SHOWN_COMMANDS = 6
# For users that the server reads from its ACL file only.
LOAD = command("ACL", "LOAD")
PROBE_RULES = ("resetchannels", "+ping")


def differences(connection: Connection, stack: Stack) -> Iterator[Difference]:
    live = {}
    for line in connection.call("ACL", "LIST"):
        _, name, words = line.split(" ", 2)
        live[name] = parse(words)
    return _Comparison(stack, live).differences()


@dataclass(frozen=True)
class _Comparison:
    stack: Stack
    live: dict[str, Rules]

    @property
    def _mapping(self) -> Mapping:
        return self.stack.mapping

    @property
    def _remedy(self) -> str:
        """The remedy for users of modules and services: `up` replaces them, or writes them to the ACL file."""
        return BY_UP if self.stack.settings.valkey.apply == "direct" else LOAD

    def differences(self) -> Iterator[Difference]:
        passwords = self._passwords()
        for name in self._mapping.users:
            if name not in self.live:
                yield Difference(f"user {name} is missing", self._remedy)
            elif name not in passwords:
                yield Difference(f"user {name} has a password, but the stack has none for it")
                yield from self._compare(name, None, acl_rules(self._mapping, name), self._remedy)
            else:
                yield from self._compare(name, passwords[name], acl_rules(self._mapping, name), self._remedy)
        yield from self._backup_user()
        yield from self._deployment_users()
        yield from self._admin()
        yield from self._default()
        yield from self._strangers()

    def _passwords(self) -> dict[str, str]:
        """User -> SHA-256 of its password."""
        secrets = self._secrets()
        return {name: _sha256(secrets[name]["valkey_password"]) for name in self._mapping.users if name in secrets}

    def _secrets(self) -> dict[str, dict[str, str]]:
        secrets: dict[str, dict[str, str]] = self.stack.outputs.get("secrets", {})
        return secrets

    def _compare(
        self, name: str, sha256: str | None, rules: Iterable[str], remedy: str, *, password: bool = True
    ) -> Iterator[Difference]:
        for sentence in _sentences(name, self.live[name], sha256, parse(" ".join(rules)), password=password):
            yield Difference(sentence, remedy)

    def _backup_user(self) -> Iterator[Difference]:
        if BACKUP_USER in self.live:
            yield from self._compare(BACKUP_USER, None, acl_rules(self._mapping, BACKUP_USER), self._remedy)
        elif self.stack.settings.backups.mode != "none" and self.stack.outputs:
            yield Difference(f"user {BACKUP_USER} is missing", self._remedy)

    def _deployment_users(self) -> Iterator[Difference]:
        """Users that only some deployments have. The rules of the nodes' user depend on the deployment."""
        rules = {MAINTENANCE_USER: maintenance_rules(self._mapping), EXPORTER_USER: exporter_rules()}
        for name, wanted in rules.items():
            if name in self.live:
                yield from self._compare(name, None, wanted, LOAD)
        if PROBE_USER in self.live:
            reset = command("ACL", "SETUSER", PROBE_USER, "reset", "on", "nopass", *PROBE_RULES)
            yield from self._compare(PROBE_USER, None, PROBE_RULES, reset, password=False)

    def _admin(self) -> Iterator[Difference]:
        server = self.stack.valkey
        admin = self.live.get(server.user)
        if admin is None:
            return
        # A remedy with the password's hash would show it.
        if admin.hashes != {_sha256(server.password)} or not admin.needs_password:
            yield Difference(f"user {server.user} must have exactly one password, the stack's", LOAD)

    def _default(self) -> Iterator[Difference]:
        default = self.live.get("default")
        if default is None or self.stack.valkey.user == "default":
            return
        remedy = command("ACL", "SETUSER", "default", "reset", "off")
        if default.enabled:
            password = "" if default.needs_password else " and needs no password"
            yield Difference(f"user default is on{password}: it must be off{_power(default)}", remedy)
        elif default.hashes:
            yield Difference("user default has a password: it must be off and have none", remedy)

    def _strangers(self) -> Iterator[Difference]:
        known = {*self._mapping.users, BACKUP_USER, MAINTENANCE_USER, EXPORTER_USER, NODE_USER, PROBE_USER, "default"}
        for name in sorted(self.live.keys() - known - {self.stack.valkey.user}):
            rules = self.live[name]
            if not name.startswith(MARK_PREFIX):
                if name in self._secrets():
                    yield Difference(f"user {name} is no longer in the mapping, and `up` removes it{_power(rules)}")
                    continue
                state = "" if rules.enabled else " (it is off)"
                yield Difference(
                    f"user {name}{state} is not in the mapping, and `up` does not remove it{_power(rules)}",
                    command("ACL", "DELUSER", name),
                )
            elif rules.enabled or rules.uses:
                yield Difference(
                    f"user {name} only identifies a version of users.acl, but it is on or has permissions",
                    command("ACL", "SETUSER", name, "reset", "off"),
                )


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _power(rules: Rules) -> str:
    return "; it has admin permissions" if rules.enabled and rules.admin_like else ""


def _sentences(name: str, live: Rules, sha256: str | None, wanted: Rules, *, password: bool) -> Iterator[str]:
    if not live.enabled:
        yield f"user {name} is off"
    if password:
        if not live.needs_password:
            yield f"user {name} needs no password"
        elif sha256 is not None and sha256 not in live.hashes:
            yield f"user {name} has another password than the stack's"
        if live.needs_password and len(live.hashes) > 1:
            yield f"user {name} has {len(live.hashes)} passwords"
    for word in sorted(live.other - wanted.other):
        yield f"user {name} has the rule {word}: not in the mapping"
    yield from _describe_rules(f"user {name} may run", live.uses - wanted.uses, "not in the mapping")
    # A user with all commands lacks none.
    if not any(use == "@all" for _, use in live.uses):
        yield from _describe_rules(f"user {name} may not run", wanted.uses - live.uses, "in the mapping")


def _describe_rules(beginning: str, uses: frozenset[tuple[str, str]], ending: str) -> Iterator[str]:
    for key in sorted({key for key, _ in uses}):
        commands = sorted(use.upper() if place != CHANNELS else use for place, use in uses if place == key)
        more = f" and {len(commands) - SHOWN_COMMANDS} more" if len(commands) > SHOWN_COMMANDS else ""
        shown = ", ".join(commands[:SHOWN_COMMANDS]) + more
        where = {NO_KEY: "", CHANNELS: " as channels"}.get(key, f" on {key}")
        yield f"{beginning} {shown}{where}: {ending}"
