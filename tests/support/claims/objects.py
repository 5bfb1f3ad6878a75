"""Sentences about buckets and access keys."""

import re

from tests.support.claims.compare import Claims, Match, names_in, rule
from tests.support.live_facts import Fact, Facts


@rule(r"bucket `([^`]+)` is created(, with object lock)?")
def _bucket_created(claims: Claims, match: Match) -> None:
    bucket = match[1]
    claims.appears("bucket", bucket)
    claims.must((("object lock", bucket, "mode") in claims.after) == bool(match[2]), "object lock is otherwise")
    # Rules of expiry and the settings of object lock come with a bucket.
    claims.announce("expires", "object lock", "deletable", where=lambda fact: bucket in fact[1:3])


@rule(
    r"bucket `([^`]+)` is deleted with all its objects(?P<again> and recreated(?:, (?P<lock>with|without) object lock)?)?"
    r"(?: \(refused while it has objects: allowDataLoss is false\))?"
)
def _bucket_deleted(claims: Claims, match: Match) -> None:
    bucket = match[1]
    if match["again"]:
        claims.changes("bucket", bucket)
        claims.must(("bucket", bucket) in claims.after, "it is not recreated")
        if match["lock"]:
            locks = ("object lock", bucket, "mode") in claims.after
            claims.must(locks == (match["lock"] == "with"), "object lock is otherwise")
    else:
        claims.disappears("bucket", bucket)
    claims.announce(
        "versioning", "expires", "object lock", "bucket policy", "objects", where=lambda fact: fact[1] == bucket
    )
    claims.announce("deletable", where=lambda fact: fact[2] == bucket)
    claims.must(("objects", bucket) not in claims.after, "it still has its objects")


@rule(r"versioning is enabled on `([^`]+)`")
def _versioning(claims: Claims, match: Match) -> None:
    claims.must(claims.after.get(("versioning", match[1])) == "Enabled", "versioning is off")
    claims.must(claims.before.get(("versioning", match[1])) != "Enabled", "versioning was on before")
    claims.announced.add(("versioning", match[1]))


@rule(r"`([^`]+)` keeps noncurrent versions for (\d+) days? instead of (\d+) days?")
def _noncurrent(claims: Claims, match: Match) -> None:
    _expiry(claims, match, "noncurrent")


@rule(r"`([^`]+)` aborts incomplete uploads after (\d+) days? instead of (\d+) days?")
def _uploads(claims: Claims, match: Match) -> None:
    _expiry(claims, match, "uploads")


def _expiry(claims: Claims, match: Match, kind: str) -> None:
    bucket, new, old = match[1], match[2], match[3]
    for facts, days in ((claims.before, old), (claims.after, new)):
        shortest = min(
            (int(value) for fact, value in facts.items() if fact[:3] == ("expires", bucket, kind)), default=0
        )
        claims.must(shortest == int(days), f"the shortest is {shortest} days and not {days}")
    claims.announce("expires", where=lambda fact: fact[1:3] == (bucket, kind))


@rule(
    r"`([^`]+)` aborts incomplete uploads when its server decides: it supports no rule for it, so that .+ has no effect"
)
def _uploads_left(claims: Claims, match: Match) -> None:
    rules = {f for facts in (claims.before, claims.after) for f in facts if f[:3] == ("expires", match[1], "uploads")}
    claims.must(not rules, f"the server has {sorted(rules)}")


@rule(r"`([^`]+)` locks new objects for (\d+) days?(?: instead of (\d+) days?)?")
def _lock(claims: Claims, match: Match) -> None:
    claims.becomes(("object lock", match[1], "days"), match[3] or "", match[2])
    claims.announce("object lock", where=lambda fact: fact[1] == match[1] and fact not in claims.before)


@rule(r"`([^`]+)`: in COMPLIANCE mode .+")
def _compliance(claims: Claims, match: Match) -> None:
    claims.becomes(("object lock", match[1], "mode"), "GOVERNANCE", "COMPLIANCE")


@rule(r"`([^`]+)`: the root key can lift the lock of new objects \(GOVERNANCE instead of COMPLIANCE\)")
def _governance(claims: Claims, match: Match) -> None:
    claims.becomes(("object lock", match[1], "mode"), "COMPLIANCE", "GOVERNANCE")


@rule(
    r"`([^`]+)`: (?P<what>nobody can delete objects|nobody can change its lifecycle or versioning|objects \*\*can be deleted\*\* again|its lifecycle and versioning \*\*can be changed\*\* again)"
)
def _guard(claims: Claims, match: Match) -> None:
    bucket, ends = match[1], "again" in match["what"]
    action = "s3:DeleteObject" if "objects" in match["what"] else "s3:PutBucketVersioning"

    def denies(facts: Facts) -> set[Fact]:
        return {
            f
            for f, value in facts.items()
            if f[:2] == ("bucket policy", bucket) and '"Deny"' in value and f'{action}"' in value
        }

    claims.must(bool(denies(claims.before)) == ends and bool(denies(claims.after)) != ends, f"{action} is not so")
    claims.announced |= denies(claims.before) ^ denies(claims.after)


@rule(r"bucket `([^`]+)` can (no longer be deleted while it has objects|be deleted with its objects from now on)")
def _deletable(claims: Claims, match: Match) -> None:
    new = str("from now on" in match[2])
    for fact in claims.announce("deletable", where=lambda fact: fact[2] == match[1]):
        claims.must(claims.after.get(fact) == new, f"{fact} is {claims.after.get(fact)}")


@rule(r"access key of `([^`]+)` is created")
def _key_created(claims: Claims, match: Match) -> None:
    claims.appears("access key", match[1])
    # Every access key is denied what would destroy versions, whatever its module may do.
    claims.announce("object access", where=lambda fact: fact[1:3] == (match[1], "Deny"))
    claims.announce("secret", where=lambda fact: fact[1] == match[1] and fact[2].startswith("object_store"))


@rule(r"access key of `([^`]+)` is deleted")
def _key_deleted(claims: Claims, match: Match) -> None:
    claims.disappears("access key", match[1])
    # Every access key is denied what would destroy versions, whatever its module may do.
    claims.announce("object access", where=lambda fact: fact[1:3] == (match[1], "Deny"))
    claims.announce("secret", where=lambda fact: fact[1] == match[1] and fact[2].startswith("object_store"))


@rule(r"the secret key of `([^`]+)` is rotated: it must restart to use the new one")
def _key_rotated(claims: Claims, match: Match) -> None:
    claims.changes("secret", match[1], "object_store_secret_key")


_ACTIONS = {"read": "s3:GetObject", "write": "s3:PutObject", "delete": "s3:DeleteObject", "list": "s3:ListBucket"}
# Actions that accompany those that sentences name: listing a bucket, its location, and parts of an upload.
_MINOR = {"s3:ListBucket", "s3:GetBucketLocation", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"}


@rule(
    r"`(?P<user>[^`]+)` (?P<verb>gains|loses) (?P<words>(?:read|write|delete|list)(?:(?:, | and )(?:read|write|delete|list))*) access to (?P<places>`[^(]+`)"
)
def _objects(claims: Claims, match: Match) -> None:
    user, gains = match["user"], match["verb"] == "gains"
    had, has = (claims.before, claims.after) if gains else (claims.after, claims.before)
    for place in names_in(match["places"]):
        resource = f"{place}*" if place.endswith("/") else place
        for word in re.split(r", | and ", match["words"]):
            name = resource.partition("/")[0] if word == "list" else resource
            action = ("object access", user, "Allow", name, _ACTIONS[word])
            claims.must(action not in had, f"{user} {'had' if gains else 'keeps'} {word} access")
            claims.must(action in has, f"{user} {'has not' if gains else 'had no'} {word} access")
            claims.announced.add(action)
        claims.announced |= {
            fact
            for fact in claims.changed
            if fact[:2] == ("object access", user)
            and fact[4] in _MINOR
            and fact[3].split("/")[0] == place.split("/")[0]
        }
