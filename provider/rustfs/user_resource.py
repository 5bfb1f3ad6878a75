"""``ObjectStoreUser``: a module's access key on an S3-compatible server with the one policy it has, as a Pulumi resource.

The secret key is generated here and lives in the stack's state, encrypted. Another ``rotate`` gives it another one.
On AWS there is no such resource: users, policies and keys are the official provider's.
"""

import secrets
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

from components.rustfs.policy_documents import Document, by_name, document_of
from provider.errors import report_in_one_line
from provider.rustfs import admin
from provider.rustfs.store import Store

INPUTS = ("user", "rotate", "policy", "state")
AS_IT_SHOULD_BE = "enabled"
SECRET_KEY_BYTES = 30  # 40 characters, the most that some servers take


class ObjectStoreUserProvider(ResourceProvider):
    """Create, update in place, refresh and delete. The resource's id is the access key, as is the policy's name."""

    serialize_as_secret_always = False
    _store: Store

    def configure(self, req: ConfigureRequest) -> None:
        report_in_one_line()
        self._store = Store.configured(req)

    def check(self, _olds: dict[str, Any], news: dict[str, Any]) -> CheckResult:
        failures = []
        if news["user"] == self._store.access_key:
            failures = [CheckFailure("user", f"user {news['user']!r} is the one that provisions; name it otherwise")]
        return CheckResult(news, failures)

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        changed = any(_olds.get(key) != _news[key] for key in INPUTS)
        return DiffResult(changes=changed, replaces=["user"] if _olds["user"] != _news["user"] else [])

    def create(self, props: dict[str, Any]) -> CreateResult:
        # A user that a killed run left gets this key, too: its own was lost with that run.
        outs = {**_inputs(props), "secret_key": secrets.token_urlsafe(SECRET_KEY_BYTES)}
        self._apply(outs)
        return CreateResult(props["user"], outs)

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        renewed = _olds.get("rotate") != _news["rotate"]
        secret_key = secrets.token_urlsafe(SECRET_KEY_BYTES) if renewed else _olds["secret_key"]
        outs = {**_inputs(_news), "secret_key": secret_key}
        self._apply(outs)
        return UpdateResult(outs)

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """The user as it is; the blank id when there is none."""
        server = admin.connect(self._store)
        user = server.users().get(id_)
        if user is None:
            return ReadResult("", {})
        found = {
            "user": id_,
            "rotate": props["rotate"],
            "policy": live_policy(server.policies(), id_, user),
            "state": state_of(self._store, id_, user, props["secret_key"]),
        }
        return ReadResult(id_, {**found, "secret_key": props["secret_key"]}, found)

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        server = admin.connect(self._store)
        server.remove_user(_id)
        server.remove_policy(_id)

    def _apply(self, outs: dict[str, Any]) -> None:
        server = admin.connect(self._store)
        # The policy first: a user never has another one than the mapping's.
        server.put_policy(outs["user"], document_of(outs["policy"]))
        server.put_user(outs["user"], outs["secret_key"])
        server.attach(outs["user"], outs["user"])


def _inputs(props: dict[str, Any]) -> dict[str, Any]:
    return {key: props[key] for key in INPUTS}


def live_policy(policies: dict[str, Document], name: str, user: dict[str, Any]) -> dict[str, Any]:
    """What the user may do, as ``policies.by_name`` has it, with each further policy and each group that it has."""
    attached = [part for part in str(user.get("policyName") or "").split(",") if part]
    statements: dict[str, Any] = {}
    if name in attached:
        statements = by_name(policies.get(name, {}))
    others = [f"policy {other}" for other in attached if other != name]
    return statements | dict.fromkeys(
        [*others, *(f"group {group}" for group in user.get("memberOf") or [])], "attached"
    )


def state_of(store: Store, access_key: str, user: dict[str, Any], secret_key: str) -> str:
    """``enabled`` when the user is, and its secret key is the one that the stack knows."""
    if user.get("status") != AS_IT_SHOULD_BE:
        return "disabled"
    return AS_IT_SHOULD_BE if store.accepts(access_key, secret_key) else "enabled with another secret key"


class ObjectStoreUser(Resource, module="storage", name="ObjectStoreUser"):
    """An access key ``user`` that may do what ``policy`` says; ``rotate`` is the mapping's.

    ``state`` is not an argument: a refresh finds a user that somebody disabled, or gave another key.
    """

    user: pulumi.Output[str]
    secret_key: pulumi.Output[str]

    def __init__(
        self, name: str, *, user: str, rotate: int, policy: Document, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        props = {
            "user": user,
            "rotate": rotate,
            "policy": by_name(policy),
            "state": AS_IT_SHOULD_BE,
            "secret_key": None,
        }
        options = pulumi.ResourceOptions(additional_secret_outputs=["secret_key"])
        super().__init__(ObjectStoreUserProvider(), name, props, pulumi.ResourceOptions.merge(opts, options))
