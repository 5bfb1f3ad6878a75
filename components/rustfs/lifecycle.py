"""Lifecycle rules from the mapping and from a server, in one comparable form.

``Rules`` is a dict: rule ID -> the rule's actions in S3's own words, with its ``Prefix``. No rule expires a current
version.
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
    """The three rules of every bucket, and one for each prefix with its own retention of noncurrent versions.

    Expired delete markers have a rule of their own, because servers refuse that action beside another one.
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
    """IDs of the rules that a server refuses because it does the same by itself; ``server`` is its ``Server`` header.

    MinIO aborts uploads after a day (its setting ``stale_uploads_expiry``) and supports no rule for it.
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


def from_s3(response: dict[str, Any]) -> Rules:
    """The rules in a GetBucketLifecycleConfiguration response. Unusual settings stay visible under S3's own names."""
    rules: Rules = {}
    for number, rule in enumerate(response.get("Rules", [])):
        found: dict[str, Any] = {"Prefix": _prefix(rule)}
        if rule.get("Status") != "Enabled":
            found["Status"] = rule.get("Status")
        if set(rule.get("Filter", {})) - {"Prefix"}:
            found["Filter"] = rule["Filter"]
        # Skip empty actions, which some servers return.
        found |= {action: plain for action in _ACTIONS if (plain := _plain(rule.get(action)))}
        rules[rule.get("ID") or f"rule-{number}"] = found
    return rules


def _prefix(rule: dict[str, Any]) -> str:
    """An empty filter, an empty prefix in it and the old top-level prefix all mean the whole bucket."""
    return str(rule.get("Filter", {}).get("Prefix") or rule.get("Prefix") or "")


def _plain(action: Any) -> Any:
    """An action with dates as text, and without zero and false values, which servers add."""
    if isinstance(action, dict):
        return {key: _plain(value) for key, value in action.items() if value not in (0, False, None)}
    if isinstance(action, list):
        return [_plain(item) for item in action]
    return action if isinstance(action, bool | int | str | None) else str(action)


def describe(value: Any) -> str:
    """Format a rule or a retention in one line, like ``NoncurrentDays 90``."""
    if not isinstance(value, dict):
        return str(value)
    parts = [
        f"{key} {describe(item)}" if not isinstance(item, dict) else describe(item)
        for key, item in value.items()
        if item not in ("", None)
    ]
    return ", ".join(parts)
