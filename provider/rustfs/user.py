"""``stellaops:objectstore:User``: a module's access key on an S3-compatible server with the one policy it has.

The secret key is generated here and lives in the stack's state, encrypted. Another ``rotate`` gives it another one.
On AWS there is no such resource: users, policies and keys are the official provider's.
"""

import secrets
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from components.rustfs.policy_documents import Document, by_name, document_of
from provider.base.plugin import FoundResource
from provider.base.schema import Failure, Properties, Property, step
from provider.base.values import UNKNOWN
from provider.rustfs import admin
from provider.rustfs.kind import ObjectStoreKind

if TYPE_CHECKING:
    from provider.rustfs.store import Store

ENABLED = "enabled"
SECRET_KEY_BYTES = 30  # 40 characters, the most that some servers take

PROPERTIES: Properties = {
    "user": Property(required=True, force_new=True, description="The access key, which is also the policy's name."),
    "rotate": Property(
        "integer",
        required=True,
        minimum=0,
        description="Increase to get a new secret key; 0 stands for an imported user whose key is not known.",
    ),
    "policy": Property(
        "map", required=True, item=Property("object"), description="Statement name to statement of the policy."
    ),
    "state": Property(
        default=ENABLED,
        choices=(ENABLED,),
        description="enabled; a refresh also finds disabled, or enabled with another secret key.",
    ),
    "secretKey": Property(output=True, secret=True, description="Generated, 40 characters."),
}


class ObjectStoreUser(ObjectStoreKind):
    """Create, update in place, refresh and delete. The resource's id is the access key, as is the policy's name."""

    token = "stellaops:objectstore:User"  # noqa: S105 - a type
    description = "An access key of an S3-compatible server with its one policy. Import by the access key."
    properties = PROPERTIES

    def validate(self, inputs: Mapping[str, Any], old: Mapping[str, Any]) -> Iterator[Failure]:
        if inputs.get("user") == self._root_access_key:
            yield Failure("user", f"user {inputs['user']!r} is the one that provisions; give the user another name")
        for name, statement in inputs.get("policy", {}).items():
            if not isinstance(statement, dict) or not statement.keys() >= {"Effect", "Action", "Resource"}:
                yield Failure(step("policy", name), "expected a statement with Effect, Action and Resource")

    def planned(self, inputs: Mapping[str, Any], state: Mapping[str, Any] | None) -> dict[str, Any]:
        if state is None or not _keeps_key(inputs, state):
            return {"secretKey": UNKNOWN}
        return {}

    def create(self, inputs: dict[str, Any]) -> FoundResource:
        # A user that a killed run left gets this key, too: its own was lost with that run.
        return self._apply(inputs, secrets.token_urlsafe(SECRET_KEY_BYTES))

    def update(self, id_: str, state: dict[str, Any], inputs: dict[str, Any]) -> FoundResource:
        kept = state["secretKey"] if _keeps_key(inputs, state) else None
        return self._apply(inputs, kept or secrets.token_urlsafe(SECRET_KEY_BYTES))

    def read(self, id_: str, state: dict[str, Any]) -> FoundResource | None:
        store = self._store
        server = admin.connect(store)
        user = server.users().get(id_)
        if user is None:
            return None
        found = {
            "user": id_,
            "rotate": state.get("rotate", 0),
            "policy": live_policy(server.policies(), id_, user),
            "state": state_of(store, id_, user, state.get("secretKey")),
            "secretKey": state.get("secretKey"),
        }
        return FoundResource(id_, found)

    def delete(self, id_: str, state: dict[str, Any]) -> None:
        server = admin.connect(self._store)
        server.remove_user(id_)
        server.remove_policy(id_)

    def _apply(self, inputs: dict[str, Any], secret_key: str) -> FoundResource:
        user = inputs["user"]
        server = admin.connect(self._store)
        # The policy first: a user never has another one than the mapping's.
        server.put_policy(user, document_of(inputs["policy"]))
        server.put_user(user, secret_key)
        server.attach(user, user)
        return FoundResource(user, {**inputs, "secretKey": secret_key})


def _keeps_key(inputs: Mapping[str, Any], state: Mapping[str, Any]) -> bool:
    return inputs.get("rotate") == state.get("rotate") and bool(state.get("secretKey"))


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


def state_of(store: "Store", access_key: str, user: dict[str, Any], secret_key: str | None) -> str:
    """``enabled`` when the user is and has ``secret_key``, which is None where the stack does not know it."""
    if user.get("status") != ENABLED:
        return "disabled"
    return ENABLED if secret_key is None or store.accepts(access_key, secret_key) else "enabled with another secret key"
