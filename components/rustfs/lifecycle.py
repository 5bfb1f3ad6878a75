"""Lifecycle rules as the mapping's retention asks for them, and as a server has them, in one comparable form.

A rule set is a dict: rule ID -> what the rule does, in S3's own words, with its ``Prefix``. Nothing here ever expires
a current version.
"""

from typing import Any

from components.rustfs.servers import KINDS, target_of

Rules = dict[str, dict[str, Any]]

_ACTIONS = (
    "Expiration",
    "NoncurrentVersionExpiration",
    "AbortIncompleteMultipartUpload",
    "NoncurrentVersionTransitions",
    "Transitions",
)


def retention_rules(noncurrent_days: int, abort_days: int, by_prefix: dict[str, int] | None = None) -> Rules:
    """The three rules of every bucket, and one for each prefix that keeps old versions for fewer days.

    The marker rule stands by itself: servers refuse it beside another.
    """
    rules: Rules = {
        "expire-noncurrent-versions": {
            "Prefix": "",
            "NoncurrentVersionExpiration": {"NoncurrentDays": noncurrent_days},
        },
        "remove-expired-delete-markers": {"Prefix": "", "Expiration": {"ExpiredObjectDeleteMarker": True}},
        "abort-stale-uploads": {"Prefix": "", "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": abort_days}},
    }
    for prefix, days in (by_prefix or {}).items():
        action = {"NoncurrentVersionExpiration": {"NoncurrentDays": days}}
        rules[f"expire-noncurrent-versions-of-{prefix}"] = {"Prefix": prefix, **action}
    return rules


def left_to_server(server: str, rules: Rules) -> list[str]:
    """Names of the rules that a server of that kind (its ``Server`` header) refuses, since it does that by itself.

    MinIO aborts uploads after a day (its setting ``stale_uploads_expiry``) and knows no rule for it.
    """
    if not KINDS[target_of(server)].aborts_stale_uploads:
        return []
    return [name for name, rule in rules.items() if rule.keys() - {"Prefix"} == {"AbortIncompleteMultipartUpload"}]


def to_s3(rules: Rules) -> dict[str, Any]:
    """The body of PutBucketLifecycleConfiguration."""
    return {"Rules": [_to_s3(name, rule) for name, rule in rules.items()]}


def _to_s3(name: str, rule: dict[str, Any]) -> dict[str, Any]:
    actions = {key: value for key, value in rule.items() if key != "Prefix"}
    return {"ID": name, "Status": "Enabled", "Filter": {"Prefix": rule["Prefix"]}, **actions}


def from_s3(answer: dict[str, Any]) -> Rules:
    """What GetBucketLifecycleConfiguration says. Anything unusual in a rule stays visible under S3's own name."""
    rules: Rules = {}
    for number, rule in enumerate(answer.get("Rules", [])):
        found: dict[str, Any] = {"Prefix": _prefix(rule)}
        if rule.get("Status") != "Enabled":
            found["Status"] = rule.get("Status")
        if set(rule.get("Filter", {})) - {"Prefix"}:
            found["Filter"] = rule["Filter"]
        # An action without anything in it is no action; some servers answer with empty ones.
        found |= {action: plain for action in _ACTIONS if (plain := _plain(rule.get(action)))}
        rules[rule.get("ID") or f"rule-{number}"] = found
    return rules


def _prefix(rule: dict[str, Any]) -> str:
    """An empty filter, an empty prefix in it and the old top-level prefix all mean the whole bucket."""
    return str(rule.get("Filter", {}).get("Prefix") or rule.get("Prefix") or "")


def _plain(action: Any) -> Any:
    """Dates as text, and without zeros and falses that a server adds to what it was given."""
    if isinstance(action, dict):
        return {key: _plain(value) for key, value in action.items() if value not in (0, False, None)}
    if isinstance(action, list):
        return [_plain(item) for item in action]
    return action if isinstance(action, bool | int | str | None) else str(action)
