"""``stellaops:valkey:Users``: the users of all modules and services on a running server, as one resource.

For stacks with ``valkeyApply: direct``. It does not change users that it did not create: the admin, ``default``, the
health probe and users that somebody else added.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from components.valkey.acl import PROBE_USER, is_sha256, set_user
from provider.base.plugin import FoundResource, recording
from provider.base.schema import Failure, Properties, Property, step, strings
from provider.base.values import UNKNOWN
from provider.errors import ProviderError
from provider.valkey.kind import ValkeyKind

if TYPE_CHECKING:
    from provider.valkey.server import Client

ID = "valkey-users"
_ARGUMENT = re.compile(r"\([^)]*\)|\S+")

PROPERTIES: Properties = {
    "users": Property(
        "map",
        required=True,
        item=strings("list"),
        description="User name to the arguments of ACL SETUSER after reset, on and the password.",
    ),
    "passwordHashes": Property(
        "map",
        required=True,
        secret=True,
        item=Property(),
        description="User name to the SHA-256 of its password, in hex.",
    ),
    "canonicalRules": Property(
        "map",
        output=True,
        item=Property(),
        description="User name to its rules as the server formats them, which a refresh compares.",
    ),
}


class ValkeyUsers(ValkeyKind):
    """Users, applied with ``ACL SETUSER name reset ...``, which replaces a user at once and keeps its connections."""

    token = "stellaops:valkey:Users"  # noqa: S105 - a type
    description = "ACL users on a running Valkey. Import by comma-separated user names."
    properties = PROPERTIES

    def validate(self, inputs: Mapping[str, Any], old: Mapping[str, Any]) -> Iterator[Failure]:
        users, hashes = inputs.get("users"), inputs.get("passwordHashes")
        for name in users or ():
            if name in self._reserved():
                yield Failure(step("users", name), f"user name {name!r} is reserved; give the module another name")
            elif hashes is not None and name not in hashes:
                yield Failure(step("passwordHashes", name), f"user {name!r} has no password hash")
        for name, value in (hashes or {}).items():
            if not is_sha256(value):
                # Do not show the value, which may be a misplaced password.
                yield Failure(step("passwordHashes", name), "expected a SHA-256, 64 lower-case hexadecimal digits")
            elif users is not None and name not in users:
                yield Failure(step("users", name), f"there is a password hash of {name!r}, but no such user")

    def planned(self, inputs: Mapping[str, Any], state: Mapping[str, Any] | None) -> dict[str, Any]:
        if state is None or inputs.get("users") == state.get("users"):
            return {}
        return {"canonicalRules": UNKNOWN}

    def create(self, inputs: dict[str, Any]) -> FoundResource:
        with recording() as record, self._server.connection() as client:
            client.ping()
            record.unfinished = FoundResource(ID, {**inputs, "canonicalRules": {}})
            return FoundResource(ID, self._apply(client, inputs, removed=set()))

    def update(self, id_: str, state: dict[str, Any], inputs: dict[str, Any]) -> FoundResource:
        removed = state["users"].keys() - inputs["users"].keys()
        # The update may have created its users when it fails.
        both = {name: {**inputs[name], **state[name]} for name in ("users", "passwordHashes")}
        with recording() as record, self._server.connection() as client:
            client.ping()
            record.unfinished = FoundResource(id_, {**state, **both})
            return FoundResource(id_, self._apply(client, inputs, removed=removed))

    def read(self, id_: str, state: dict[str, Any]) -> FoundResource | None:
        """Return the users that still exist. A user that was changed has its rules as the server formats them."""
        expected = state["users"] if state else self._imported(id_)
        last_rules = state.get("canonicalRules", {})
        with self._server.connection() as client:
            live = {name: user for name, user in _fetch(client).items() if name in expected}
        if not state and (missing := sorted(expected.keys() - live.keys())):
            raise ProviderError(f"{self._server.place}: no such user: {', '.join(missing)}")
        if not live:
            return None
        users, hashes, canonical = {}, {}, {}
        for name, (rules, passwords) in live.items():
            users[name] = expected[name] if rules == last_rules.get(name) else _ARGUMENT.findall(rules)
            hashes[name] = passwords
            canonical[name] = last_rules.get(name, rules)
        return FoundResource(id_, {"users": users, "passwordHashes": hashes, "canonicalRules": canonical})

    def delete(self, id_: str, state: dict[str, Any]) -> None:
        with self._server.connection() as client:
            try:
                self._drop(client, state["users"].keys())
                _save(client)
            except Exception:
                # The state keeps the users, so a program that declares them again finds no difference.
                with suppress(Exception):
                    self._apply(client, state, removed=set())
                raise

    def _imported(self, id_: str) -> dict[str, list[str]]:
        names = [name.strip() for name in id_.split(",")]
        for name in names:
            if name in self._reserved():
                raise ProviderError(f"user {name!r} does not belong to a module; leave it out of the import")
        return {name: [] for name in names}

    def _apply(self, client: "Client", inputs: dict[str, Any], removed: set[str]) -> dict[str, Any]:
        users, hashes = inputs["users"], inputs["passwordHashes"]
        for name, rules in users.items():
            client.execute_command("ACL SETUSER", name, *set_user(hashes[name], rules))
        self._drop(client, removed)
        _save(client)
        canonical = {name: rules for name, (rules, _) in _fetch(client).items() if name in users}
        return {"users": users, "passwordHashes": hashes, "canonicalRules": canonical}

    def _drop(self, client: "Client", names: Iterable[str]) -> None:
        if unreserved := sorted(set(names) - self._reserved()):
            client.execute_command("ACL DELUSER", *unreserved)

    def _reserved(self) -> set[str]:
        return {"default", PROBE_USER, self._admin_user}


def _fetch(client: "Client") -> dict[str, tuple[str, str]]:
    """Return user -> its rules as the server formats them, and its password hashes."""
    users = {}
    for line in client.execute_command("ACL LIST"):
        _, name, *words = line.split(" ")
        # Key and channel patterns start with ~ % or &, so a word that starts with # is a password hash.
        hashes = [word[1:] for word in words if word.startswith("#")]
        users[name] = " ".join(word for word in words if not word.startswith("#")), " ".join(sorted(hashes))
    return users


def _save(client: "Client") -> None:
    """Save the users to the ACL file. Without one, a restart of the server loses them, which a refresh detects."""
    if client.config_get("aclfile").get("aclfile"):
        client.execute_command("ACL SAVE")
