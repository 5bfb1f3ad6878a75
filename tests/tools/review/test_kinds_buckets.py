"""What a change of a bucket, its guard and its access keys means, where no recording shows it."""

import json
from typing import Any

import pytest

from tests.tools.review.synthetic import event, only, sentences, verdict
from tools.review.risk import Risk
from tools.review.tokens import (
    AWS_BUCKET,
    BUCKET,
    BUCKET_POLICY,
    LIFECYCLE,
    OBJECT_LOCK,
    OBJECT_STORE_USER,
    PUBLIC_ACCESS_BLOCK,
    VERSIONING,
)


def test_a_bucket_that_stops_keeping_versions_is_data_loss() -> None:
    enabled, suspended = (
        {"bucket": "blobs", "versioningConfiguration": {"status": s}} for s in ("Enabled", "Suspended")
    )
    found = verdict(
        event("update", VERSIONING, "blobs", enabled, suspended),
        event("same", BUCKET, "blobs", {"bucket": "blobs"}, {"bucket": "blobs"}),
    )
    assert found.risk == Risk.DATA_LOSS and found.violations[0].rule == "bucket-versioning"
    assert only(event("delete", VERSIONING, "blobs", enabled))[0] == Risk.DATA_LOSS


def _rules(**days: int) -> dict[str, Any]:
    return {"bucket": "blobs", "rules": {"a": {"Prefix": "", "NoncurrentVersionExpiration": {"NoncurrentDays": days["noncurrent"]}},
                                         "b": {"Prefix": "", "Expiration": {"Days": days["current"]} if "current" in days else {}}}}  # fmt: skip


def test_a_rule_that_deletes_current_objects_is_data_loss() -> None:
    told = only(event("update", BUCKET, "blobs", _rules(noncurrent=90), _rules(noncurrent=90, current=30)))
    assert told == (Risk.DATA_LOSS, "`blobs` deletes **current objects** after 30 days instead of never")


def test_lifecycle_of_the_official_resource_is_read_the_same() -> None:
    def rules(days: int) -> dict[str, Any]:
        return {
            "bucket": "blobs",
            "rules": [{"id": "a", "status": "Enabled", "noncurrentVersionExpiration": {"noncurrentDays": days}}],
        }

    told = only(event("update", LIFECYCLE, "blobs", rules(90), rules(30)))
    assert told == (Risk.RETENTION_SHORTENED, "`blobs` keeps noncurrent versions for 30 days instead of 90 days")


def test_a_shorter_object_lock_is_shorter_retention() -> None:
    def lock(days: int) -> dict[str, Any]:
        return {"bucket": "evidence", "rule": {"defaultRetention": {"mode": "GOVERNANCE", "days": days}}}

    assert only(event("update", OBJECT_LOCK, "evidence", lock(90), lock(30)))[0] == Risk.RETENTION_SHORTENED


def test_a_bucket_of_the_official_resource_is_a_bucket() -> None:
    assert only(event("delete", AWS_BUCKET, "blobs", {"bucket": "blobs", "forceDestroy": True}))[0] == Risk.DATA_LOSS


def _lock(mode: str) -> dict[str, Any]:
    return {"bucket": "evidence", "rule": {"defaultRetention": {"mode": mode, "days": 90}}}


def test_a_lock_that_nobody_can_lift_is_told_as_final() -> None:
    risk, sentence = only(event("update", OBJECT_LOCK, "evidence", _lock("GOVERNANCE"), _lock("COMPLIANCE")))
    assert risk == Risk.ACCESS_REVOKED and "nobody can lift" in sentence and "cannot be undone" in sentence
    assert only(event("update", OBJECT_LOCK, "evidence", _lock("COMPLIANCE"), _lock("GOVERNANCE")))[0] == (
        Risk.RETENTION_SHORTENED
    )


def _policy(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"bucket": "evidence", "policy": json.dumps({"Statement": list(statements)})}


GUARD = {"Sid": "KeepObjects", "Effect": "Deny", "Principal": "*", "Action": ["s3:DeleteObject"]}
OPEN = {"Effect": "Allow", "Principal": {"AWS": ["*"]}, "Action": "s3:GetObject"}


def test_a_guard_that_is_lifted_lets_data_be_destroyed() -> None:
    told = only(event("update", BUCKET_POLICY, "evidence", _policy(GUARD), _policy()))
    assert told == (Risk.DATA_LOSS, "`evidence`: objects **can be deleted** again")
    assert only(event("delete", BUCKET_POLICY, "evidence", _policy(GUARD)))[0] == Risk.DATA_LOSS
    assert only(event("create", BUCKET_POLICY, "evidence", None, _policy(GUARD)))[0] == Risk.ACCESS_REVOKED


def test_a_policy_that_lets_everyone_in_widens_access_and_breaks_a_rule() -> None:
    found = verdict(event("update", BUCKET_POLICY, "evidence", _policy(GUARD), _policy(GUARD, OPEN)))
    assert sentences(found) == [(Risk.ACCESS_WIDENED, "`evidence`: its policy allows everyone `s3:GetObject`")]
    assert [item.rule for item in found.violations] == ["no-public-grant"]


def test_public_access_that_is_no_longer_blocked_widens_access() -> None:
    blocked = {"bucket": "blobs", "blockPublicAcls": True, "blockPublicPolicy": True}
    assert only(event("delete", PUBLIC_ACCESS_BLOCK, "blobs", blocked))[0] == Risk.ACCESS_WIDENED
    opened = {**blocked, "blockPublicPolicy": False}
    told = only(event("update", PUBLIC_ACCESS_BLOCK, "blobs", blocked, opened))
    assert told == (Risk.ACCESS_WIDENED, "`blobs`: public access is **no longer blocked** (`blockPublicPolicy`)")


def _statement(*actions: str, effect: str = "Allow") -> dict[str, Any]:
    return {"Effect": effect, "Action": list(actions)}


LISTING = {
    "Allow offline-kits": _statement("s3:GetBucketLocation"),
    "Allow offline-kits where s3:prefix StringLike *": _statement("s3:ListBucket"),
}
DENIED = {"Deny *": _statement("s3:DeleteObjectVersion", effect="Deny")}
READS = {"Allow offline-kits/*": _statement("s3:GetObject"), **LISTING, **DENIED}
WRITES = {**READS, "Allow offline-kits/*": _statement("s3:GetObject", "s3:PutObject", "s3:DeleteObject")}


def _user(policy: dict[str, Any], **more: object) -> dict[str, Any]:
    return {"user": "airgap", "rotate": 1, "state": "enabled", "policy": policy, **more}


@pytest.mark.parametrize(
    ("before", "after", "risk", "sentence"),
    [
        (READS, WRITES, Risk.ACCESS_WIDENED, "`airgap` gains write and delete access to `offline-kits/`"),
        (WRITES, READS, Risk.ACCESS_REVOKED, "`airgap` loses write and delete access to `offline-kits/`"),
        (DENIED, READS, Risk.ACCESS_WIDENED, "`airgap` gains read access to `offline-kits/`"),
        (LISTING, {}, Risk.ACCESS_REVOKED, "`airgap` loses list access to `offline-kits`"),
        ({**READS}, {**READS, "Deny *": _statement(effect="Deny")}, Risk.ACCESS_WIDENED,
         "`airgap` is no longer denied `s3:DeleteObjectVersion` on `*`"),
        ({**READS, "policy root": "attached"}, READS, Risk.ACCESS_REVOKED,
         "`airgap` loses `policy root`, which was attached manually"),
    ],
)  # fmt: skip
def test_access_keys_are_told_by_what_they_may_do(
    before: dict[str, Any], after: dict[str, Any], risk: Risk, sentence: str
) -> None:
    assert only(event("update", OBJECT_STORE_USER, "airgap", _user(before), _user(after))) == (risk, sentence)


def test_access_keys_come_go_and_are_renewed() -> None:
    made = sentences(verdict(event("create", OBJECT_STORE_USER, "airgap", None, _user(READS))))
    assert made == [
        (Risk.ACCESS_WIDENED, "`airgap` gains read access to `offline-kits/`"),
        (Risk.ADDITIVE, "access key of `airgap` is created"),
    ]
    gone = sentences(verdict(event("delete", OBJECT_STORE_USER, "airgap", _user(READS))))
    assert gone == [
        (Risk.ACCESS_REVOKED, "`airgap` loses read access to `offline-kits/`"),
        (Risk.ACCESS_REVOKED, "access key of `airgap` is deleted"),
    ]
    renewed = only(event("update", OBJECT_STORE_USER, "airgap", _user(READS), _user(READS, rotate=2)))
    assert renewed == (Risk.RESTART, "the secret key of `airgap` is rotated: it must restart to use the new one")
    mended = only(event("update", OBJECT_STORE_USER, "airgap", _user(READS, state="disabled"), _user(READS)))
    assert mended == (Risk.RESTART, "access key of `airgap` is corrected: its state is `disabled`")


def test_a_prefix_before_bucket_names_is_left_away() -> None:
    bucket = event("same", BUCKET, "blobs", {"bucket": "prod-blobs"}, {"bucket": "prod-blobs"})
    policy = {"Allow prod-blobs/*": _statement("s3:GetObject")}
    changed = event("update", OBJECT_STORE_USER, "airgap", _user({}), _user(policy))
    assert sentences(verdict(bucket, changed)) == [(Risk.ACCESS_WIDENED, "`airgap` gains read access to `blobs/`")]
