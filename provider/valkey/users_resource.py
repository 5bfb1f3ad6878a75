"""``ValkeyUsers``: the modules' and services' users on a running server, as one Pulumi resource.

For stacks with ``valkeyApply: direct``. It leaves alone what it did not make: the admin, ``default``, the probe and
users that somebody else added.
"""

from typing import Any

import pulumi
from pulumi.dynamic import (
    CheckFailure,
    CheckResult,
    ConfigureRequest,
    CreateResult,
    DiffResult,
    ReadResult,
    Resource,
    ResourceProvider,
    UpdateResult,
)

from components.valkey.acl import PROBE_USER, set_user
from provider.errors import report_in_one_line
from provider.valkey.server import Client, Server


class ValkeyUsersProvider(ResourceProvider):
    """Applies users with ``ACL SETUSER name reset ...``: a user is replaced at once, its connections stay."""

    serialize_as_secret_always = False
    _server: Server

    def configure(self, req: ConfigureRequest) -> None:
        report_in_one_line()
        self._server = Server.configured(req)

    def check(self, _olds: dict[str, Any], news: dict[str, Any]) -> CheckResult:
        taken = {"default", PROBE_USER, self._server.user} & set(news["users"])
        failures = [
            CheckFailure("users", f"user {name!r} is not a module's; name the module otherwise") for name in taken
        ]
        return CheckResult(news, failures)

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        return DiffResult(changes=any(_olds.get(key) != _news[key] for key in ("users", "hashes")))

    def create(self, props: dict[str, Any]) -> CreateResult:
        return CreateResult("valkey-users", self._apply(props, gone=set()))

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        return UpdateResult(self._apply(_news, gone=set(_olds["users"]) - set(_news["users"])))

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """Users as they are: one that went is left out; of one that was changed, the server's own words stand."""
        with self._server.connection() as client:
            live = {name: user for name, user in _fetch(client).items() if name in props["users"]}
        if not live:
            return ReadResult("", {})
        users, hashes, canonical = {}, {}, {}
        for name, (rules, passwords) in live.items():
            unchanged = rules == props["canonical"].get(name)
            users[name] = props["users"][name] if unchanged else [rules]
            hashes[name] = passwords
            canonical[name] = props["canonical"].get(name, rules)
        return ReadResult(
            id_, {"users": users, "hashes": hashes, "canonical": canonical}, {"users": users, "hashes": hashes}
        )

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        with self._server.connection() as client:
            _drop(client, set(_props["users"]))
            _save(client)

    def _apply(self, props: dict[str, Any], gone: set[str]) -> dict[str, Any]:
        users, hashes = props["users"], props["hashes"]
        with self._server.connection() as client:
            for name, rules in users.items():
                client.execute_command("ACL SETUSER", name, *set_user(hashes[name], tuple(rules)))
            _drop(client, gone - {self._server.user, "default", PROBE_USER})
            _save(client)
            canonical = {name: rules for name, (rules, _) in _fetch(client).items() if name in users}
        return {"users": users, "hashes": hashes, "canonical": canonical}


def _fetch(client: Client) -> dict[str, tuple[str, str]]:
    """User -> its rules as the server itself writes them, and its password hashes."""
    users = {}
    for line in client.execute_command("ACL LIST"):
        _, name, *words = line.split(" ")
        # Keys and channels begin with ~ % &, so that a bare # is a password.
        hashes = [word[1:] for word in words if word.startswith("#")]
        users[name] = " ".join(word for word in words if not word.startswith("#")), " ".join(sorted(hashes))
    return users


def _drop(client: Client, names: set[str]) -> None:
    if names:
        client.execute_command("ACL DELUSER", *sorted(names))


def _save(client: Client) -> None:
    """Without an ACL file the users last until the server restarts; a refresh then finds them gone."""
    if client.config_get("aclfile").get("aclfile"):
        client.execute_command("ACL SAVE")


class ValkeyUsers(Resource, module="storage", name="ValkeyUsers"):
    """Users by name with their rules (arguments of ``ACL SETUSER``), and the SHA-256 of each one's password."""

    def __init__(
        self,
        name: str,
        *,
        users: dict[str, list[str]],
        hashes: dict[str, pulumi.Input[str]],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        props = {"users": users, "hashes": pulumi.Output.secret(hashes), "canonical": None}
        options = pulumi.ResourceOptions(additional_secret_outputs=["hashes"])
        super().__init__(ValkeyUsersProvider(), name, props, pulumi.ResourceOptions.merge(opts, options))
