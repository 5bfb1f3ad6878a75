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

from components.provider_errors import ProviderError, report_in_one_line
from components.rustfs import emptying
from components.rustfs.lifecycle import Rules, changed_rules, from_s3, to_s3, whole
from components.rustfs.store import Client, Store, code, is_gone

INPUTS = ("bucket", "object_lock", "rules", "force_destroy")
MOST_RULES = 1000  # S3's own limit


class BucketProvider(ResourceProvider):
    """Create, adopt, update in place, refresh and delete. The resource's id is the bucket's name."""

    serialize_as_secret_always = False
    _store: Store

    def configure(self, req: ConfigureRequest) -> None:
        report_in_one_line()
        self._store = Store.configured(req)

    def check(self, _olds: dict[str, Any], news: dict[str, Any]) -> CheckResult:
        """A mistake in a rule is told in the preview, by the rule's ID."""
        failures = [] if len(news["rules"]) <= MOST_RULES else [CheckFailure("rules", f"S3 takes at most {MOST_RULES} rules")]
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
            _put_rules(client, props)
        return CreateResult(props["bucket"], _outs(props))

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        with self._store.client() as client:
            if _olds["rules"] != _news["rules"]:
                _put_rules(client, _news)
                print(f"bucket {_id}: " + "; ".join(changed_rules(whole(_olds["rules"]), whole(_news["rules"]))), flush=True)
        return UpdateResult(_outs(_news))

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """The bucket as it is; the blank id when there is none."""
        with self._store.client() as client:
            if not _exists(client, id_):
                return ReadResult("", {})
            found = {
                "bucket": id_,
                "object_lock": _has_object_lock(client, id_),
                "rules": _rules(client, id_),
                "force_destroy": props.get("force_destroy", False),
            }
        return ReadResult(id_, found, dict(found))

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        from botocore.exceptions import ClientError

        with self._store.client() as client:
            try:
                if _props["force_destroy"]:
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
        """An existing bucket is taken over when a killed run left it: empty, or with our rules. Never another one."""
        name = props["bucket"]
        if _has_object_lock(client, name) != props["object_lock"]:
            has, wants = ("without", "with") if props["object_lock"] else ("with", "without")
            raise ProviderError(
                f"bucket {name} exists at {self._store.endpoint} {has} object lock; the mapping wants it {wants}, which is"
                " settled when a bucket is made: move its objects elsewhere and delete it, or set bucketPrefix"
            )
        if not props["rules"].keys() <= _rules(client, name).keys() and not emptying.is_empty(client, name):
            raise ProviderError(
                f"bucket {name} exists at {self._store.endpoint}, holds objects and was not made by this stack; its old"
                f" versions would expire. If it is yours, give it lifecycle rules named {', '.join(props['rules'])}"
                " and run again; otherwise set stellaops-storage:bucketPrefix"
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


def _put_rules(client: Client, props: dict[str, Any]) -> None:
    if props["rules"]:
        client.put_bucket_lifecycle_configuration(Bucket=props["bucket"], LifecycleConfiguration=to_s3(props["rules"]))
    else:
        client.delete_bucket_lifecycle(Bucket=props["bucket"])


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


def _outs(props: dict[str, Any]) -> dict[str, Any]:
    return {key: props[key] for key in INPUTS}


class Bucket(Resource, module="storage", name="Bucket"):
    """A bucket named ``bucket``. ``rules`` are as in ``lifecycle``; ``force_destroy`` lets it go with its objects."""

    bucket: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        *,
        bucket: str,
        object_lock: bool,
        rules: Rules,
        force_destroy: bool,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        props = {"bucket": bucket, "object_lock": object_lock, "rules": rules, "force_destroy": force_destroy}
        super().__init__(BucketProvider(), name, props, opts)
