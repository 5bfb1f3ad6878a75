"""Policy documents as data: compare them by statement, and recognize the guard of a bucket that keeps everything.

Which documents a module or bucket gets is decided in ``policies``, from the mapping. Imports nothing of the project,
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
    """Whether a bucket policy is one of ours, whole or lifted in part."""
    return any(statement.get("Sid") in GUARDS for statement in document.get("Statement", []))


def lifted(document: Document) -> Document:
    """The same bucket policy without the statement that keeps the provisioner from changing settings."""
    kept = [statement for statement in document["Statement"] if statement.get("Sid") != KEEP_SETTINGS]
    return {**document, "Statement": kept}


def by_name(document: Document) -> dict[str, Document]:
    """The statements of a policy, one a resource, by what they are about: ``Allow blobs/*``.

    Servers merge, reorder and complete statements; documents that mean the same are equal in this form, and a diff of
    two names the place.
    """
    found: dict[str, Document] = {}
    for statement in document.get("Statement") or []:
        condition = _condition(statement.get("Condition") or {})
        where = "".join(
            f" where {key} {operator} {', '.join(values)}"
            for operator, keys in condition.items()
            for key, values in keys.items()
        )
        principal = _listed(statement.get("Principal"))
        actions = [*_listed(statement.get("Action")), *(f"not {one}" for one in _listed(statement.get("NotAction")))]
        # Some answers leave the beginning of a resource's name away.
        places = [one.removeprefix(arn("")) for one in _listed(statement.get("Resource"))]
        places += [f"not {one.removeprefix(arn(''))}" for one in _listed(statement.get("NotResource"))]
        for place in places:
            name = f"{statement['Effect']} {place}{where}"
            kept = found.setdefault(name, {"Effect": statement["Effect"], "Action": [], "Resource": [arn(place)]})
            kept["Action"] = sorted({*kept["Action"], *actions})
            if condition:
                kept["Condition"] = condition
            if principal:
                kept["Principal"] = sorted({*kept.get("Principal", []), *principal})
    return dict(sorted(found.items()))


def document_of(statements: dict[str, Document]) -> Document:
    """The policy with these statements, as ``by_name`` has them."""
    return {"Version": VERSION, "Statement": list(statements.values())}


def _listed(value: Any) -> list[str]:
    if isinstance(value, dict):  # {"AWS": "*"}, a principal
        return _listed(value.get("AWS"))
    return [value] if isinstance(value, str) else list(value or [])


def _condition(condition: dict[str, Any]) -> dict[str, dict[str, list[str]]]:
    return {
        operator: {key: sorted(_listed(values)) for key, values in sorted(keys.items())}
        for operator, keys in sorted(condition.items())
    }
