"""What the ObjectStore component asks for, resource by resource."""

import json
from pathlib import Path
from typing import Any

import pulumi
import pulumi_aws as aws
import pytest

from components.config.model import ObjectStoreSettings
from components.mapping import load
from components.mapping.values import Duration
from components.resources.object_store import BUCKET, USER
from components.rustfs.component import ObjectStoreArgs, ObjectStoreComponent
from tests.program.recorder import Recorder, record, stellaops_provider

ROOT = Path(__file__).parents[3]
MAPPING = load(ROOT / "schema-mapping.yaml")
BUCKETS = {"blobs", "images", "evidence", "offline-kits"}


def program(target: Any = "rustfs", prefix: str = "", mode: Any = "governance", **changes: Any) -> Recorder:
    def run() -> None:
        settings = ObjectStoreSettings(
            target=target, endpoint="http://rustfs:9000", region="us-east-1", access_key=pulumi.Output.secret("access"),
            secret_key=pulumi.Output.secret("secret"), bucket_prefix=prefix, object_lock_mode=mode,
        )  # fmt: skip
        s3 = aws.Provider("object-store", region="us-east-1")
        arguments: dict[str, Any] = {"mapping": MAPPING, "protect": False, "allow_data_loss": False, **changes}
        ObjectStoreComponent(
            "rustfs", ObjectStoreArgs(settings=settings, provider=stellaops_provider(), s3_provider=s3, **arguments)
        )

    return record(run)


@pytest.fixture(scope="module")
def recorder() -> Recorder:
    return program()


def test_there_is_a_bucket_for_each_top_level_path_of_the_reference(recorder: Recorder) -> None:
    buckets = recorder.of(":Bucket")
    assert set(buckets) == BUCKETS
    assert {bucket["bucket"] for bucket in buckets.values()} == BUCKETS, (
        "the reference's paths would not be the URL paths"
    )


def test_a_prefix_goes_before_the_physical_names_only() -> None:
    recorder = program(prefix="team-a-")
    assert {name: bucket["bucket"] for name, bucket in recorder.of(":Bucket").items()} == {
        name: f"team-a-{name}" for name in BUCKETS
    }
    assert {item["bucket"] for item in recorder.of(":BucketVersioning").values()} == {
        f"team-a-{name}" for name in BUCKETS
    }


def test_versioning_is_on_everywhere(recorder: Recorder) -> None:
    versioning = recorder.of(":BucketVersioning")
    assert set(versioning) == BUCKETS
    assert all(item["versioningConfiguration"] == {"status": "Enabled"} for item in versioning.values())


def test_only_evidence_has_object_lock(recorder: Recorder) -> None:
    assert {name for name, bucket in recorder.of(":Bucket").items() if bucket["objectLock"]} == {"evidence"}


def test_old_versions_are_kept_as_long_as_the_backup_table_says(recorder: Recorder) -> None:
    for name, bucket in recorder.of(":Bucket").items():
        assert bucket["rules"]["expire-noncurrent-versions"]["NoncurrentVersionExpiration"] == {"NoncurrentDays": 90}, (
            name
        )
        assert bucket["rules"]["abort-stale-uploads"]["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 1}, (
            name
        )


def test_objects_go_with_their_bucket_only_where_the_stack_allows_it(recorder: Recorder) -> None:
    assert not any(bucket["forceDestroy"] for bucket in recorder.of(":Bucket").values())
    assert all(bucket["forceDestroy"] for bucket in program(allow_data_loss=True).of(":Bucket").values())


def test_no_credential_is_an_input_of_a_resource(recorder: Recorder) -> None:
    inputs = [resource.inputs for resource in recorder.resources if "providers" not in resource.type]
    assert recorder.of(":Bucket") and recorder.of("objectstore:User")
    # What mocks answer for a secret output is the input, None, and left out.
    assert "'secret'" not in repr(inputs) and "'access'" not in repr(inputs)
    assert not [item for item in inputs if item.get("secretKey")]


def test_rustfs_is_asked_for_nothing_that_only_aws_answers(recorder: Recorder) -> None:
    official = {resource.type for resource in recorder.resources if resource.type.startswith("aws:")}
    assert official == {
        "aws:s3/bucketVersioning:BucketVersioning",
        "aws:s3/bucketPolicy:BucketPolicy",
        "aws:s3/bucketObjectLockConfiguration:BucketObjectLockConfiguration",
        "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
    }
    assert "tags" not in repr(recorder.resources)


USERS = {"scanner", "sbom_service", "attestor", "evidence_locker", "export_center", "airgap"}


def test_each_module_with_objects_has_one_user_and_no_other_module_has_any(recorder: Recorder) -> None:
    users = recorder.of("objectstore:User")
    assert set(users) == USERS
    assert users["scanner"]["user"] == "scanner" and "Allow blobs/*" in users["scanner"]["policy"]


def test_environments_on_one_cluster_have_users_of_their_own() -> None:
    assert {user["user"] for user in program(prefix="dev-").of("objectstore:User").values()} == {
        f"dev-{name}" for name in USERS
    }


@pytest.mark.parametrize("target", ["rustfs", "minio", "aws"])
def test_what_keeps_everything_is_guarded_and_nothing_else(target: str) -> None:
    guards = program(target, prefix="dev-").of(":BucketPolicy")
    assert set(guards) == {"blobs", "evidence"}
    for name, guard in guards.items():
        document = json.loads(guard["policy"])
        objects = document["Statement"][0]
        assert objects["Effect"] == "Deny" and objects["Principal"] == "*"
        assert objects["Resource"] == [f"arn:aws:s3:::dev-{name}/*"]
        assert {"s3:DeleteObject", "s3:DeleteObjectVersion", "s3:BypassGovernanceRetention"} == set(objects["Action"])


def test_the_bucket_knows_the_guard_that_it_has_to_lift(recorder: Recorder) -> None:
    guards = {name: guard["policy"] for name, guard in recorder.of(":BucketPolicy").items()}
    assert {name: bucket["guard"] for name, bucket in recorder.of(":Bucket").items() if bucket["guard"]} == guards


def test_evidence_is_locked_for_the_days_of_the_mapping_and_governance_is_the_default(recorder: Recorder) -> None:
    locks = recorder.of(":BucketObjectLockConfiguration")
    assert set(locks) == {"evidence"}
    assert locks["evidence"]["rule"] == {"defaultRetention": {"mode": "GOVERNANCE", "days": 90}}


def test_compliance_is_what_the_stack_asked_for_and_said_to_be_irreversible(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(pulumi.log, "warn", lambda text, _resource: said.append(text))
    program()
    assert not said, "governance can be lifted; a warning would be noise"
    rule = program(mode="compliance").of(":BucketObjectLockConfiguration")["evidence"]["rule"]
    assert rule["defaultRetention"]["mode"] == "COMPLIANCE"
    assert len(said) == 1 and "irreversible" in said[0] and "evidence" in said[0] and "90d" in said[0]


def test_the_public_is_blocked_where_the_server_can() -> None:
    assert set(program("rustfs").of(":BucketPublicAccessBlock")) == BUCKETS
    assert set(program("aws").of(":BucketPublicAccessBlock")) == BUCKETS
    assert not program("minio").of(":BucketPublicAccessBlock"), "MinIO answers with an error"


def test_a_prefix_with_a_shorter_retention_has_a_rule_of_its_own_on_every_target() -> None:
    bucket = MAPPING.rustfs.buckets["offline-kits"].model_copy(
        update={"noncurrent_versions": {"feeds/": Duration.parse("30d")}}
    )
    buckets = MAPPING.rustfs.buckets | {"offline-kits": bucket}
    mapping = MAPPING.model_copy(update={"rustfs": MAPPING.rustfs.model_copy(update={"buckets": buckets})})
    name = "expire-noncurrent-versions-of-feeds/"
    rule = program(mapping=mapping).of(":Bucket")["offline-kits"]["rules"][name]
    assert rule == {"Prefix": "feeds/", "NoncurrentVersionExpiration": {"NoncurrentDays": 30}}
    rules = program("aws", mapping=mapping).of(":BucketLifecycleConfiguration")["offline-kits"]["rules"]
    (found,) = [rule for rule in rules if rule["id"] == name]
    assert found["filter"] == {"prefix": "feeds/"} and found["noncurrentVersionExpiration"] == {"noncurrentDays": 30}


def test_on_aws_modules_are_iam_users_with_the_same_policies_and_rotation_makes_another_key() -> None:
    recorder = program("aws")
    assert set(recorder.of("iam/user:User")) == USERS
    policies = recorder.of(":UserPolicy")
    assert json.loads(policies["attestor"]["policy"])["Statement"][0]["Resource"] == [
        "arn:aws:s3:::blobs/????/*/attestation.dsse"
    ]
    assert set(recorder.of(":AccessKey")) == {f"{name}-1" for name in USERS}


def test_on_aws_everything_is_the_official_provider_and_means_the_same() -> None:
    recorder = program("aws")
    ours = {BUCKET, USER}
    assert not [resource for resource in recorder.resources if resource.type in ours]
    buckets = {
        resource.name: resource.inputs for resource in recorder.resources if resource.type == "aws:s3/bucket:Bucket"
    }
    assert set(buckets) == BUCKETS
    assert {name for name, bucket in buckets.items() if bucket["objectLockEnabled"]} == {"evidence"}
    for name, lifecycle in recorder.of(":BucketLifecycleConfiguration").items():
        rules = {rule["id"]: rule for rule in lifecycle["rules"]}
        assert rules["expire-noncurrent-versions"]["noncurrentVersionExpiration"] == {"noncurrentDays": 90}, name
        assert rules["remove-expired-delete-markers"]["expiration"] == {"expiredObjectDeleteMarker": True}, name
        assert rules["abort-stale-uploads"]["abortIncompleteMultipartUpload"] == {"daysAfterInitiation": 1}, name
    assert set(recorder.of(":BucketVersioning")) == BUCKETS


@pytest.mark.parametrize("target", ["rustfs", "minio", "aws"])
def test_each_resource_names_its_provider(target: str) -> None:
    providers = {"aws:": "::object-store", "stellaops:objectstore:": "::stellaops"}
    loose = [
        resource.name
        for resource in program(target).resources
        for start, provider in providers.items()
        if resource.type.startswith(start) and provider not in resource.provider
    ]
    assert not loose, f"these would slip to a default provider: {loose}"
