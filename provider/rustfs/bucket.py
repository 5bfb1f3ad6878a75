"""``stellaops:objectstore:Bucket``: a bucket with its lifecycle rules on an S3-compatible server.

For ``objectStore:target: rustfs``, because the official resources for buckets and lifecycle rules send requests that
only AWS supports. Versioning, policies and object-lock defaults are separate resources.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from components.rustfs.lifecycle import Rules, left_to_server, to_s3
from provider.base import log
from provider.base.plugin import FoundResource, UpdatePlan, plain, recording
from provider.base.schema import Failure, Properties, Property, step
from provider.base.values import UNKNOWN, has_unknown
from provider.errors import ProviderError
from provider.rustfs import bucket_adoption, emptying, guard
from provider.rustfs.kind import ObjectStoreKind
from provider.rustfs.store import code, is_missing_bucket
from provider.settings import ProviderSettings

if TYPE_CHECKING:
    from provider.rustfs.store import Client

MAX_RULES = 1000  # S3's limit
# A change of these updates nothing: a separate resource sets the guard policy, and only create uses ``adopt``.
IGNORED = ("guard", "adopt")

PROPERTIES: Properties = {
    "bucket": Property(required=True, force_new=True, description="The bucket's name."),
    "objectLock": Property(
        "boolean", default=False, force_new=True, description="Whether the bucket is created with object lock."
    ),
    "rules": Property(
        "map",
        required=True,
        item=Property("object"),
        description="Lifecycle rule ID to its Prefix and actions in S3's terms; counts are in days.",
    ),
    "forceDestroy": Property(
        "boolean", default=False, description="Whether the bucket may be deleted with everything in it."
    ),
    "guard": Property(description="Text of the guard policy, which is lifted while the rules change."),
    "adopt": Property(
        "boolean", default=False, description="Whether create may adopt an existing bucket that holds objects."
    ),
    "leftToServer": Property(
        "list",
        item=Property(),
        output=True,
        description="IDs of rules that are not sent, because the server applies the same behaviour by itself.",
    ),
}


class Bucket(ObjectStoreKind):
    """A bucket with its lifecycle rules. The resource's id is the bucket's name."""

    token = "stellaops:objectstore:Bucket"  # noqa: S105 - a type
    description = "A bucket with its lifecycle rules on an S3-compatible server. Import by the bucket's name."
    properties = PROPERTIES

    def __init__(self, settings: ProviderSettings) -> None:
        super().__init__(settings)
        # Buckets of this run that are deleted before they are created, so that none of their settings is adopted.
        self._deleted_first: set[str] = set()

    def validate(self, inputs: Mapping[str, Any], old: Mapping[str, Any]) -> Iterator[Failure]:
        rules = inputs.get("rules", {})
        if len(rules) > MAX_RULES:
            yield Failure("rules", f"S3 supports at most {MAX_RULES} rules")
        for name, rule in rules.items():
            path = step("rules", name)
            actions = {key: action for key, action in rule.items() if isinstance(action, dict)}
            if not any(actions.values()):
                yield Failure(path, f"rule {name} does nothing; add an action to it")
            for key, action in actions.items():
                for count, value in action.items():
                    if isinstance(value, int | float) and not isinstance(value, bool) and value < 1:
                        yield Failure(step(step(path, key), count), f"rule {name} must count at least one day")

    def plan(self, state: Mapping[str, Any], inputs: Mapping[str, Any], ignore: Iterable[str]) -> UpdatePlan:
        plan = super().plan(state, inputs, [*ignore, *IGNORED])
        if plan.replaces and plan.delete_before_replace:
            self._deleted_first.add(inputs["bucket"])
        return plan

    def deletes_before_replace(self, replaces: Iterable[str]) -> bool:
        """If only the object lock changes, the new bucket has the same name, so the old one must be deleted first."""
        return "bucket" not in replaces

    def planned(self, inputs: Mapping[str, Any], state: Mapping[str, Any] | None) -> dict[str, Any]:
        if state is None or inputs.get("rules") == state.get("rules"):
            return {}
        return {"leftToServer": UNKNOWN}

    def preview(self, inputs: Mapping[str, Any], state: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Before a bucket is created, warn of what adopting an existing one replaces. Raises ``ProviderError`` for a bucket
        that ``create`` would refuse. An unreachable server is a warning."""
        known = plain(inputs)
        if state is None and not has_unknown(known) and known["bucket"] not in self._deleted_first:
            self._preview_adoption(known)
        return super().preview(inputs, state)

    def _preview_adoption(self, inputs: Mapping[str, Any]) -> None:
        name, store = inputs["bucket"], self._store
        try:
            with store.client(attempts=1) as client:
                if not bucket_adoption.exists(client, name):
                    return
                refusal = bucket_adoption.refusal(client, store.endpoint, inputs)
                consequences = [] if refusal else list(bucket_adoption.consequences(client, inputs))
        except ProviderError as error:
            log.warning(f"the preview does not show whether bucket {name} exists already: {error}")
            return
        if refusal:
            raise ProviderError(refusal)
        if consequences:
            log.warning(f"bucket {name} exists at {store.endpoint} and is adopted: {'; '.join(consequences)}")

    def create(self, inputs: dict[str, Any]) -> FoundResource:
        store = self._store
        with recording() as record, store.client() as client:
            if not bucket_adoption.exists(client, inputs["bucket"]):
                record.unfinished = FoundResource(inputs["bucket"], inputs)
                _create(client, inputs, store.region)
            else:
                # Not recorded if it fails: the next run must not delete a bucket that somebody else created.
                if refusal := bucket_adoption.refusal(client, store.endpoint, inputs):
                    raise ProviderError(refusal)
                # The guard policy's own resource sets it again, after all settings of the bucket.
                client.delete_bucket_policy(Bucket=inputs["bucket"])
            left = _put_rules(client, inputs)
        return FoundResource(inputs["bucket"], {**inputs, "leftToServer": left})

    def update(self, id_: str, state: dict[str, Any], inputs: dict[str, Any]) -> FoundResource:
        store = self._store
        with store.client() as client:
            # A creation that failed may not have created the bucket. One that was lost later must not return empty.
            if state.get("leftToServer") is None and not bucket_adoption.exists(client, id_):
                _create(client, inputs, store.region)
            with guard.temporarily_lifted(client, id_, inputs.get("guard", "")):
                left = _put_rules(client, inputs)
        return FoundResource(id_, {**inputs, "leftToServer": left})

    def read(self, id_: str, state: dict[str, Any]) -> FoundResource | None:
        with self._store.client() as client:
            if not bucket_adoption.exists(client, id_):
                return None
            last_rules: Rules = state.get("rules", {})
            left = left_to_server(bucket_adoption.server_header(client, id_), last_rules)
            outputs = {
                "bucket": id_,
                "objectLock": bucket_adoption.object_lock(client, id_) is not None,
                "rules": bucket_adoption.live_rules(client, id_) | {name: last_rules[name] for name in left},
                "forceDestroy": state.get("forceDestroy", False),
                "guard": state.get("guard"),
                "adopt": state.get("adopt", False),
                "leftToServer": left,
            }
        return FoundResource(id_, outputs)

    def delete(self, id_: str, state: dict[str, Any]) -> None:
        from botocore.exceptions import ClientError

        with self._store.client() as client:
            try:
                if state.get("forceDestroy"):
                    guard.remove(client, id_)
                    emptying.empty(client, id_, bypass_governance=bool(state.get("objectLock")))
                client.delete_bucket(Bucket=id_)
            except ClientError as error:
                if code(error) == "BucketNotEmpty":
                    # Its own resource was deleted before the bucket. The next ``up`` must still be able to change settings.
                    guard.protect_objects(client, id_, state.get("guard") or "")
                    raise ProviderError(
                        f"bucket {id_} is kept, because it still holds objects, versions or delete markers; to delete it with"
                        " all of them, set stellaops-storage:allowDataLoss to true and run pulumi up, then delete again"
                    ) from None
                if not is_missing_bucket(error):
                    raise


def _create(client: "Client", inputs: dict[str, Any], region: str) -> None:
    from botocore.exceptions import ClientError

    arguments: dict[str, Any] = {"Bucket": inputs["bucket"]}
    if inputs["objectLock"]:
        arguments["ObjectLockEnabledForBucket"] = True
    if region != "us-east-1":
        # S3 does not accept us-east-1 as a LocationConstraint.
        arguments["CreateBucketConfiguration"] = {"LocationConstraint": region}
    try:
        client.create_bucket(**arguments)
    except ClientError as error:
        # The client retries a request whose response was lost.
        if code(error) != "BucketAlreadyOwnedByYou":
            raise


def _put_rules(client: "Client", inputs: dict[str, Any]) -> list[str]:
    """Set the rules. Return the names of those that are not sent, because the server does the same by itself."""
    name, rules = inputs["bucket"], inputs["rules"]
    left = left_to_server(bucket_adoption.server_header(client, name), rules)
    sent = {key: rule for key, rule in rules.items() if key not in left}
    if sent:
        client.put_bucket_lifecycle_configuration(Bucket=name, LifecycleConfiguration=to_s3(sent))
    else:
        client.delete_bucket_lifecycle(Bucket=name)
    return left
