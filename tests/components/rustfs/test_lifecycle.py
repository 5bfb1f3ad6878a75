"""Lifecycle rules: what is asked for, and servers' answers in comparable form."""

from typing import Any

import pytest

from components.rustfs.lifecycle import from_s3, left_to_server, retention_rules, to_s3

RULES = retention_rules(90, 1)


def test_each_rule_has_an_id_and_does_one_thing() -> None:
    sent = to_s3(RULES)["Rules"]
    assert [rule["ID"] for rule in sent] == list(RULES), "without an ID, the server would number them"
    for rule in sent:
        actions = set(rule) - {"ID", "Status", "Filter"}
        assert len(actions) == 1, f"{rule['ID']}: a delete-marker rule must stand by itself"


def test_no_rule_deletes_a_current_version() -> None:
    for rule in to_s3(RULES)["Rules"]:
        assert not {"Days", "Date"} & set(rule.get("Expiration", {})), rule["ID"]


@pytest.mark.parametrize(
    "answered",
    [
        {"Filter": {"Prefix": ""}},
        {"Filter": {}},
        {"Prefix": ""},
        {},
        {"Filter": {"Prefix": ""}, "Expiration": {"ExpiredObjectDeleteMarker": False}},
    ],
)
def test_answers_that_mean_the_same_are_no_drift(answered: dict[str, Any]) -> None:
    rule = {"ID": "r", "Status": "Enabled", "NoncurrentVersionExpiration": {"NoncurrentDays": 90}, **answered}
    found = from_s3({"Rules": [rule]})
    assert found == {"r": {"Prefix": "", "NoncurrentVersionExpiration": {"NoncurrentDays": 90}}}


def test_what_is_sent_reads_back_as_it_was() -> None:
    assert from_s3(to_s3(RULES)) == RULES


def test_only_minio_is_left_to_abort_uploads_by_itself() -> None:
    assert left_to_server("MinIO", RULES) == ["abort-stale-uploads"]
    for server in ("RustFS", "AmazonS3", "", "ceph"):
        assert left_to_server(server, RULES) == [], f"{server} must be told, or say what it lacks"
