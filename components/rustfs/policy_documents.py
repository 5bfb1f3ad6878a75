"""Policy documents as data: compare them by statement, and recognize guard policies.

``policies`` creates the documents of modules and buckets from the mapping. This module imports nothing from the project,
so that the provider starts without the mapping.
"""

from typing import Any

Document = dict[str, Any]

VERSION = "2012-10-17"
KEEP_OBJECTS = "KeepObjects"
KEEP_SETTINGS = "KeepSettings"
GUARDS = (KEEP_OBJECTS, KEEP_SETTINGS)


def arn(path: str) -> str:
    """The resource name of a bucket, or of a pattern of objects in it."""
    return f"arn:aws:s3:::{path}"


def is_guard(document: Document) -> bool:
    """Whether a bucket policy is a guard policy, complete or lifted."""
    return any(statement.get("Sid") in GUARDS for statement in document.get("Statement", []))


def lifted(document: Document) -> Document:
    """The guard policy without the statement that denies changes of settings."""
    remaining = [statement for statement in document["Statement"] if statement.get("Sid") != KEEP_SETTINGS]
    return {**document, "Statement": remaining}


def by_name(document: Document) -> dict[str, Document]:
    """The statements of a policy, one per resource, under names such as ``Allow blobs/*``.

    Servers merge, reorder and complete statements. In this form, equivalent documents are equal, and a diff names the
    statement that differs.
    """
    statements: dict[str, Document] = {}
    for statement in document.get("Statement") or []:
        condition = _condition(statement.get("Condition") or {})
        where = "".join(
            f" where {key} {operator} {', '.join(values)}"
            for operator, keys in condition.items()
            for key, values in keys.items()
        )
        principal = _as_list(statement.get("Principal"))
        actions = [*_as_list(statement.get("Action")), *(f"not {one}" for one in _as_list(statement.get("NotAction")))]
        # Some servers omit the beginning of the ARN.
        resources = [one.removeprefix(arn("")) for one in _as_list(statement.get("Resource"))]
        resources += [f"not {one.removeprefix(arn(''))}" for one in _as_list(statement.get("NotResource"))]
        for resource in resources:
            name = f"{statement['Effect']} {resource}{where}"
            merged = statements.setdefault(
                name, {"Effect": statement["Effect"], "Action": [], "Resource": [arn(resource)]}
            )
            merged["Action"] = sorted({*merged["Action"], *actions})
            if condition:
                merged["Condition"] = condition
            if principal:
                merged["Principal"] = sorted({*merged.get("Principal", []), *principal})
    return dict(sorted(statements.items()))


def document_of(statements: dict[str, Document]) -> Document:
    """The policy with these statements, in the form that ``by_name`` returns."""
    return {"Version": VERSION, "Statement": list(statements.values())}


def _as_list(value: Any) -> list[str]:
    if isinstance(value, dict):  # {"AWS": "*"}, a principal
        return _as_list(value.get("AWS"))
    return [value] if isinstance(value, str) else list(value or [])


def _condition(condition: dict[str, Any]) -> dict[str, dict[str, list[str]]]:
    return {
        operator: {key: sorted(_as_list(values)) for key, values in sorted(keys.items())}
        for operator, keys in sorted(condition.items())
    }
