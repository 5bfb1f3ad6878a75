"""Differences between two versions of the contract: fields that are added, removed, retyped or changed.

``compare`` takes two contracts from the stack's outputs. It matches list members by their names (a key's pattern, a
bucket's prefix), not by position.
"""

import json
from dataclasses import dataclass
from typing import Any

# Fields that identify a member of a list, in this order.
_NAMES = ("name", "pattern", "bucket", "prefix", "verb")
# Objects whose keys are names from the mapping, not fields of the contract.
_BY_NAME = ("modules", "schemas", "schemas.*", "columns", "groups", "secrets", "layout", "content_types")


@dataclass(frozen=True)
class ContractDifference:
    """Paths like ``modules.scanner.postgres.role``, with the old and the new type or value in ``retyped`` and ``changed``."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    retyped: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    version: tuple[str, str] = ("", "")
    problem: str = ""

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.retyped or self.changed or self.problem)


def compare(old: dict[str, Any], new: dict[str, Any]) -> ContractDifference:
    """Compare two contracts. ``problem`` is set if the version was not raised as the differences require."""
    differences: dict[str, list[str]] = {"added": [], "removed": [], "retyped": [], "changed": []}
    _walk(old, new, "", differences)
    versions = str(old.get("version", "")), str(new.get("version", ""))
    problem = version_problem(versions, _shape(old), _shape(new)) if old and new else ""
    added, removed, retyped, changed = (
        tuple(sorted(differences[kind])) for kind in ("added", "removed", "retyped", "changed")
    )
    return ContractDifference(added, removed, retyped, changed, versions, problem)


def _walk(old: Any, new: Any, path: str, differences: dict[str, list[str]]) -> None:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in old.keys() | new.keys():
            key_path = f"{path}.{key}" if path else str(key)
            if key not in old:
                differences["added"].append(key_path)
            elif key not in new:
                differences["removed"].append(key_path)
            else:
                _walk(old[key], new[key], key_path, differences)
    elif isinstance(old, list) and isinstance(new, list):
        _walk_lists(old, new, path, differences)
    elif old is None and new is not None:
        differences["added"].append(path)
    elif new is None and old is not None:
        differences["removed"].append(path)
    elif _type(old) != _type(new):
        differences["retyped"].append(f"{path}: {_type(old)} becomes {_type(new)}")
    elif old != new:
        differences["changed"].append(f"{path}: {_shown(old)} becomes {_shown(new)}")


def _walk_lists(old: list[Any], new: list[Any], path: str, differences: dict[str, list[str]]) -> None:
    """Compare members with the same title. Several with one title are equal, or paired in the order of their content."""
    for title in dict.fromkeys(map(_title, [*old, *new])):
        before, after = ([item for item in items if _title(item) == title] for items in (old, new))
        for item in list(before):
            if item in after:
                before.remove(item)
                after.remove(item)
        before, after = (sorted(items, key=lambda item: json.dumps(item, sort_keys=True)) for items in (before, after))
        member = f"{path}.[{title}]"
        for old_item, new_item in zip(before, after, strict=False):
            _walk(old_item, new_item, member, differences)
        differences["removed"] += [member] * (len(before) - len(after))
        differences["added"] += [member] * (len(after) - len(before))


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _title(item: Any) -> str:
    if not isinstance(item, dict):
        return str(item)
    return " ".join(str(item[name]) for name in _NAMES if item.get(name) not in (None, ""))


def _type(value: Any) -> str:
    names = {dict: "object", list: "array", str: "string", bool: "boolean", int: "number", float: "number"}
    return names.get(type(value), "null")


Shape = dict[str, frozenset[str]]


def _shape(document: dict[str, Any]) -> Shape:
    """Field -> its types, with ``*`` for names from the mapping and for list members."""
    found: dict[str, set[str]] = {}

    def visit(value: Any, path: str) -> None:
        found.setdefault(path, set()).add(_type(value))
        if isinstance(value, list):
            for item in value:
                visit(item, f"{path}.*")
        elif isinstance(value, dict):
            by_name = any(path == name or path.endswith(f".{name}") for name in _BY_NAME)
            for key, item in value.items():
                visit(item, f"{path}.{'*' if by_name else key}".lstrip("."))

    visit(document, "")
    return {path: frozenset(types) for path, types in found.items()}


def version_problem(versions: tuple[str, str], old: Shape, new: Shape) -> str:
    """Why the version is wrong, or an empty string. Removing or retyping a field requires a higher major version, adding
    a field a higher minor version.

    A field counts as removed or added only if both contracts have its parent object: a field that disappears together
    with the last module that used it is not a change of the format.
    """
    removed = [path for path in old if path not in new and _field(path) and "object" in new.get(_parent(path), ())]
    added = [path for path in new if path not in old and _field(path) and "object" in old.get(_parent(path), ())]
    retyped = [
        path
        for path in old
        if path in new and (old[path] - {"null"}) and (new[path] - {"null"}) and not (old[path] & new[path] - {"null"})
    ]
    before, after = (_numbers(version) for version in versions)
    if (removed or retyped) and after[0] <= before[0]:
        fields = ", ".join(sorted(removed + retyped))
        return f"{fields}: removed or retyped, so the version must be {before[0] + 1}.0, not {versions[1]}"
    if added and after <= before:
        return (
            f"{', '.join(sorted(added))}: added, so the version must be {before[0]}.{before[1] + 1}, not {versions[1]}"
        )
    return ""


def _field(path: str) -> bool:
    return not path.endswith("*")


def _parent(path: str) -> str:
    return path.rpartition(".")[0]


def _numbers(version: str) -> tuple[int, int]:
    first, _, second = version.partition(".")
    return (int(first) if first.isdigit() else 0, int(second) if second.isdigit() else 0)
