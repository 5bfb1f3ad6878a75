"""``stellaops:objectstore:Bucket``: a bucket with its lifecycle rules on an S3-compatible server.

For ``objectStore:target: rustfs``: the official resources for these two ask for what only AWS answers. Versioning,
policies and object-lock defaults are resources of their own.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from components.rustfs.lifecycle import Rules, from_s3, left_to_server, to_s3
from provider.base.plugin import FoundResource, UpdatePlan
from provider.base.schema import Failure, Properties, Property, step
from provider.base.values import UNKNOWN
from provider.errors import ProviderError
from provider.rustfs import emptying, guard
from provider.rustfs.kind import ObjectStoreKind
from provider.rustfs.store import code, is_gone

if TYPE_CHECKING:
    from provider.rustfs.store import Client

MAX_RULES = 1000  # S3's own limit
# Neither changes the bucket: the guard's own resource puts it, and ``adopt`` matters at creation.
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
        description="Lifecycle rule ID to its Prefix and its actions in S3's own terms; counts are in days.",
    ),
    "forceDestroy": Property(
        "boolean", default=False, description="Whether the bucket may be deleted with everything in it."
    ),
    "guard": Property(description="Text of the bucket policy to lift before a change of the rules and to put back."),
    "adopt": Property(
        "boolean", default=False, description="Whether create may take over an existing bucket that holds objects."
    ),
    "leftToServer": Property(
        "list",
        item=Property(),
        output=True,
        description="IDs of rules that the server does not take because it does the same by itself.",
    ),
}


class Bucket(ObjectStoreKind):
    """Create, adopt, update in place, refresh and delete. The resource's id is the bucket's name."""

    token = "stellaops:objectstore:Bucket"  # noqa: S105 - a type
    description = "A bucket with its lifecycle rules on an S3-compatible server. Import by the bucket's name."
    properties = PROPERTIES

    def validate(self, inputs: Mapping[str, Any], old: Mapping[str, Any]) -> Iterator[Failure]:
        rules = inputs.get("rules", {})
        if len(rules) > MAX_RULES:
            yield Failure("rules", f"S3 takes at most {MAX_RULES} rules")
        for name, rule in rules.items():
            path = step("rules", name)
            actions = {key: action for key, action in rule.items() if isinstance(action, dict)}
            if not any(actions.values()):
                yield Failure(path, f"rule {name} does nothing; give it an action")
            for key, action in actions.items():
                for count, value in action.items():
                    if isinstance(value, int | float) and not isinstance(value, bool) and value < 1:
                        yield Failure(step(step(path, key), count), f"rule {name} must count at least one day")

    def plan(self, state: Mapping[str, Any], inputs: Mapping[str, Any], ignore: Iterable[str]) -> UpdatePlan:
        return super().plan(state, inputs, [*ignore, *IGNORED])

    def deletes_before_replace(self, replaces: Iterable[str]) -> bool:
        """With object lock, which can only be given at creation, the name is taken until the old bucket is gone."""
        return "bucket" not in replaces

    def planned(self, inputs: Mapping[str, Any], state: Mapping[str, Any] | None) -> dict[str, Any]:
        if state is None or inputs.get("rules") == state.get("rules"):
            return {}
        return {"leftToServer": UNKNOWN}

    def create(self, inputs: dict[str, Any]) -> FoundResource:
        store = self._store
        with store.client() as client:
            if not _exists(client, inputs["bucket"]):
                _create(client, inputs, store.region)
            else:
                self._refuse_adoption_of_foreign(client, inputs)
                # The guard comes last, when all of the bucket's settings are made.
                guard.remove(client, inputs["bucket"])
            left = _put_rules(client, inputs)
        return FoundResource(inputs["bucket"], {**inputs, "leftToServer": left})

    def update(self, id_: str, state: dict[str, Any], inputs: dict[str, Any]) -> FoundResource:
        with self._store.client() as client, guard.lifted_for(client, id_, inputs.get("guard", "")):
            left = _put_rules(client, inputs)
        return FoundResource(id_, {**inputs, "leftToServer": left})

    def read(self, id_: str, state: dict[str, Any]) -> FoundResource | None:
        with self._store.client() as client:
            if not _exists(client, id_):
                return None
            wanted: Rules = state.get("rules", {})
            left = left_to_server(_server(client, id_), wanted)
            found = {
                "bucket": id_,
                "objectLock": _has_object_lock(client, id_),
                "rules": _rules(client, id_) | {name: wanted[name] for name in left},
                "forceDestroy": state.get("forceDestroy", False),
                "guard": state.get("guard"),
                "adopt": state.get("adopt", False),
                "leftToServer": left,
            }
        return FoundResource(id_, found)

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
                    raise ProviderError(
                        f"bucket {id_} still holds objects, versions or delete markers, and is kept; to delete it with all of"
                        " them, set stellaops-storage:allowDataLoss to true and run pulumi up, then delete again"
                    ) from None
                if not is_gone(error):
                    raise

    def _refuse_adoption_of_foreign(self, client: "Client", inputs: dict[str, Any]) -> None:
        """Accept an existing bucket that a killed run left, which is empty or has our rules, and one to ``adopt``."""
        name, rules = inputs["bucket"], inputs["rules"]
        endpoint = self._store.endpoint
        if _has_object_lock(client, name) != inputs["objectLock"]:
            has, wants = ("without", "with") if inputs["objectLock"] else ("with", "without")
            raise ProviderError(
                f"bucket {name} exists at {endpoint} {has} object lock; the mapping wants it {wants}, which is"
                " settled when a bucket is made: move its objects elsewhere and delete it, or set bucketPrefix"
            )
        ours = rules.keys() - set(left_to_server(_server(client, name), rules))
        if inputs["adopt"] or ours <= _rules(client, name).keys() or emptying.is_empty(client, name):
            return
        raise ProviderError(
            f"bucket {name} exists at {endpoint}, holds objects and was not made by this stack, which would"
            f" expire its old versions; if it is yours, run: pulumi config set stellaops-storage:adoptBuckets {name},"
            " otherwise set stellaops-storage:bucketPrefix"
        )


def _exists(client: "Client", name: str) -> bool:
    """Asked first: creating one's own existing bucket is answered with success."""
    from botocore.exceptions import ClientError

    try:
        client.head_bucket(Bucket=name)
    except ClientError as error:
        if is_gone(error):
            return False
        raise
    return True


def _create(client: "Client", inputs: dict[str, Any], region: str) -> None:
    from botocore.exceptions import ClientError

    arguments: dict[str, Any] = {"Bucket": inputs["bucket"]}
    if inputs["objectLock"]:
        arguments["ObjectLockEnabledForBucket"] = True
    if region != "us-east-1":
        # S3 has no name for us-east-1 here.
        arguments["CreateBucketConfiguration"] = {"LocationConstraint": region}
    try:
        client.create_bucket(**arguments)
    except ClientError as error:
        # A retry of a request whose answer was lost.
        if code(error) != "BucketAlreadyOwnedByYou":
            raise


def _put_rules(client: "Client", inputs: dict[str, Any]) -> list[str]:
    """Set the rules; returns the names of those that the server has no rule for, since it does that by itself."""
    name, rules = inputs["bucket"], inputs["rules"]
    left = left_to_server(_server(client, name), rules)
    sent = {key: rule for key, rule in rules.items() if key not in left}
    if sent:
        client.put_bucket_lifecycle_configuration(Bucket=name, LifecycleConfiguration=to_s3(sent))
    else:
        client.delete_bucket_lifecycle(Bucket=name)
    return left


def _server(client: "Client", name: str) -> str:
    """What answers there, in its own words."""
    return str(client.head_bucket(Bucket=name)["ResponseMetadata"]["HTTPHeaders"].get("server", ""))


def _rules(client: "Client", name: str) -> Rules:
    from botocore.exceptions import ClientError

    try:
        return from_s3(client.get_bucket_lifecycle_configuration(Bucket=name))
    except ClientError as error:
        if code(error) == "NoSuchLifecycleConfiguration":
            return {}
        raise


def _has_object_lock(client: "Client", name: str) -> bool:
    from botocore.exceptions import ClientError

    try:
        answer = client.get_object_lock_configuration(Bucket=name)
    except ClientError as error:
        if code(error) in ("ObjectLockConfigurationNotFoundError", "NoSuchObjectLockConfiguration"):
            return False
        raise
    return bool(answer["ObjectLockConfiguration"].get("ObjectLockEnabled") == "Enabled")
