"""What a resource type takes: its properties with kind, default and what a change of each leads to.

A type declares them as the official plugin does; ``check`` and ``compare`` then behave alike for every type.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from local.plugins.values import UNKNOWN, Props

Kind = Literal["string", "int", "bool", "list", "set", "map", "any"]
DEFAULTS = "__defaults"
# Of Kubernetes objects: what makes them another object, and what they get without asking.
IDENTITY = frozenset({"metadata.name", "metadata.namespace", "apiVersion", "kind"})
SERVER_GIVEN = frozenset({"metadata.namespace", "apiVersion", "kind"})
_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,), "int": (int,), "bool": (bool,), "list": (list,), "set": (list,), "map": (dict,),
}  # fmt: skip
_WORDS = {
    "string": "text",
    "int": "a whole number",
    "bool": "true or false",
    "list": "a list",
    "set": "a list",
    "map": "a map",
}


@dataclass(frozen=True)
class Property:
    """One property. ``default`` is what the official plugin fills in; ``computed`` may be left to the server;
    ``input`` is False for what only the server says; a change of a ``force_new`` one replaces the resource."""

    kind: Kind
    required: bool = False
    default: Any = None
    computed: bool = False
    force_new: bool = False
    secret: bool = False
    input: bool = True
    fields: Mapping[str, "Property"] | None = None  # of a map


@dataclass(frozen=True)
class Failure:
    property: str
    reason: str


@dataclass(frozen=True)
class Change:
    """One property that differs: ``add``, ``delete`` or ``update``; ``replace`` when it needs a new resource."""

    kind: Literal["add", "delete", "update"]
    replace: bool


@dataclass(frozen=True)
class Schema:
    """The properties of one type by their wire names; ``open`` takes any (Kubernetes objects)."""

    properties: Mapping[str, Property] = field(default_factory=dict)
    open: bool = False
    delete_before_replace: bool = False

    def check(self, news: Props) -> tuple[Props, list[Failure]]:
        """Inputs with defaults filled in, and what is wrong with them."""
        failures: list[Failure] = []
        inputs = {name: value for name, value in news.items() if name != DEFAULTS and value is not None}
        if not self.open:
            _check_map("", inputs, self.properties, failures)
        filled = []
        for name, declared in self.properties.items():
            if declared.default is not None and name not in inputs:
                inputs[name] = declared.default
                filled.append(name)
        inputs[DEFAULTS] = sorted(filled)
        return inputs, failures

    def compare(self, olds: Props, news: Props, ignore: list[str]) -> dict[str, Change]:
        """What differs between the state and the wanted inputs, by property; by path where any property is taken."""
        if self.open:
            changes = _compare_open("", olds, {name: value for name, value in news.items() if name != DEFAULTS})
            return {path: change for path, change in changes.items() if not _ignored(path, ignore)}
        changes = {}
        for name, declared in self.properties.items():
            if not declared.input or name in ignore:
                continue
            old, new = olds.get(name), news.get(name)
            if new is None and (declared.computed or _empty(old)):
                continue
            if new is not UNKNOWN and _same(declared, old, new):
                continue
            kind: Literal["add", "delete", "update"] = "add" if _empty(old) else "delete" if new is None else "update"
            changes[name] = Change(kind, declared.force_new)
        return changes


def _check_map(path: str, values: Props, properties: Mapping[str, Property], failures: list[Failure]) -> None:
    for name, value in values.items():
        where = f"{path}{name}"
        declared = properties.get(name)
        if declared is None or not declared.input:
            known = ", ".join(sorted(key for key, item in properties.items() if item.input))
            failures.append(Failure(where, f"unknown property {where!r}; known: {known}"))
        elif value is not UNKNOWN:
            _check_kind(where, value, declared, failures)
    for name, declared in properties.items():
        if declared.required and values.get(name) is None:
            failures.append(Failure(f"{path}{name}", f"missing required property {path}{name!r}"))


def _check_kind(where: str, value: Any, declared: Property, failures: list[Failure]) -> None:
    if declared.kind == "any":
        return
    right = isinstance(value, _TYPES[declared.kind]) and not (declared.kind == "int" and isinstance(value, bool))
    if not right:
        failures.append(Failure(where, f"{where} must be {_WORDS[declared.kind]}, not {type(value).__name__}"))
    elif declared.kind in ("list", "set"):
        if declared.fields is None and not all(isinstance(item, str) or item is UNKNOWN for item in value):
            failures.append(Failure(where, f"{where} must be a list of texts"))
    elif declared.kind == "map" and declared.fields is not None:
        _check_map(f"{where}.", value, declared.fields, failures)


def _ignored(path: str, ignore: list[str]) -> bool:
    return any(path == item or path.startswith((f"{item}.", f"{item}[")) for item in ignore)


def _compare_open(path: str, old: Any, new: Any) -> dict[str, Change]:
    """Differences of Kubernetes objects, down to each field; another name or namespace is another object."""
    if new is not UNKNOWN and old == new:
        return {}
    changes: dict[str, Change] = {}
    if isinstance(old, dict) and isinstance(new, dict):
        for name in sorted({*old, *new}):
            if name.startswith("__"):
                continue  # notes that the official plugin keeps for itself
            where = f"{path}.{name}" if path else name
            if name in new or where not in SERVER_GIVEN:
                changes |= _compare_open(where, old.get(name), new.get(name))
        return changes
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for index, (first, second) in enumerate(zip(old, new, strict=True)):
            changes |= _compare_open(f"{path}[{index}]", first, second)
        return changes
    kind: Literal["add", "delete", "update"] = "add" if old is None else "delete" if new is None else "update"
    return {path: Change(kind, path in IDENTITY)}


def _empty(value: Any) -> bool:
    """Whether a value says no more than leaving it out."""
    return value is None or value is False or value == 0 or value in ("", [], {})


def _same(declared: Property, old: Any, new: Any) -> bool:
    if declared.kind == "set" and isinstance(old, list) and isinstance(new, list):
        return sorted(old, key=str) == sorted(new, key=str)
    if declared.kind == "map" and declared.fields is not None and isinstance(old, dict) and isinstance(new, dict):
        return all(
            (name not in new and item.computed) or _same(item, old.get(name), new.get(name))
            for name, item in declared.fields.items()
            if item.input
        )
    return bool(old == new) or (_empty(old) and _empty(new))
