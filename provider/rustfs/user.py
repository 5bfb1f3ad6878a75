"""``stellaops:objectstore:User``: a module's access key on an S3-compatible server, with its only policy.

The secret key is generated here and kept encrypted in the stack's state. A change of ``rotate`` generates a new one.
Stacks on AWS use the official provider's users, policies and keys instead.
"""

import secrets
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from components.rustfs.policy_documents import Document, by_name, document_of
from provider.base.plugin import FoundResource, recording
from provider.base.schema import Failure, Properties, Property, step
from provider.base.values import UNKNOWN
from provider.errors import ProviderError
from provider.rustfs import admin
from provider.rustfs.kind import ObjectStoreKind

if TYPE_CHECKING:
    from provider.rustfs.store import Store

ENABLED = "enabled"
SECRET_KEY_BYTES = 30  # 40 characters, the maximum of some servers

PROPERTIES: Properties = {
    "user": Property(required=True, force_new=True, description="The access key, which is also the policy's name."),
    "rotate": Property(
        "integer",
        required=True,
        minimum=0,
        description="Increase to rotate the secret key; 0 stands for an imported user whose key is unknown.",
    ),
    "policy": Property(
        "map", required=True, item=Property("object"), description="Statement name to statement of the policy."
    ),
    "state": Property(
        default=ENABLED,
        choices=(ENABLED,),
        description="enabled; after a refresh also disabled, or enabled with another secret key.",
    ),
    "secretKey": Property(output=True, secret=True, description="Generated, 40 characters."),
}


class ObjectStoreUser(ObjectStoreKind):
    """An access key with its policy, which is a member of no group. The access key is also the resource's id and the policy's name."""

    token = "stellaops:objectstore:User"  # noqa: S105 - a type
    description = "An access key of an S3-compatible server with its only policy. Import by the access key."
    properties = PROPERTIES

    def validate(self, inputs: Mapping[str, Any], old: Mapping[str, Any]) -> Iterator[Failure]:
        if inputs.get("user") == self._admin_access_key:
            yield Failure("user", f"user {inputs['user']!r} is the admin's access key; give the user another name")
        for name, statement in inputs.get("policy", {}).items():
            if not isinstance(statement, dict) or not statement.keys() >= {"Effect", "Action", "Resource"}:
                yield Failure(step("policy", name), "expected a statement with Effect, Action and Resource")

    def planned(self, inputs: Mapping[str, Any], state: Mapping[str, Any] | None) -> dict[str, Any]:
        if state is None or not _keeps_key(inputs, state):
            return {"secretKey": UNKNOWN}
        return {}

    def create(self, inputs: dict[str, Any]) -> FoundResource:
        # If a killed run left the user behind, its secret key was lost with that run. This replaces it.
        created = FoundResource(inputs["user"], {**inputs, "secretKey": secrets.token_urlsafe(SECRET_KEY_BYTES)})
        with recording() as record:
            server = admin.connect(self._store)
            record.unfinished = created
            _apply(server, created.outputs)
        return created

    def update(self, id_: str, state: dict[str, Any], inputs: dict[str, Any]) -> FoundResource:
        unchanged = state["secretKey"] if _keeps_key(inputs, state) else None
        updated = FoundResource(id_, {**inputs, "secretKey": unchanged or secrets.token_urlsafe(SECRET_KEY_BYTES)})
        _apply(admin.connect(self._store), updated.outputs)
        return updated

    def read(self, id_: str, state: dict[str, Any]) -> FoundResource | None:
        store = self._store
        server = admin.connect(store)
        user = server.users().get(id_)
        if user is None:
            return None
        outputs = {
            "user": id_,
            "rotate": state.get("rotate", 0),
            "policy": live_policy(server.policies(), id_, user),
            "state": state_of(store, id_, user, state.get("secretKey")),
            "secretKey": state.get("secretKey"),
        }
        return FoundResource(id_, outputs)

    def delete(self, id_: str, state: dict[str, Any]) -> None:
        server = admin.connect(self._store)
        try:
            server.remove_user(id_)
            server.remove_policy(id_)
        except ProviderError:
            # The state keeps the user, so a program that declares it again finds no difference.
            if state.get("secretKey"):
                with suppress(ProviderError):
                    _apply(server, state)
            raise


def _apply(server: admin.Admin, outputs: Mapping[str, Any]) -> None:
    user = outputs["user"]
    # Set the policy first, so that an old policy of that name is never attached to the user.
    server.put_policy(user, document_of(outputs["policy"]))
    server.put_user(user, outputs["secretKey"])
    server.attach(user, user)
    for group in memberships(server.users().get(user, {})):
        server.leave_group(user, group)


def _keeps_key(inputs: Mapping[str, Any], state: Mapping[str, Any]) -> bool:
    return inputs.get("rotate") == state.get("rotate") and bool(state.get("secretKey"))


def live_policy(policies: dict[str, Document], name: str, user: dict[str, Any]) -> dict[str, Any]:
    """Return the user's statements as ``policy_documents.by_name`` does, plus an entry per additional policy and group."""
    attached = [part for part in str(user.get("policyName") or "").split(",") if part]
    statements: dict[str, Any] = {}
    if name in attached:
        statements = by_name(policies.get(name, {}))
    policies_and_groups = [
        *(f"policy {other}" for other in attached if other != name),
        *(f"group {group}" for group in memberships(user)),
    ]
    return statements | dict.fromkeys(policies_and_groups, "attached")


def memberships(user: dict[str, Any]) -> list[str]:
    """The groups of a user in the form of ``Admin.users``."""
    return list(user.get("memberOf") or [])


def state_of(store: "Store", access_key: str, user: dict[str, Any], secret_key: str | None) -> str:
    """Return ``enabled``, ``disabled`` or ``enabled with another secret key``. If ``secret_key`` is None, the stack does
    not know the key, and it is not checked."""
    if user.get("status") != ENABLED:
        return "disabled"
    return ENABLED if secret_key is None or store.accepts(access_key, secret_key) else "enabled with another secret key"
