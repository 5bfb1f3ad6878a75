"""Policies that follow from the mapping, and what makes two of them the same."""

from pathlib import Path
from typing import Any

import pytest

from components.mapping import load
from components.mapping.model import RustfsAccess
from components.mapping.values import ObjectPath
from components.rustfs.policies import guard_policy, identity_policy
from components.rustfs.policy_documents import by_name, document_of, is_guard, lifted
from components.rustfs.servers import KINDS

MAPPING = load(Path(__file__).parents[3] / "schema-mapping.yaml")


def statements(module: str, prefix: str = "") -> dict[str, Any]:
    document = identity_policy(MAPPING, module, prefix)
    assert document is not None
    return by_name(document)


def test_the_attestor_reaches_attestations_below_a_four_character_level_and_lists_nothing_else() -> None:
    found = statements("attestor")
    assert "s3:PutObject" in found["Allow blobs/????/*/attestation.dsse"]["Action"]
    listing = found["Allow blobs where s3:prefix StringLike ????/*/attestation.dsse"]
    assert listing["Action"] == ["s3:ListBucket"]
    assert not [name for name in found if name.startswith("Allow blobs/*")], "it would read every SBOM"


def test_content_addressed_and_locked_buckets_are_written_to_and_not_deleted_in() -> None:
    assert "s3:DeleteObject" not in statements("scanner")["Allow blobs/*"]["Action"]
    assert "s3:DeleteObject" not in statements("evidence_locker")["Allow evidence/*"]["Action"]
    assert "s3:DeleteObject" in statements("scanner")["Allow images/*"]["Action"]


def test_reading_is_reading() -> None:
    assert statements("export_center")["Allow evidence/*"]["Action"] == ["s3:GetObject"]


def test_a_path_that_a_module_owns_and_reads_is_listed_once() -> None:
    path = ObjectPath("evidence/bundle-1/")
    module = MAPPING.modules["evidence_locker"].model_copy(update={"rustfs": RustfsAccess(owns=(path,), reads=(path,))})
    mapping = MAPPING.model_copy(update={"modules": {**MAPPING.modules, "evidence_locker": module}})
    policy = identity_policy(mapping, "evidence_locker", "")
    assert policy is not None
    listed = [part["Condition"]["StringLike"]["s3:prefix"] for part in policy["Statement"] if "Condition" in part]
    assert listed == [["bundle-1/*"]], "MinIO refuses a policy with a duplicate value"


@pytest.mark.parametrize("module", ["scanner", "airgap", "attestor"])
def test_no_module_may_ever_delete_a_version_or_lift_a_lock(module: str) -> None:
    denied = statements(module)["Deny *"]["Action"]
    assert {"s3:DeleteObjectVersion", "s3:BypassGovernanceRetention", "s3:PutObjectRetention"} <= set(denied)


def test_a_module_without_objects_has_no_policy() -> None:
    assert identity_policy(MAPPING, "authority", "") is None


def test_environments_on_one_cluster_do_not_meet() -> None:
    names = statements("scanner", "dev-")
    assert "Allow dev-blobs/*" in names and "Allow blobs/*" not in names


def test_names_of_actions_are_those_of_each_server() -> None:
    # A server refuses a policy with an action that it does not know.
    assert "s3:PutBucketLifecycle" in by_name(guard_policy("evidence", "rustfs"))["Deny evidence"]["Action"]
    assert "s3:PutLifecycleConfiguration" in by_name(guard_policy("evidence", "minio"))["Deny evidence"]["Action"]
    assert set(KINDS) == {"rustfs", "minio", "aws"}


def test_the_guard_denies_everybody_deletes_and_changes_of_what_keeps_versions() -> None:
    found = by_name(guard_policy("evidence", "rustfs"))
    assert found["Deny evidence/*"]["Action"] == [
        "s3:BypassGovernanceRetention", "s3:DeleteObject", "s3:DeleteObjectVersion",
    ]  # fmt: skip
    assert found["Deny evidence"]["Action"] == ["s3:PutBucketLifecycle", "s3:PutBucketVersioning"]
    assert all(statement["Principal"] == ["*"] for statement in found.values())


def test_a_lifted_guard_still_keeps_objects() -> None:
    guard = guard_policy("evidence", "rustfs")
    assert is_guard(lifted(guard)) and list(by_name(lifted(guard))) == ["Deny evidence/*"]
    assert not is_guard({"Statement": [{"Effect": "Deny", "Sid": "Theirs"}]})


def test_what_a_server_makes_of_a_policy_is_the_same_policy() -> None:
    sent = identity_policy(MAPPING, "scanner", "")
    assert sent is not None
    # As RustFS completes a statement and MinIO merges two: empty parts, other orders, one statement for two buckets.
    answered = {
        "ID": "",
        "Version": "2012-10-17",
        "Statement": [
            {"Sid": "", "NotAction": [], "NotResource": [], "Condition": {}, **statement, "Action": statement["Action"][::-1]}
            for statement in sent["Statement"]
            if statement["Action"] not in (["s3:GetBucketLocation"], ["s3:ListBucket"])
        ]
        + [{"Effect": "Allow", "Action": ["s3:ListBucket", "s3:GetBucketLocation"], "Resource": ["arn:aws:s3:::images", "arn:aws:s3:::blobs"]}],
    }  # fmt: skip
    assert by_name(answered) == by_name(sent)
    assert by_name(document_of(by_name(sent))) == by_name(sent)


@pytest.mark.parametrize(
    "changed",
    [
        {"Effect": "Deny"},
        {"Action": ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"]},
        {"Resource": "arn:aws:s3:::blobs/x*"},
        {"NotAction": ["s3:GetObject"], "Action": []},
        {"Condition": {"StringLike": {"s3:prefix": "x/*"}}},
        {"Principal": {"AWS": ["scanner"]}},
    ],
    ids=["effect", "action", "resource", "not action", "condition", "principal"],
)
def test_each_change_of_a_statement_shows(changed: dict[str, Any]) -> None:
    plain = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::blobs/*", "Principal": "*"}
    assert by_name({"Statement": [plain]}) != by_name({"Statement": [plain | changed]})
