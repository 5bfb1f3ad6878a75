"""``Bucket``: a bucket with its lifecycle rules on an S3-compatible server, as a Pulumi resource.

For ``objectStore:target: rustfs``: the official resources for these two ask for what only AWS answers. Versioning,
policies and object-lock defaults are resources of their own.
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

from components.rustfs.lifecycle import Rules, from_s3, left_to_server, to_s3
from provider.dynamic_config import setting
from provider.errors import ProviderError, report_in_one_line
from provider.rustfs import emptying, guard
from provider.rustfs.store import Client, Store, code, is_gone

INPUTS = ("bucket", "object_lock", "rules", "force_destroy")
MOST_RULES = 1000  # S3's own limit


class BucketProvider(ResourceProvider):
    """Create, adopt, update in place, refresh and delete. The resource's id is the bucket's name."""

    serialize_as_secret_always = False
    _store: Store
    _adopted: frozenset[str]

    def configure(self, req: ConfigureRequest) -> None:
        report_in_one_line()
        self._store = Store.configured(req)
        # The engine cannot import a dynamic resource, so that the stack's config says which buckets to take over.
        self._adopted = frozenset(setting(req, "adoptBuckets", "").replace(",", " ").split())

    def check(self, _olds: dict[str, Any], news: dict[str, Any]) -> CheckResult:
        """A mistake in a rule is told in the preview, by the rule's ID."""
        failures = (
            [] if len(news["rules"]) <= MOST_RULES else [CheckFailure("rules", f"S3 takes at most {MOST_RULES} rules")]
        )
        for name, rule in news["rules"].items():
            days = [value for action in rule.values() if isinstance(action, dict) for value in action.values()]
            if not days:
                failures.append(CheckFailure("rules", f"rule {name} does nothing; give it an action"))
            if any(isinstance(value, int | float) and value < 1 for value in days):
                failures.append(CheckFailure("rules", f"rule {name} must count at least one day"))
        return CheckResult(news, failures)

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        replaces = [key for key in ("bucket", "object_lock") if _olds.get(key) != _news[key]]
        changed = any(_olds.get(key) != _news[key] for key in INPUTS)
        # Object lock can only be given at creation, and the name is taken until the old bucket is gone.
        return DiffResult(changes=changed, replaces=replaces, delete_before_replace="bucket" not in replaces)

    def create(self, props: dict[str, Any]) -> CreateResult:
        with self._store.client() as client:
            if not _exists(client, props["bucket"]):
                _create(client, props, self._store.region)
            else:
                self._refuse_adoption_of_foreign(client, props)
                # The guard comes last, when all of the bucket's settings are made.
                guard.remove(client, props["bucket"])
            left = _put_rules(client, props)
        return CreateResult(props["bucket"], _outs(props, left))

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        with self._store.client() as client, guard.lifted_for(client, _id, _news.get("guard") or ""):
            left = _put_rules(client, _news)
        return UpdateResult(_outs(_news, left))

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """The bucket as it is; the blank id when there is none."""
        with self._store.client() as client:
            if not _exists(client, id_):
                return ReadResult("", {})
            left = left_to_server(_server(client, id_), props.get("rules", {}))
            found = {
                "bucket": id_,
                "object_lock": _has_object_lock(client, id_),
                "rules": _rules(client, id_) | {name: props["rules"][name] for name in left},
                "force_destroy": props.get("force_destroy", False),
                "guard": props.get("guard", ""),
            }
        return ReadResult(id_, _outs(found, left), found)

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        from botocore.exceptions import ClientError

        with self._store.client() as client:
            try:
                if _props["force_destroy"]:
                    guard.remove(client, _id)
                    emptying.empty(client, _id, bypass_governance=_props["object_lock"])
                client.delete_bucket(Bucket=_id)
            except ClientError as error:
                if code(error) == "BucketNotEmpty":
                    raise ProviderError(
                        f"bucket {_id} still holds objects, versions or delete markers, and is kept; to delete it with all of"
                        " them, set stellaops-storage:allowDataLoss to true and run pulumi up, then delete again"
                    ) from None
                if not is_gone(error):
                    raise

    def _refuse_adoption_of_foreign(self, client: Client, props: dict[str, Any]) -> None:
        """An existing bucket is taken over when a killed run left it, that is empty or with our rules, or when the
        stack's config names it. Never another one."""
        name = props["bucket"]
        if _has_object_lock(client, name) != props["object_lock"]:
            has, wants = ("without", "with") if props["object_lock"] else ("with", "without")
            raise ProviderError(
                f"bucket {name} exists at {self._store.endpoint} {has} object lock; the mapping wants it {wants}, which is"
                " settled when a bucket is made: move its objects elsewhere and delete it, or set bucketPrefix"
            )
        ours = props["rules"].keys() - set(left_to_server(_server(client, name), props["rules"]))
        if name in self._adopted or ours <= _rules(client, name).keys() or emptying.is_empty(client, name):
            return
        raise ProviderError(
            f"bucket {name} exists at {self._store.endpoint}, holds objects and was not made by this stack, which would"
            f" expire its old versions; if it is yours, run: pulumi config set stellaops-storage:adoptBuckets {name},"
            " otherwise set stellaops-storage:bucketPrefix"
        )


def _exists(client: Client, name: str) -> bool:
    """Asked first: creating one's own existing bucket is answered with success."""
    from botocore.exceptions import ClientError

    try:
        client.head_bucket(Bucket=name)
    except ClientError as error:
        if is_gone(error):
            return False
        raise
    return True


def _create(client: Client, props: dict[str, Any], region: str) -> None:
    from botocore.exceptions import ClientError

    arguments: dict[str, Any] = {"Bucket": props["bucket"]}
    if props["object_lock"]:
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


def _put_rules(client: Client, props: dict[str, Any]) -> list[str]:
    """Set the rules; returns the names of those that the server has no rule for, since it does that by itself."""
    name, rules = props["bucket"], props["rules"]
    left = left_to_server(_server(client, name), rules)
    sent = {key: rule for key, rule in rules.items() if key not in left}
    if sent:
        client.put_bucket_lifecycle_configuration(Bucket=name, LifecycleConfiguration=to_s3(sent))
    else:
        client.delete_bucket_lifecycle(Bucket=name)
    return left


def _server(client: Client, name: str) -> str:
    """What answers there, in its own words."""
    return str(client.head_bucket(Bucket=name)["ResponseMetadata"]["HTTPHeaders"].get("server", ""))


def _rules(client: Client, name: str) -> Rules:
    from botocore.exceptions import ClientError

    try:
        return from_s3(client.get_bucket_lifecycle_configuration(Bucket=name))
    except ClientError as error:
        if code(error) == "NoSuchLifecycleConfiguration":
            return {}
        raise


def _has_object_lock(client: Client, name: str) -> bool:
    from botocore.exceptions import ClientError

    try:
        answer = client.get_object_lock_configuration(Bucket=name)
    except ClientError as error:
        if code(error) in ("ObjectLockConfigurationNotFoundError", "NoSuchObjectLockConfiguration"):
            return False
        raise
    return bool(answer["ObjectLockConfiguration"].get("ObjectLockEnabled") == "Enabled")


def _outs(props: dict[str, Any], left: list[str]) -> dict[str, Any]:
    return {**{key: props[key] for key in INPUTS}, "guard": props.get("guard", ""), "left_to_server": left}


class Bucket(Resource, module="storage", name="Bucket"):
    """A bucket named ``bucket``. ``rules`` are as in ``lifecycle``; ``force_destroy`` lets it go with its objects.

    ``guard`` is the text of the bucket policy that has to be lifted before a change of the rules; a resource of its
    own puts it. ``left_to_server`` names rules that the server has none for, since it does that by itself.
    """

    bucket: pulumi.Output[str]
    left_to_server: pulumi.Output[list[str]]

    def __init__(
        self,
        name: str,
        *,
        bucket: str,
        object_lock: bool,
        rules: Rules,
        force_destroy: bool,
        guard: str = "",
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        props: dict[str, Any] = {
            "bucket": bucket,
            "object_lock": object_lock,
            "rules": rules,
            "force_destroy": force_destroy,
            "guard": guard,
        }
        props["left_to_server"] = None
        super().__init__(BucketProvider(), name, props, opts)
