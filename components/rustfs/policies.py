"""Policy documents from the mapping: modules' identity policies, and guard policies of buckets that keep everything."""

from components.config.values import ObjectStoreTarget
from components.mapping import Mapping
from components.mapping.access import ObjectAccess
from components.rustfs.policy_documents import KEEP_OBJECTS, KEEP_SETTINGS, VERSION, Document, arn
from components.rustfs.servers import KINDS

SHA256_PREFIX_LENGTH = 4  # of {sha256_prefix} in the mapping's layout

READ: tuple[str, ...] = ("s3:GetObject",)
WRITE: tuple[str, ...] = ("s3:AbortMultipartUpload", "s3:GetObject", "s3:ListMultipartUploadParts", "s3:PutObject")
DELETE: tuple[str, ...] = ("s3:DeleteObject",)
# Denied to every module, so that deleted and overwritten objects can be restored and object locks hold. On some servers
# DeleteObject also allows deleting versions, unless that is denied.
DENIED = ("s3:BypassGovernanceRetention", "s3:DeleteObjectVersion", "s3:PutObjectLegalHold", "s3:PutObjectRetention")


def pattern(mapping: Mapping, access: ObjectAccess) -> str:
    """The keys of ``access`` as a policy pattern, in which ``*`` matches any text with slashes and ``?`` one character.

    ``*`` before an object of the bucket's layout is replaced with the layout's root: ``blobs/*/attestation.dsse`` becomes
    ``????/*/attestation.dsse``.
    """
    bucket = mapping.rustfs.buckets[access.bucket]
    start, _, name = access.prefix.partition("/")
    if start == "*" and name in bucket.objects:
        levels = bucket.root.rstrip("/").split("/")
        globs = ["?" * SHA256_PREFIX_LENGTH if level == "{sha256_prefix}" else "*" for level in levels]
        return "/".join([*globs, name])
    return f"{access.prefix}*" if access.prefix.endswith("/") or not access.prefix else access.prefix


def identity_policy(mapping: Mapping, module: str, bucket_prefix: str) -> Document | None:
    """The policy of the module's access key; None for a module without objects, which gets no key."""
    statements: list[Document] = []
    buckets: dict[str, list[str]] = {}
    for access in mapping.access.objects[module]:
        bucket, keys = bucket_prefix + access.bucket, pattern(mapping, access)
        buckets.setdefault(bucket, []).append(keys)
        actions = READ if access.verb == "read" else WRITE
        if access.verb == "write" and not mapping.rustfs.buckets[access.bucket].keeps_everything:
            actions += DELETE
        statements.append(_statement("Allow", sorted(actions), f"{bucket}/{keys}"))
    if not statements:
        return None
    for bucket, prefixes in buckets.items():
        listing = _statement("Allow", ["s3:ListBucket"], bucket)
        if "*" not in prefixes:
            listing["Condition"] = {"StringLike": {"s3:prefix": sorted(set(prefixes))}}
        statements += [_statement("Allow", ["s3:GetBucketLocation"], bucket), listing]
    statements.append(_statement("Deny", list(DENIED), "*"))
    return {"Version": VERSION, "Statement": statements}


def guard_policy(bucket: str, target: ObjectStoreTarget) -> Document:
    """The bucket policy of a bucket that keeps everything: nobody may delete versions or shorten their retention.

    On servers with ``ServerKind.denies_root`` it also binds the admin, so the bucket's resource lifts ``KEEP_SETTINGS``
    before it changes the lifecycle. On AWS the official bucket resource can't do that, so there is no such statement;
    there, the modules' identity policies do not allow these actions.
    """
    denied = ["s3:BypassGovernanceRetention", "s3:DeleteObject", "s3:DeleteObjectVersion"]
    settings = sorted([KINDS[target].put_lifecycle, "s3:PutBucketVersioning"])
    statements = [_for_all(KEEP_OBJECTS, denied, f"{bucket}/*")]
    if target != "aws":
        statements.append(_for_all(KEEP_SETTINGS, settings, bucket))
    return {"Version": VERSION, "Statement": statements}


def _statement(effect: str, actions: list[str], path: str) -> Document:
    return {"Effect": effect, "Action": actions, "Resource": [arn(path)]}


def _for_all(sid: str, actions: list[str], path: str) -> Document:
    return {"Sid": sid, "Principal": "*", **_statement("Deny", actions, path)}
