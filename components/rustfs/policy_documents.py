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
    for statement in _as_statements(document.get("Statement")):
        condition = _condition(statement.get("Condition") or {})
        where = "".join(
            f" where {key} {operator} {', '.join(values)}"
            for operator, keys in condition.items()
            for key, values in keys.items()
        )
        principal = _principals(statement)
        actions = [*_as_list(statement.get("Action")), *(f"not {one}" for one in _as_list(statement.get("NotAction")))]
        # Some servers omit the beginning of the ARN.
        resources = [one.removeprefix(arn("")) for one in _as_list(statement.get("Resource"))]
        resources += [f"not {one.removeprefix(arn(''))}" for one in _as_list(statement.get("NotResource"))]
        # Statements of administrative actions may have no resource.
        resources = resources or ["*"]
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


def _as_statements(value: Any) -> list[Document]:
    return [value] if isinstance(value, dict) else list(value or [])


def _as_list(value: Any) -> list[str]:
    """The texts of a value that may be one text or several. Conditions may also have numbers and truth values."""
    if value is None:
        return []
    return [str(item) for item in value] if isinstance(value, list | tuple) else [str(value)]


def _principals(statement: Document) -> list[str]:
    """Names such as ``*`` and access keys; those that are not in AWS's form with their kind, like ``Service x``."""
    found = []
    for key, start in (("Principal", ""), ("NotPrincipal", "not ")):
        value = statement.get(key)
        kinds = value if isinstance(value, dict) else {"AWS": value}
        for kind, names in kinds.items():
            found += [f"{start}{'' if kind == 'AWS' else f'{kind} '}{name}" for name in _as_list(names)]
    return found


def _condition(condition: dict[str, Any]) -> dict[str, dict[str, list[str]]]:
    return {
        operator: {key: sorted(_as_list(values)) for key, values in sorted(keys.items())}
        for operator, keys in sorted(condition.items())
    }
