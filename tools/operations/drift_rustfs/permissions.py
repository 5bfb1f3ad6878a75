"""What policies may allow on a bucket, whatever form they have: wildcards, NotAction, NotResource, several documents.

An upper bound: an Allow counts even if its condition may not hold, and a Deny only if it certainly applies.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from components.rustfs.policy_documents import Document, arn
from tools.operations.drift_rustfs.globs import covers, overlaps

# Verb -> actions on objects and on the bucket itself. Verbs are in the order in which they are printed.
ON_OBJECTS: dict[str, tuple[str, ...]] = {
    "list": ("ListMultipartUploadParts",),
    "read": ("GetObject", "GetObjectVersion", "GetObjectVersionForReplication"),
    "write": (
        "AbortMultipartUpload", "DeleteObjectTagging", "DeleteObjectVersionTagging", "PutObject", "PutObjectAcl",
        "PutObjectFanOut", "PutObjectTagging", "PutObjectVersionAcl", "PutObjectVersionTagging", "ReplicateObject",
        "ReplicateTags", "RestoreObject",
    ),
    "delete": ("DeleteObject", "DeleteObjectVersion", "ReplicateDelete"),
    "lift the locks of": ("BypassGovernanceRetention", "PutObjectLegalHold", "PutObjectRetention"),
    "inspect": (
        "GetObjectAcl", "GetObjectAttributes", "GetObjectLegalHold", "GetObjectRetention", "GetObjectTagging",
        "GetObjectVersionAcl", "GetObjectVersionAttributes", "GetObjectVersionTagging",
    ),
}  # fmt: skip
ON_BUCKETS: dict[str, tuple[str, ...]] = {
    "list": ("ListBucket", "ListBucketMultipartUploads", "ListBucketVersions"),
    "delete": ("DeleteBucket", "ForceDeleteBucket"),
    "configure": (
        "DeleteBucketCors", "DeleteBucketPolicy", "DeleteBucketWebsite", "PutBucketAcl", "PutBucketCors", "PutBucketLifecycle",
        "PutBucketLogging", "PutBucketNotification", "PutBucketObjectLockConfiguration", "PutBucketOwnershipControls",
        "PutBucketPolicy", "PutBucketPublicAccessBlock", "PutBucketTagging", "PutBucketVersioning", "PutBucketWebsite",
        "PutEncryptionConfiguration", "PutLifecycleConfiguration", "PutReplicationConfiguration",
        "ResetBucketReplicationState",
    ),
    "inspect": (
        "GetBucketAcl", "GetBucketCors", "GetBucketLifecycle", "GetBucketLocation", "GetBucketLogging",
        "GetBucketNotification", "GetBucketObjectLockConfiguration", "GetBucketPolicy", "GetBucketPolicyStatus",
        "GetBucketPublicAccessBlock", "GetBucketTagging", "GetBucketVersioning", "GetEncryptionConfiguration",
        "GetLifecycleConfiguration", "GetReplicationConfiguration", "HeadBucket", "ListenBucketNotification",
    ),
}  # fmt: skip
VERBS = ("list", "read", "write", "delete", "configure", "lift the locks of", "inspect")
# Actions that concern no existing bucket, or only the user itself.
IRRELEVANT = ("s3:CreateBucket", "s3:ListAllMyBuckets", "s3:ListenNotification", "kms:*", "sts:*")
# Administrative actions with which a user can obtain access to objects, or change who has it.
ADMINISTRATION = tuple(
    f"admin:{action}"
    for action in (
        "AddUserToGroup", "AttachUserOrGroupPolicy", "ConfigUpdate", "CreatePolicy", "CreateServiceAccount", "CreateUser",
        "DeletePolicy", "DeleteUser", "DisableUser", "EnableGroup", "EnableUser", "ExportBucketMetadata", "ExportIAM",
        "ImportBucketMetadata", "ImportIAM", "InspectData", "RemoveServiceAccount", "RemoveUserFromGroup", "ServerUpdate",
        "SetBucketTarget", "SetTier", "SiteReplicationAdd", "StartBatchJob", "UpdatePolicyAssociation",
        "UpdateServiceAccount",
    )
)  # fmt: skip
SERVER = ""  # in the place of a bucket: the server's administration
_VARIABLE = re.compile(r"\$\{[^}]*\}")

_VERB_OF = {
    f"s3:{action}": verb for group in (ON_OBJECTS, ON_BUCKETS) for verb, actions in group.items() for action in actions
}
_OBJECT_ACTIONS = {f"s3:{action}" for actions in ON_OBJECTS.values() for action in actions}
_KNOWN = (*_VERB_OF, *ADMINISTRATION)


@dataclass(frozen=True)
class Permission:
    """``bucket`` is a physical name, or ``SERVER``. ``action`` is like ``s3:GetObject``."""

    bucket: str
    action: str

    @property
    def verb(self) -> str:
        """``read``, for example. For an action that this module does not classify, ``use`` and its name."""
        return _VERB_OF.get(self.action, f"use {self.action} on")


def granted(documents: Iterable[Document], buckets: Iterable[str]) -> frozenset[Permission]:
    """Everything that these identity policies together may allow on the buckets, and on the server."""
    statements = [_Statement.of(item) for document in documents for item in _list(document.get("Statement"))]
    allows = [item for item in statements if item.allows]
    denies = [item for item in statements if not item.allows and not item.conditional]
    return frozenset(
        Permission(bucket, action)
        for bucket in (*buckets, SERVER)
        for action in (ADMINISTRATION if bucket == SERVER else _s3_actions(allows))
        if any(item.may_apply(action, bucket) for item in allows)
        and not any(item.applies(action, bucket) for item in denies)
    )


def unlimited(buckets: Iterable[str]) -> frozenset[Permission]:
    """Everything that root may do."""
    return granted([{"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}], buckets)


def describe(permissions: Iterable[Permission]) -> str:
    """Text like ``list and read blobs, images; list evidence; manage users and policies (admin:*)``."""
    by_bucket: dict[str, set[str]] = {}
    administration = set()
    for item in permissions:
        if item.bucket == SERVER:
            administration.add(item.action)
        else:
            by_bucket.setdefault(item.bucket, set()).add(item.verb)
    by_verbs: dict[tuple[str, ...], list[str]] = {}
    for bucket, verbs in sorted(by_bucket.items()):
        ordered = (*(verb for verb in VERBS if verb in verbs), *sorted(verbs - set(VERBS)))
        by_verbs.setdefault(ordered, []).append(bucket)
    parts = [f"{_and(verbs)} {', '.join(names)}" for verbs, names in by_verbs.items()]
    if administration:
        actions = "admin:*" if administration == set(ADMINISTRATION) else ", ".join(sorted(administration))
        parts.append(f"manage users, policies or the server ({actions})")
    return "; ".join(parts)


@dataclass(frozen=True)
class _Statement:
    """A statement; ``resources`` without the beginning of the ARN."""

    allows: bool
    actions: tuple[str, ...]
    not_actions: tuple[str, ...]
    resources: tuple[str, ...]
    not_resources: tuple[str, ...]
    conditional: bool

    @staticmethod
    def of(item: Mapping[str, Any]) -> "_Statement":
        return _Statement(
            allows=item.get("Effect") == "Allow",
            actions=tuple(_list(item.get("Action"))),
            not_actions=tuple(_list(item.get("NotAction"))),
            resources=tuple(resource.removeprefix(arn("")) for resource in _list(item.get("Resource"))),
            not_resources=tuple(resource.removeprefix(arn("")) for resource in _list(item.get("NotResource"))),
            conditional=bool(item.get("Condition")),
        )

    def may_apply(self, action: str, bucket: str) -> bool:
        """Whether it applies to the action on some resource of the bucket. Variables may have any value."""
        if not self._has_action(action):
            return False
        if self._ignores_resources:
            return True
        resources = [_VARIABLE.sub("*", resource) for resource in self.resources or ("*",)]
        places = _places(action, bucket)
        return any(overlaps(resource, place) for resource in resources for place in places) and not all(
            any(covers(excluded, place) for excluded in self.not_resources) for place in places
        )

    def applies(self, action: str, bucket: str) -> bool:
        """Whether it certainly applies to the action on every resource of the bucket."""
        if not self._has_action(action):
            return False
        if self._ignores_resources:
            return True
        # MinIO also denies an action on the bucket by a pattern of its objects. Other servers do not.
        places = [place for place in _places(action, bucket) if place != f"{bucket}/"]
        return all(
            any(covers(resource, place) for resource in self.resources or ("*",))
            and not any(overlaps(_VARIABLE.sub("*", excluded), place) for excluded in self.not_resources)
            for place in places
        )

    def _has_action(self, action: str) -> bool:
        if self.actions:
            return any(_matches(pattern, action) for pattern in self.actions)
        return not any(_matches(pattern, action) for pattern in self.not_actions)

    @property
    def _ignores_resources(self) -> bool:
        """Servers ignore the resources of a statement of administrative actions."""
        return bool(self.actions) and all(action.startswith("admin:") for action in self.actions)


def _s3_actions(allows: list[_Statement]) -> Iterator[str]:
    """The classified actions, and those that a statement names and this module does not classify."""
    yield from _VERB_OF
    named = {action for item in allows for action in item.actions if not action.startswith("admin:")}
    for action in sorted(named):
        if not any(_matches(action, known) for known in _KNOWN) and not any(_matches(i, action) for i in IRRELEVANT):
            yield action


def _places(action: str, bucket: str) -> tuple[str, ...]:
    """The resources that an action on the bucket may have, as patterns."""
    if bucket == SERVER:
        return ("/*",)
    if action in _OBJECT_ACTIONS:
        return (f"{bucket}/*",)
    # MinIO compares bucket actions with the bucket's name followed by a slash.
    return (bucket, f"{bucket}/") if action in _VERB_OF else (bucket, f"{bucket}/*")


def _matches(pattern: str, action: str) -> bool:
    return covers(pattern.lower(), action.lower())


def _list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value] if value else []


def _and(words: tuple[str, ...]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
