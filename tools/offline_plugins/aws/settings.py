"""The resource types. Each is one bucket setting, which is put, read and removed as a whole."""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from provider.base.plugin import FoundResource, ResourceType
from provider.base.schema import Failure, Properties, Property
from provider.errors import ProviderError
from tools.offline_plugins.aws.store import NO_BUCKET, S3Endpoint, StoreError

OWNER = Property(force_new=True)
REGION = Property(computed=True, force_new=True)
BUCKET = Property(required=True, force_new=True)


class BucketSetting(ResourceType):
    """Base class. ``get`` returns None if the bucket lacks the setting; ``unset`` has S3's error codes for that."""

    label: str
    unset: frozenset[str] = frozenset()

    def __init__(self, store: Callable[[], S3Endpoint]) -> None:
        self._store = store

    def put(self, client: Any, target: dict[str, str], inputs: dict[str, Any]) -> None:
        raise NotImplementedError

    def get(self, client: Any, target: dict[str, str], state: dict[str, Any]) -> dict[str, Any] | None:
        raise NotImplementedError

    def remove(self, client: Any, target: dict[str, str], state: dict[str, Any]) -> None:
        raise NotImplementedError

    def create(self, inputs: dict[str, Any]) -> FoundResource:
        store, target = self._store(), _target(inputs)
        with store.errors_as(f"set {self.label} of bucket {inputs['bucket']!r}"):
            self.put(store.client(self._region(inputs)), target, inputs)
        found = self.read(_id(inputs), inputs)
        if found is None:
            raise ProviderError(
                f"bucket {inputs['bucket']!r} has no {self.label} after it was set; check that the bucket exists"
            )
        return found

    def update(self, id_: str, state: dict[str, Any], inputs: dict[str, Any]) -> FoundResource:
        return self.create(inputs)

    def read(self, id_: str, state: dict[str, Any]) -> FoundResource | None:
        bucket, _, owner = id_.partition(",")
        known = {"expectedBucketOwner": owner, **state, "bucket": bucket}
        store = self._store()
        try:
            with store.errors_as(f"read {self.label} of bucket {bucket!r}"):
                outputs = self.get(store.client(self._region(known)), _target(known), known)
        except StoreError as error:
            if error.code in NO_BUCKET | self.unset:
                return None
            raise
        if outputs is None:
            return None
        kept = {name: known[name] for name in ("expectedBucketOwner", "mfa", "token", "skipDestroy") if known.get(name)}
        return FoundResource(_id(known), {"bucket": bucket, "region": self._region(known), **kept, **outputs})

    def delete(self, id_: str, state: dict[str, Any]) -> None:
        store = self._store()
        try:
            with store.errors_as(f"remove {self.label} of bucket {state['bucket']!r}"):
                self.remove(store.client(self._region(state)), _target(state), state)
        except StoreError as error:
            if error.code not in NO_BUCKET | self.unset:
                raise

    def _region(self, properties: Mapping[str, Any]) -> str:
        return properties.get("region") or self._store().region


def _target(properties: Mapping[str, Any]) -> dict[str, str]:
    owner = properties.get("expectedBucketOwner")
    return {"Bucket": properties["bucket"], **({"ExpectedBucketOwner": owner} if owner else {})}


def _id(properties: Mapping[str, Any]) -> str:
    owner = properties.get("expectedBucketOwner")
    return f"{properties['bucket']},{owner}" if owner else str(properties["bucket"])


VERSIONING: Properties = {
    "bucket": BUCKET,
    "expectedBucketOwner": OWNER,
    "mfa": Property(),
    "region": REGION,
    "versioningConfiguration": Property(
        "object",
        required=True,
        fields={
            "status": Property(required=True, choices=("Enabled", "Suspended", "Disabled")),
            "mfaDelete": Property(computed=True, choices=("Enabled", "Disabled")),
        },
    ),
}


class Versioning(BucketSetting):
    token = "aws:s3/bucketVersioning:BucketVersioning"  # noqa: S105
    label = "versioning"
    properties = VERSIONING

    def put(self, client: Any, target: dict[str, str], inputs: dict[str, Any]) -> None:
        wanted = inputs["versioningConfiguration"]
        # Disabled means never enabled. S3 has no request for it.
        if wanted["status"] == "Disabled":
            if client.get_bucket_versioning(**target).get("Status"):
                raise ProviderError(
                    f"versioning of bucket {inputs['bucket']!r} cannot be disabled again; use 'Suspended'"
                )
            return
        configuration = {"Status": wanted["status"]}
        if wanted.get("mfaDelete"):
            configuration["MFADelete"] = wanted["mfaDelete"]
        mfa = {"MFA": inputs["mfa"]} if inputs.get("mfa") else {}
        client.put_bucket_versioning(**target, **mfa, VersioningConfiguration=configuration)

    def get(self, client: Any, target: dict[str, str], state: dict[str, Any]) -> dict[str, Any]:
        answer = client.get_bucket_versioning(**target)
        configuration = {"status": answer.get("Status", "Disabled"), "mfaDelete": answer.get("MFADelete", "")}
        return {"versioningConfiguration": configuration}

    def remove(self, client: Any, target: dict[str, str], state: dict[str, Any]) -> None:
        if state["versioningConfiguration"]["status"] == "Disabled":
            return
        from botocore.exceptions import ClientError

        try:
            client.put_bucket_versioning(**target, VersioningConfiguration={"Status": "Suspended"})
        except ClientError as error:
            # A bucket with object lock keeps its versions.
            if error.response["Error"].get("Code") != "InvalidBucketState":
                raise


POLICY: Properties = {"bucket": BUCKET, "policy": Property(required=True), "region": REGION}


class Policy(BucketSetting):
    token = "aws:s3/bucketPolicy:BucketPolicy"  # noqa: S105
    label = "policy"
    unset = frozenset({"NoSuchBucketPolicy"})
    properties = POLICY

    def check(self, name: str, given: Mapping[str, Any], old: Mapping[str, Any], seed: bytes) -> Any:
        # A program may pass the document as an object.
        if isinstance(given.get("policy"), Mapping):
            given = {**given, "policy": json.dumps(given["policy"], separators=(",", ":"))}
        return super().check(name, given, old, seed)

    def validate(self, inputs: Mapping[str, Any], old: Mapping[str, Any]) -> Iterator[Failure]:
        try:
            json.loads(inputs.get("policy", "{}"))
        except ValueError as error:
            yield Failure("policy", f"not valid JSON: {error}")

    def plan(self, state: Mapping[str, Any], inputs: Mapping[str, Any], ignore: Any) -> Any:
        plan = super().plan(state, inputs, ignore)
        same = isinstance(inputs.get("policy"), str) and _same_policy(state.get("policy"), inputs["policy"])
        return type(plan)(
            [change for change in plan.changes if change.path != "policy" or not same], plan.delete_before_replace
        )

    def put(self, client: Any, target: dict[str, str], inputs: dict[str, Any]) -> None:
        client.put_bucket_policy(**target, Policy=inputs["policy"])

    def get(self, client: Any, target: dict[str, str], state: dict[str, Any]) -> dict[str, Any]:
        policy = client.get_bucket_policy(**target)["Policy"]
        return {"policy": state["policy"] if _same_policy(state.get("policy"), policy) else policy}

    def remove(self, client: Any, target: dict[str, str], state: dict[str, Any]) -> None:
        client.delete_bucket_policy(**target)


def _same_policy(one: Any, other: Any) -> bool:
    """Whether two documents are equivalent: ignores the order of lists and the forms of one item and of ``*``."""
    try:
        return bool(_canonical(json.loads(one)) == _canonical(json.loads(other)))
    except (TypeError, ValueError):
        return bool(one == other)


def _canonical(document: Any) -> Any:
    if isinstance(document, dict):
        everybody = document in ({"AWS": "*"}, {"AWS": ["*"]})
        return ["*"] if everybody else {key: _canonical(value) for key, value in document.items()}
    if isinstance(document, list):
        items = [item if isinstance(item, str) else _canonical(item) for item in document]
        return sorted(items, key=lambda item: json.dumps(item, sort_keys=True))
    return [document] if isinstance(document, str) else document


OBJECT_LOCK: Properties = {
    "bucket": BUCKET,
    "expectedBucketOwner": OWNER,
    "objectLockEnabled": Property(default="Enabled", force_new=True, choices=("Enabled",)),
    "region": REGION,
    "rule": Property(
        "object",
        fields={
            "defaultRetention": Property(
                "object",
                required=True,
                fields={
                    "days": Property("integer", minimum=1),
                    "mode": Property(choices=("COMPLIANCE", "GOVERNANCE")),
                    "years": Property("integer", minimum=1),
                },
            )
        },
    ),
    "token": Property(secret=True),
}


class ObjectLock(BucketSetting):
    token = "aws:s3/bucketObjectLockConfiguration:BucketObjectLockConfiguration"  # noqa: S105
    label = "object lock"
    unset = frozenset({"ObjectLockConfigurationNotFoundError", "NoSuchObjectLockConfiguration"})
    properties = OBJECT_LOCK

    def validate(self, inputs: Mapping[str, Any], old: Mapping[str, Any]) -> Iterator[Failure]:
        retention = (inputs.get("rule") or {}).get("defaultRetention") or {}
        if retention.get("days") and retention.get("years"):
            yield Failure("rule.defaultRetention", "takes days or years, not both")

    def put(self, client: Any, target: dict[str, str], inputs: dict[str, Any]) -> None:
        configuration: dict[str, Any] = {"ObjectLockEnabled": inputs["objectLockEnabled"]}
        retention = (inputs.get("rule") or {}).get("defaultRetention")
        if retention:
            wanted = {name.capitalize(): value for name, value in retention.items() if value}
            configuration["Rule"] = {"DefaultRetention": wanted}
        token = {"Token": inputs["token"]} if inputs.get("token") else {}
        client.put_object_lock_configuration(**target, **token, ObjectLockConfiguration=configuration)

    def get(self, client: Any, target: dict[str, str], state: dict[str, Any]) -> dict[str, Any]:
        answer = client.get_object_lock_configuration(**target)["ObjectLockConfiguration"]
        outputs: dict[str, Any] = {"objectLockEnabled": answer.get("ObjectLockEnabled", "Enabled")}
        retention = answer.get("Rule", {}).get("DefaultRetention")
        if retention:
            found = {name.lower(): value for name, value in retention.items()}
            outputs["rule"] = {"defaultRetention": found}
        return outputs

    def remove(self, client: Any, target: dict[str, str], state: dict[str, Any]) -> None:
        # Object lock cannot be disabled; only its default retention is removed.
        configuration = {"ObjectLockEnabled": state.get("objectLockEnabled", "Enabled")}
        client.put_object_lock_configuration(**target, ObjectLockConfiguration=configuration)


_FLAGS = {
    "blockPublicAcls": "BlockPublicAcls",
    "blockPublicPolicy": "BlockPublicPolicy",
    "ignorePublicAcls": "IgnorePublicAcls",
    "restrictPublicBuckets": "RestrictPublicBuckets",
}
PUBLIC_ACCESS_BLOCK: Properties = {
    "bucket": BUCKET,
    **{name: Property("boolean", default=False) for name in _FLAGS},
    "region": REGION,
    "skipDestroy": Property("boolean"),
}


class PublicAccessBlock(BucketSetting):
    token = "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"  # noqa: S105
    label = "public access block"
    unset = frozenset({"NoSuchPublicAccessBlockConfiguration"})
    properties = PUBLIC_ACCESS_BLOCK

    def put(self, client: Any, target: dict[str, str], inputs: dict[str, Any]) -> None:
        configuration = {key: bool(inputs.get(name)) for name, key in _FLAGS.items()}
        client.put_public_access_block(**target, PublicAccessBlockConfiguration=configuration)

    def get(self, client: Any, target: dict[str, str], state: dict[str, Any]) -> dict[str, Any]:
        answer = client.get_public_access_block(**target)["PublicAccessBlockConfiguration"]
        return {name: bool(answer.get(key)) for name, key in _FLAGS.items()}

    def remove(self, client: Any, target: dict[str, str], state: dict[str, Any]) -> None:
        if not state.get("skipDestroy"):
            client.delete_public_access_block(**target)
