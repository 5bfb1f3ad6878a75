"""Rules for the planned state of every stack.

They are checked on the preview because Pulumi's policy packs for Python (``pulumi_policy`` 1.21) require protobuf 5 and
the pinned SDK requires 6. Violations that policy packs report in the preview are included.
"""

import re
from collections.abc import Callable, Iterator

from components.mapping.roles import is_owner
from tools.review.context import ReviewContext, role_name
from tools.review.kinds import bucket_rights
from tools.review.preview import SECRET, PreviewStep, Violation
from tools.review.tokens import (
    AWS_BUCKET,
    BUCKET,
    BUCKET_POLICY,
    DEFAULT_PRIVILEGES,
    GRANT,
    MIGRATIONS,
    ROLE,
    VERSIONING,
)

# Names of evidence tables, whose rows must never change.
EVIDENCE = re.compile(r"(?:.+_)?(?:raw|audit|audit_trail|audit_log|history)|audit_.+|effective_finding_.+_history")
PRODUCTION = re.compile(r"prod(?:uction)?(?:[-_.].*)?")
SECRET_KEY = re.compile(r"(?i)password|passphrase|secret|token|accesskey|privatekey|apikey|credential")
# Config keys that match SECRET_KEY but are not secret.
PLAIN_KEYS = frozenset({"pulumi:disable-default-providers", "stellaops-storage:valkeyTlsSecret"})
CHANGING = frozenset({"UPDATE", "DELETE", "TRUNCATE"})

Rule = Callable[[ReviewContext], Iterator[str]]


def violations(context: ReviewContext) -> list[Violation]:
    """Violations of these rules, then those that policy packs reported."""
    # A failed preview is incomplete and would violate rules that the complete state meets.
    rules = {"no-plain-secret": RULES["no-plain-secret"]} if context.preview.errors else RULES
    found = [Violation(name, message) for name, rule in rules.items() for message in sorted(set(rule(context)))]
    return found + context.preview.violations


def _remaining(context: ReviewContext, *types: str) -> Iterator[PreviewStep]:
    return (step for step in context.steps(*types) if step.op != "delete")


def _no_public_grant(context: ReviewContext) -> Iterator[str]:
    for step in _remaining(context, GRANT, DEFAULT_PRIVILEGES):
        privileges = step.new.declared("privileges") or []
        if step.new.declared("role") == "public" and privileges:
            target = step.new.declared("schema") or step.new.declared("database")
            yield f"{step.name} grants {', '.join(map(str, privileges))} on {target} to everyone (PUBLIC)"
    for step in _remaining(context, BUCKET_POLICY):
        yield from bucket_rights.grants_to_everyone(step)


def _buckets_have_versioning(context: ReviewContext) -> Iterator[str]:
    versioned = {}
    for step in _remaining(context, VERSIONING):
        configuration = step.new.declared("versioningConfiguration")
        versioned[step.name] = isinstance(configuration, dict) and configuration.get("status") == "Enabled"
    for step in _remaining(context, BUCKET, AWS_BUCKET):
        # An incomplete preview omits unchanged resources, so an existing bucket's versioning may be missing from it.
        must_be_listed = context.preview.complete or step.op == "create"
        if not versioned.get(step.name, not must_be_listed):
            yield f"bucket {step.new.declared('bucket', step.name)} has no versioning: deleted objects are lost"


def _evidence_has_triggers(context: ReviewContext) -> Iterator[str]:
    append_only: dict[str, set[str]] = {}
    reported: set[str] = set()
    for step in _remaining(context, MIGRATIONS):
        schema = str(step.new.declared("schema", step.name))
        append_only[schema] = {str(table) for table in step.new.declared("appendOnly") or ()}
        missing_triggers = [
            line for line in step.old.live("drift") or () if "trigger" in str(line) and step.op == "same"
        ]
        yield from (f"{line}" for line in missing_triggers)
        before = {str(table) for table in step.old.declared("appendOnly") or ()}
        for table in before - append_only[schema]:
            if EVIDENCE.fullmatch(table):
                reported.add(f"{schema}.{table}")
                yield f"{schema}.{table} is evidence and loses its append-only triggers"
    for step in _remaining(context, GRANT):
        schema = str(step.new.declared("schema") or "")
        if schema not in append_only or step.new.declared("objectType") != "table":
            continue
        changing = CHANGING & {str(item) for item in step.new.declared("privileges") or ()}
        for table in map(str, step.new.declared("objects") or ()):
            unprotected = table not in append_only[schema] and f"{schema}.{table}" not in reported
            if EVIDENCE.fullmatch(table) and unprotected:
                yield f"{schema}.{table} is named like evidence but has no append-only triggers: mark it append_only"
            elif table in append_only[schema] and changing:
                yield f"{step.name} grants {', '.join(sorted(changing))} on {schema}.{table}, which is append-only"


def _owners_are_protected(context: ReviewContext) -> Iterator[str]:
    if not PRODUCTION.fullmatch(context.preview.stack):
        return
    unprotected = sorted(
        step.name
        for step in _remaining(context, ROLE)
        if is_owner(context.roles.get(role_name(step))) and not step.new.protect
    )
    if unprotected:
        yield f"not protected against deletion: {', '.join(unprotected)}; set stellaops-storage:protect to true"


def plain_secrets(config: dict[str, str]) -> dict[str, str]:
    """Config keys that should be secret but are plain text, with their values. Never print the values."""
    return {
        key: value
        for key, value in config.items()
        if value not in ("", SECRET) and key not in PLAIN_KEYS and SECRET_KEY.search(key.partition(":")[2])
    }


def _no_secret_in_plain_config(context: ReviewContext) -> Iterator[str]:
    for key in plain_secrets(context.preview.config):
        yield f"config {key} is plain text: rotate the value, which is in the Git history, and run pulumi config set --secret {key}"


RULES: dict[str, Rule] = {
    "no-public-grant": _no_public_grant,
    "bucket-versioning": _buckets_have_versioning,
    "evidence-triggers": _evidence_has_triggers,
    "protected-owners": _owners_are_protected,
    "no-plain-secret": _no_secret_in_plain_config,
}
