"""Compare two policies, statement by statement."""

from collections.abc import Iterator
from typing import Any


def differences(who: str, live: dict[str, Any], wanted: dict[str, Any]) -> Iterator[str]:
    """Yield what ``live`` has or lacks; both as ``policy_documents.by_name`` returns them. ``who`` begins each sentence."""
    for name in sorted(live.keys() | wanted.keys()):
        if name not in wanted:
            verb = "is a member of" if name.startswith("group ") else "has"
            yield f"{who} {verb} {name}{_actions(live[name])}{_principals(live[name])}: not in the mapping"
        elif name not in live:
            yield f"{who} lacks {name}{_actions(wanted[name])}"
        elif live[name] != wanted[name]:
            more = sorted(set(live[name]["Action"]) - set(wanted[name]["Action"]))
            less = sorted(set(wanted[name]["Action"]) - set(live[name]["Action"]))
            parts = [f"{word} {_plain(actions)}" for word, actions in (("has", more), ("lacks", less)) if actions]
            yield f"{who}: {name} {' and '.join(parts) or 'has another principal'}: differs from the mapping"


def _actions(statement: Any) -> str:
    """Return the actions after a space; nothing for a policy or group that is only attached."""
    return f" {_plain(statement['Action'])}" if isinstance(statement, dict) and statement["Action"] else ""


def _principals(statement: Any) -> str:
    """Return to whom a statement of a bucket policy applies; nothing for a statement of a user's policy."""
    principals = statement.get("Principal", []) if isinstance(statement, dict) else []
    if not principals:
        return ""
    return " for everybody" if "*" in principals else f" for {', '.join(principals)}"


def _plain(actions: list[str]) -> str:
    return ", ".join(action.removeprefix("s3:") for action in actions)
