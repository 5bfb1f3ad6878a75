"""Buckets: creation, deletion, versioning, lifecycle rules and object lock."""

from typing import Any

from tools.review.change import MappingPath, RatedChange
from tools.review.context import ReviewContext
from tools.review.escape import code, codes
from tools.review.kinds import bucket_rights, generic
from tools.review.preview import PreviewStep, ResourceState
from tools.review.risk import Risk
from tools.review.tokens import (
    AWS_BUCKET,
    BUCKET,
    BUCKET_POLICY,
    LIFECYCLE,
    OBJECT_LOCK,
    PUBLIC_ACCESS_BLOCK,
    VERSIONING,
)

TYPES = (BUCKET, AWS_BUCKET, VERSIONING, LIFECYCLE, OBJECT_LOCK, BUCKET_POLICY, PUBLIC_ACCESS_BLOCK)
STORE = "Object store"
FOREVER = 1 << 40  # days
COMPLIANCE = "COMPLIANCE"

RETENTION: MappingPath = ("backups", "rustfs", "retention")
ABORT: MappingPath = ("rustfs", "abort_multipart_after")


def changes(context: ReviewContext, steps: list[PreviewStep]) -> list[RatedChange]:
    result: list[RatedChange] = []
    removed: set[str] = set()
    for step in steps:
        if step.type in (BUCKET, AWS_BUCKET):
            removed |= {step.name} if step.op in ("delete", "replace") else set()
            result += _bucket(context, step) if step.op != "same" else []
    for step in steps:
        if step.op == "same" or (step.name in removed and step.op in ("delete", "replace")):
            continue
        if step.type in _SETTINGS:
            result += _SETTINGS[step.type](step)
        elif step.type in (BUCKET_POLICY, PUBLIC_ACCESS_BLOCK):
            result += _access_settings(step, new_bucket=step.name in context.created_buckets)
    return result


def _access_settings(step: PreviewStep, *, new_bucket: bool) -> list[RatedChange]:
    if step.type == PUBLIC_ACCESS_BLOCK:
        return bucket_rights.public_access(_name(step), step)
    return bucket_rights.policy(_name(step), step, new_bucket=new_bucket)


def _name(step: PreviewStep) -> str:
    return str((step.old if step.op == "delete" else step.new).live("bucket", step.name))


def _bucket(context: ReviewContext, step: PreviewStep) -> list[RatedChange]:
    name, old_name = _name(step), str(step.old.live("bucket", step.name))
    origin = ("rustfs", "buckets", step.name)
    lock = "objectLock" if step.type == BUCKET else "objectLockEnabled"
    force = "forceDestroy"

    def change(risk: Risk, sentence: str, bucket: str = name, urns: tuple[str, ...] = (step.urn,)) -> RatedChange:
        return RatedChange(risk, STORE, bucket, sentence, bucket, origin, urns)

    # Settings are deleted together with their bucket.
    urns = (
        step.urn,
        *(
            item.urn
            for item in context.steps(*_SETTINGS, BUCKET_POLICY, PUBLIC_ACCESS_BLOCK)
            if item.name == step.name and item.op in ("delete", "replace")
        ),
    )

    if step.op == "create":
        locked = ", with object lock" if step.new.declared(lock) else ""
        return [change(Risk.ADDITIVE, f"bucket {code(name)} is created{locked}")]
    if step.op in ("delete", "replace"):
        refusal = "" if step.old.live(force) else " (refused while it has objects: allowDataLoss is false)"
        successor = ""
        if step.op == "replace":
            successor = " and recreated" if name == old_name else f"; {code(name)} is created in its place"
        if step.op == "replace" and bool(step.old.live(lock)) != bool(step.new.declared(lock)):
            successor += f", {'with' if step.new.declared(lock) else 'without'} object lock"
        sentence = f"bucket {code(old_name)} is deleted with all its objects{successor}{refusal}"
        return [change(Risk.DATA_LOSS, sentence, old_name, urns)]
    result = []
    if step.type == BUCKET:
        left = {str(rule) for rule in step.old.outputs.get("leftToServer") or ()}
        result = _retention_changes(
            step, name, _stellaops_retention(step.old, left), _stellaops_retention(step.new, left)
        )
        if any(_rules(step.old).get(rule) != _rules(step.new).get(rule) for rule in left):
            sentence = (
                f"{code(name)} aborts incomplete uploads when its server decides: it supports no rule for it, so that "
                f"{code('abort_multipart_after')} has no effect"
            )
            result.append(RatedChange(Risk.NONE, STORE, name, sentence, name, ABORT, (step.urn,)))
    if step.old.declared(force) != step.new.declared(force):
        allowed = bool(step.new.declared(force))
        deletion = "can be deleted with its objects from now on"
        if not allowed:
            deletion = "can no longer be deleted while it has objects"
        result.append(change(Risk.ACCESS_WIDENED if allowed else Risk.NONE, f"bucket {code(name)} {deletion}"))
    other_keys = generic.changed_keys(step) - {force, lock, "rules", "bucket", "leftToServer", "guard", "adopt"}
    if other_keys:
        result.append(change(Risk.RESTART, f"bucket {code(name)} changes: {codes(sorted(other_keys))}"))
    if not result:
        result.append(change(Risk.NONE, f"the rules of bucket {code(name)} are reapplied"))
    return result


def _versioning(step: PreviewStep) -> list[RatedChange]:
    name = _name(step)
    before = _status(step.old) if step.op != "create" else ""
    after = _status(step.new) if step.op != "delete" else "Suspended"
    if step.op == "create":
        risk, sentence = (
            (Risk.ADDITIVE, f"versioning is enabled on {code(name)}")
            if after == "Enabled"
            else (
                Risk.DATA_LOSS,
                f"versioning is **not enabled** on {code(name)}: deleted and overwritten objects are lost",
            )
        )
    elif after != "Enabled":
        risk = Risk.DATA_LOSS
        sentence = f"versioning of {code(name)} is **suspended**: objects deleted or overwritten from now on are lost"
    elif before != after:
        risk, sentence = Risk.ADDITIVE, f"versioning of {code(name)} is enabled again"
    else:
        risk, sentence = Risk.NONE, f"versioning of {code(name)} is reapplied"
    return [RatedChange(risk, STORE, name, sentence, name, ("rustfs", "buckets", step.name), (step.urn,))]


def _status(state: ResourceState) -> str:
    configuration = state.live("versioningConfiguration")
    return str(configuration.get("status", "")) if isinstance(configuration, dict) else ""


def _lifecycle(step: PreviewStep) -> list[RatedChange]:
    name = _name(step)
    if step.op == "create":
        return [
            RatedChange(
                Risk.ADDITIVE, STORE, name, f"lifecycle rules of {code(name)} are created", name, RETENTION, (step.urn,)
            )
        ]
    planned = _aws_retention(step.new) if step.op != "delete" else {}
    return _retention_changes(step, name, _aws_retention(step.old), planned)


def _object_lock(step: PreviewStep) -> list[RatedChange]:
    name = _name(step)
    before, after = (_lock_days(state) for state in (step.old, step.new))
    was_compliance, is_compliance = (_lock_mode(state) == COMPLIANCE for state in (step.old, step.new))
    result = []

    def add(risk: Risk, sentence: str, origin: MappingPath = ("rustfs", "buckets", step.name, "object_lock")) -> None:
        result.append(RatedChange(risk, STORE, name, sentence, name, origin, (step.urn,)))

    if step.op == "delete":
        add(Risk.RETENTION_SHORTENED, f"{code(name)} no longer locks new objects (previously for {_days(before)})")
        return result
    if after != before:
        risk = Risk.RETENTION_SHORTENED if after < before else Risk.ADDITIVE
        previously = f" instead of {_days(before)}" if before else ""
        add(risk, f"{code(name)} locks new objects for {_days(after)}{previously}")
    if is_compliance and not was_compliance:
        effect = "in COMPLIANCE mode **nobody can lift or shorten the lock** of new objects, not even the root key"
        add(Risk.ACCESS_REVOKED, f"{code(name)}: {effect}; this cannot be undone", ())
    elif was_compliance and not is_compliance:
        effect = "the root key can lift the lock of new objects (GOVERNANCE instead of COMPLIANCE)"
        add(Risk.RETENTION_SHORTENED, f"{code(name)}: {effect}", ())
    if not result:
        add(Risk.RESTART, f"{code(name)}: object lock changes: {codes(sorted(generic.changed_keys(step)))}")
    return result


def _lock_mode(state: ResourceState) -> str:
    rule = state.live("rule")
    retention = rule.get("defaultRetention") if isinstance(rule, dict) else None
    return str(retention.get("mode", "")) if isinstance(retention, dict) else ""


def _lock_days(state: ResourceState) -> int:
    rule = state.live("rule")
    retention = rule.get("defaultRetention") if isinstance(rule, dict) else None
    if not isinstance(retention, dict):
        return 0
    return int(retention.get("days") or 0) + 365 * int(retention.get("years") or 0)


# Shortest retention in days of noncurrent versions, current objects and incomplete uploads; FOREVER without a rule.
RetentionDays = dict[str, int]


def _stellaops_retention(state: ResourceState, left_to_server: set[str]) -> RetentionDays:
    """The retention in the rules of ``stellaops:objectstore:Bucket``, without those that its server does not support."""
    return _shortest_retention(rule for name, rule in _rules(state).items() if name not in left_to_server)


def _rules(state: ResourceState) -> dict[str, Any]:
    rules = state.live("rules")
    return rules if isinstance(rules, dict) else {}


def _aws_retention(state: ResourceState) -> RetentionDays:
    """The retention in the rules of ``aws:s3/bucketLifecycleConfiguration``."""
    found = []
    for rule in state.live("rules") or ():
        if not isinstance(rule, dict) or rule.get("status", "Enabled") != "Enabled":
            continue
        noncurrent, upload = (
            rule.get("noncurrentVersionExpiration") or {},
            rule.get("abortIncompleteMultipartUpload") or {},
        )
        expiration = rule.get("expiration") or {}
        found.append(
            {
                "NoncurrentVersionExpiration": {"NoncurrentDays": noncurrent.get("noncurrentDays")},
                "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": upload.get("daysAfterInitiation")},
                "Expiration": {"Days": expiration.get("days"), "Date": expiration.get("date")},
            }
        )
    return _shortest_retention(found)


def _shortest_retention(rules: Any) -> RetentionDays:
    ages = {"noncurrent": FOREVER, "current": FOREVER, "uploads": FOREVER}
    for rule in rules:
        if not isinstance(rule, dict) or rule.get("Status", "Enabled") != "Enabled":
            continue
        expiration = rule.get("Expiration") or {}
        for kind, days in (
            ("noncurrent", (rule.get("NoncurrentVersionExpiration") or {}).get("NoncurrentDays")),
            ("uploads", (rule.get("AbortIncompleteMultipartUpload") or {}).get("DaysAfterInitiation")),
            ("current", expiration.get("Days") or (1 if expiration.get("Date") else None)),
        ):
            if days:
                ages[kind] = min(ages[kind], int(days))
    return ages


def _retention_changes(step: PreviewStep, name: str, before: RetentionDays, after: RetentionDays) -> list[RatedChange]:
    result = []
    after = {kind: after.get(kind, FOREVER) for kind in before}
    for kind, origin in (("current", RETENTION), ("noncurrent", RETENTION), ("uploads", ABORT)):
        old, new = before[kind], after[kind]
        if old == new:
            continue
        risk = Risk.RETENTION_SHORTENED if new < old else Risk.ADDITIVE
        if kind == "current" and new < old:
            risk = Risk.DATA_LOSS
        sentence = f"{code(name)} {_retention(kind, new, old)}"
        result.append(RatedChange(risk, STORE, name, sentence, name, origin, (step.urn,)))
    return result


def _retention(kind: str, new: int, old: int) -> str:
    if kind == "noncurrent":
        kept = "forever" if new >= FOREVER else f"for {_days(new)}"
        return f"keeps noncurrent versions {kept} instead of {'forever' if old >= FOREVER else _days(old)}"
    verb, objects = {"current": ("delete", "**current objects**"), "uploads": ("abort", "incomplete uploads")}[kind]
    if new >= FOREVER:
        return f"no longer {verb}s {objects} (previously after {_days(old)})"
    return f"{verb}s {objects} after {_days(new)} instead of {'never' if old >= FOREVER else _days(old)}"


def _days(days: int) -> str:
    return f"{days} day{'' if days == 1 else 's'}"


_SETTINGS = {VERSIONING: _versioning, LIFECYCLE: _lifecycle, OBJECT_LOCK: _object_lock}
