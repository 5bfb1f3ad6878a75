"""What the ObjectStore component asks for, resource by resource."""

from pathlib import Path
from typing import Any

import pulumi
import pulumi_aws as aws
import pytest

from components.mapping import load
from components.rustfs.component import ObjectStore, ObjectStoreArgs
from components.settings import ObjectStoreSettings
from tests.program.recorder import Recorder, record

ROOT = Path(__file__).parents[2]
MAPPING = load(ROOT / "schema-mapping.yaml")
BUCKETS = {"blobs", "images", "evidence", "offline-kits"}


def program(target: Any = "rustfs", prefix: str = "", **changes: Any) -> Recorder:
    def run() -> None:
        settings = ObjectStoreSettings(
            target=target, endpoint="http://rustfs:9000", region="us-east-1", access_key=pulumi.Output.secret("access"),
            secret_key=pulumi.Output.secret("secret"), bucket_prefix=prefix,
        )  # fmt: skip
        provider = aws.Provider("object-store", region="us-east-1")
        arguments = {"protect": False, "allow_data_loss": False, **changes}
        ObjectStore("rustfs", ObjectStoreArgs(mapping=MAPPING, settings=settings, provider=provider, **arguments))

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
    assert {name for name, bucket in recorder.of(":Bucket").items() if bucket["object_lock"]} == {"evidence"}


def test_old_versions_are_kept_as_long_as_the_backup_table_says(recorder: Recorder) -> None:
    for name, bucket in recorder.of(":Bucket").items():
        assert bucket["rules"]["expire-noncurrent-versions"]["NoncurrentVersionExpiration"] == {"NoncurrentDays": 90}, (
            name
        )
        assert bucket["rules"]["abort-stale-uploads"]["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 1}, (
            name
        )


def test_objects_go_with_their_bucket_only_where_the_stack_allows_it(recorder: Recorder) -> None:
    assert not any(bucket["force_destroy"] for bucket in recorder.of(":Bucket").values())
    assert all(bucket["force_destroy"] for bucket in program(allow_data_loss=True).of(":Bucket").values())


def test_no_credential_is_an_input_of_a_bucket(recorder: Recorder) -> None:
    inputs = [resource.inputs for resource in recorder.resources if "providers" not in resource.type]
    assert "secret" not in repr(inputs) and "access" not in repr(inputs)


def test_rustfs_is_asked_for_nothing_that_only_aws_answers(recorder: Recorder) -> None:
    official = {resource.type for resource in recorder.resources if resource.type.startswith("aws:")}
    assert official == {"aws:s3/bucketVersioning:BucketVersioning"}
    assert "tags" not in repr(recorder.resources)


def test_on_aws_everything_is_the_official_provider_and_means_the_same() -> None:
    recorder = program("aws")
    assert not [resource for resource in recorder.resources if "dynamic" in resource.type]
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


@pytest.mark.parametrize("target", ["rustfs", "aws"])
def test_each_official_resource_names_its_provider(target: str) -> None:
    loose = [
        r.name for r in program(target).resources if r.type.startswith("aws:s3") and "::object-store" not in r.provider
    ]
    assert not loose, f"these would slip to a default provider: {loose}"
