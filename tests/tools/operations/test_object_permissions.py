"""What policies allow on the stack's buckets, in whatever form they are written."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.mapping import load
from components.rustfs.policies import identity_policy
from components.rustfs.policy_documents import Document, by_name
from tests.support.stack import PROJECT
from tools.operations.drift_rustfs.globs import covers, overlaps
from tools.operations.drift_rustfs.permissions import describe, granted, unlimited

BUCKETS = ("blobs", "evidence")
EVERYTHING = (
    "list, read, write, delete, configure, lift the locks of and inspect blobs, evidence;"
    " manage users, policies or the server (admin:*)"
)


def statement(effect: str = "Allow", **parts: Any) -> Document:
    """``Resource`` and ``NotResource`` without the beginning of the ARN."""
    for key in ("Resource", "NotResource"):
        if key in parts:
            parts[key] = [f"arn:aws:s3:::{item}" for item in parts[key]]
    return {"Effect": effect, **parts}


def allowed(*statements: Document) -> str:
    return describe(granted([{"Version": "2012-10-17", "Statement": list(statements)}], BUCKETS))


READ = statement(Action=["s3:GetObject"], Resource=["*"])


@pytest.mark.parametrize(
    ("statements", "text"),
    [
        ([READ], "read blobs, evidence"),
        ([statement(Action="s3:getobject", Resource=["blobs/a/*"])], "read blobs"),
        ([statement(Action=["s3:*"], Resource=["blobs"])], "list, delete, configure and inspect blobs"),
        # MinIO compares actions on the bucket with a slash after its name, which the pattern of its objects matches.
        ([statement(Action=["s3:Put*"], Resource=["?lobs/*"])], "write, configure and lift the locks of blobs"),
        ([statement(Action=["s3:GetObject"], Resource=["${aws:username}/*"])], "read blobs, evidence"),
        ([statement(Action=["s3:GetObject"], Resource=["blobs-of-others/*", "other/blobs/*"])], ""),
        ([statement(Action=["s3:SelectObjectContent"], Resource=["blobs/*"])], "use s3:SelectObjectContent on blobs"),
        ([statement(Action=["s3:ListAllMyBuckets", "s3:CreateBucket", "kms:*"], Resource=["*"])], ""),
        # Negated parts
        ([statement(NotAction=["s3:Put*", "s3:Delete*", "s3:Get*", "s3:List*", "admin:*"], Resource=["evidence/*"])], "write, delete, configure, lift the locks of and inspect evidence"),
        ([statement(Action=["s3:GetObject"], NotResource=["blobs/*"])], "read evidence"),
        ([statement(Action=["s3:GetObject"], NotResource=["blobs/public/*", "evidence*"])], "read blobs"),
        ([statement(NotAction=["s3:*"], Resource=["*"])], "manage users, policies or the server (admin:*)"),
        # Administration, for which servers ignore resources
        ([statement(Action=["admin:*"])], "manage users, policies or the server (admin:*)"),
        ([statement(Action=["admin:Create*", "admin:ServerInfo"], Resource=["nothing"])], "manage users, policies or the server (admin:CreatePolicy, admin:CreateServiceAccount, admin:CreateUser)"),
        ([statement(Action=["admin:ServerInfo", "admin:ListUsers"])], ""),
        ([statement(Action="*", Resource=["*"])], EVERYTHING),
        # Denials count only if they certainly apply
        ([READ, statement("Deny", Action=["s3:*"], Resource=["evidence*"])], "read blobs"),
        ([READ, statement("Deny", NotAction=["s3:PutObject"], NotResource=["evidence/*"])], "read evidence"),
        ([READ, statement("Deny", Action=["s3:GetObject"], Resource=["evidence/secret/*"])], "read blobs, evidence"),
        ([READ, statement("Deny", Action=["s3:GetObject"], Resource=["*"], Condition={"Bool": {"aws:SecureTransport": False}})], "read blobs, evidence"),
        ([statement(Action=["admin:*"]), statement("Deny", Action=["admin:*"])], ""),
        # A condition of an Allow may hold
        ([{**READ, "Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}}], "read blobs, evidence"),
    ],
)  # fmt: skip
def test_a_policy_allows_what_its_statements_together_may_allow(statements: list[Document], text: str) -> None:
    assert allowed(*statements) == text


def test_root_may_do_everything() -> None:
    assert describe(unlimited(BUCKETS)) == EVERYTHING


def test_the_policies_of_the_mapping_allow_what_its_verbs_say() -> None:
    mapping = load(PROJECT / "schema-mapping.yaml")

    def text(module: str) -> str:
        policy = identity_policy(mapping, module, "")
        assert policy
        return describe(granted([policy], mapping.rustfs.buckets))

    assert text("evidence_locker") == "list, read, write and inspect evidence"
    assert (
        text("export_center") == "list, read and inspect evidence; list, read, write, delete and inspect offline-kits"
    )


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"Statement": None},
        {"Statement": {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}},
        {"Statement": [{"Effect": "Allow", "Action": ["admin:*"]}]},
        {"Statement": [{"Effect": "Deny", "NotPrincipal": {"CanonicalUser": "x"}, "NotAction": "s3:Get*", "NotResource": "*"}]},
        {"Statement": [{"Effect": "Allow", "Principal": {"Service": "x"}, "Action": "*", "Resource": "*", "Condition": {"Bool": {"a": True}, "NumericLessThan": {"b": [1, 2]}}}]},
    ],
)  # fmt: skip
def test_unusual_documents_are_compared_without_an_error(document: Document) -> None:
    assert len(by_name(document)) == (1 if document.get("Statement") else 0)
    granted([document], BUCKETS)


TEXT = st.text("ab/", max_size=5)
PATTERN = st.text("ab/*?", max_size=5)


def matches(pattern: str, text: str) -> bool:
    if not pattern:
        return not text
    if pattern[0] == "*":
        return any(matches(pattern[1:], text[start:]) for start in range(len(text) + 1))
    return bool(text) and pattern[0] in ("?", text[0]) and matches(pattern[1:], text[1:])


@given(PATTERN, PATTERN, TEXT)
def test_patterns_are_compared_as_servers_match_them(one: str, other: str, text: str) -> None:
    assert covers(one, text) == matches(one, text)
    if matches(one, text) and matches(other, text):
        assert overlaps(one, other)
    if covers(one, other) and matches(other, text):
        assert matches(one, text), "a denial would count that does not apply"
    if not overlaps(one, other):
        assert not (matches(one, text) and matches(other, text))
