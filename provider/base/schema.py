"""The properties of resource types: declare, check and compare them.

``Checker.check`` converts a program's properties to the inputs in state, in the same form as the official plugins: with
defaults filled in, and their names listed under ``__defaults``.
"""

import difflib
import hashlib
import re
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from provider.base.values import Secret, Unknown, reveal

DEFAULTS = "__defaults"
AUTONAME_LENGTH = 7  # hexadecimal digits, as the official plugins append

# "object": the declared ``fields``, or any fields if none are declared. "map": any names, with values like ``item``.
Kind = Literal["string", "integer", "boolean", "list", "set", "map", "object"]

_ZERO: dict[Kind, Any] = {
    "string": "",
    "integer": 0,
    "boolean": False,
    "list": [],
    "set": [],
    "map": {},
    "object": {},
}
_PYTHON: dict[Kind, type] = {
    "string": str,
    "integer": int,
    "boolean": bool,
    "list": list,
    "set": list,
    "map": dict,
    "object": dict,
}


@dataclass(frozen=True)
class Property:
    """A property of a resource type.

    ``computed``: the provider or the store sets it if the program does not. ``output``: it is never an input.
    ``force_new``: a change replaces the resource. ``ignore_changes``: a change updates nothing. ``item``: the type of the
    items of a list, set or map. ``unsupported``: why this plugin refuses a property of the official plugin.
    ``description``: for the package schema.
    """

    kind: Kind = "string"
    required: bool = False
    default: Any = None
    force_new: bool = False
    ignore_changes: bool = False
    secret: bool = False
    computed: bool = False
    output: bool = False
    choices: tuple[str, ...] = ()
    minimum: int | None = None
    item: "Property | None" = None
    fields: Mapping[str, "Property"] = field(default_factory=dict)
    unsupported: str = ""
    description: str = ""

    def normal(self, value: Any) -> Any:
        """Normalise a value for comparison: None becomes the type's zero value, and the order of a set is ignored."""
        if value is None:
            return _ZERO[self.kind]
        if self.kind == "set" and isinstance(value, list):
            return sorted(map(repr, value))
        if self.kind == "map" and self.item is not None and isinstance(value, Mapping):
            return {name: self.item.normal(item) for name, item in value.items()}
        if self.kind == "object" and self.fields and isinstance(value, Mapping):
            return {name: property_.normal(value.get(name)) for name, property_ in self.fields.items()}
        if self.kind == "list" and isinstance(value, list) and self.item is not None:
            return [self.item.normal(item) for item in value]
        return value


Properties = Mapping[str, Property]


def strings(kind: Kind, **options: Any) -> Property:
    """Declare a list, set or map of strings."""
    return Property(kind, item=Property(), **options)


def step(path: str, name: str) -> str:
    """Append ``name`` to a property path, in the engine's syntax: ``a.b``, or ``a["b.c"]``."""
    if re.fullmatch(r"[A-Za-z_$][A-Za-z0-9_$]*", name):
        return f"{path}.{name}" if path else name
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'{path}["{escaped}"]'


@dataclass(frozen=True)
class Failure:
    """The reason why a property is refused. ``property`` is its path; empty if the reason names the place by itself, since
    the engine prints a property with its whole value."""

    property: str
    reason: str


class Checker:
    """Check the properties of one resource and collect all ``failures``."""

    def __init__(self, properties: Properties) -> None:
        self._properties = properties
        self.failures: list[Failure] = []

    def check(self, given: Mapping[str, Any], old: Mapping[str, Any], autoname: str = "", seed: bytes = b"") -> Any:
        """Return the inputs for state. ``autoname``: the resource's name, from which to generate a missing ``name``."""
        inputs = self._object("", self._properties, given)
        if autoname and inputs.get("name") is None:
            inputs["name"] = _old_name(old) or _new_name(autoname, seed)
            inputs[DEFAULTS] = sorted([*inputs[DEFAULTS], "name"])
        return inputs

    def _object(self, path: str, properties: Properties, given: Mapping[str, Any]) -> dict[str, Any]:
        inputs: dict[str, Any] = {}
        for name, value in given.items():
            if name.startswith("__") or value is None:
                continue
            at = f"{path}{name}"
            property_ = properties.get(name)
            if property_ is None or property_.output:
                self._unknown(at, name, properties)
            elif property_.unsupported:
                self.failures.append(Failure(at, property_.unsupported))
            else:
                inputs[name] = self._value(at, property_, value)
        defaults = []
        for name, property_ in properties.items():
            if inputs.get(name) is not None:
                continue
            if property_.required and given.get(name) is None:
                self.failures.append(Failure(f"{path}{name}", f"missing required property '{name}'"))
            if property_.default is not None and given.get(name) is None:
                inputs[name] = property_.default
                defaults.append(name)
        inputs[DEFAULTS] = sorted(defaults)
        return inputs

    def _unknown(self, at: str, name: str, properties: Properties) -> None:
        inputs = [input_ for input_, property_ in properties.items() if not property_.output]
        near = difflib.get_close_matches(name, inputs, n=1)
        hint = f"; did you mean '{near[0]}'?" if near else f"; supported are {', '.join(sorted(inputs))}"
        self.failures.append(Failure(at, f"unknown property '{name}'{hint}"))

    def _value(self, at: str, property_: Property, value: Any) -> Any:
        if isinstance(value, Secret):
            return Secret(self._value(at, property_, value.value))
        if isinstance(value, Unknown):
            return value
        expected: Any = _PYTHON[property_.kind]
        # In Python, a bool is also an int.
        if not isinstance(value, expected) or (expected is int and isinstance(value, bool)):
            self.failures.append(Failure(at, f"expected {_expected(property_)}, got {_describe(value)}"))
            return value
        if property_.kind == "object":
            return self._object(f"{at}.", property_.fields, value) if property_.fields else value
        if property_.kind == "map" and property_.item is not None:
            return {name: self._value(step(at, name), property_.item, item) for name, item in value.items()}
        if property_.kind in {"list", "set"} and property_.item is not None:
            return [self._value(f"{at}[{index}]", property_.item, item) for index, item in enumerate(value)]
        if property_.choices and value not in property_.choices:
            near = difflib.get_close_matches(str(value), property_.choices, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            self.failures.append(Failure(at, f"expected one of {', '.join(property_.choices)}, got {value!r}{hint}"))
        if property_.minimum is not None and value < property_.minimum:
            self.failures.append(Failure(at, f"expected {property_.minimum} or more, got {value}"))
        return value


def _expected(property_: Property) -> str:
    if property_.kind in {"list", "set"}:
        return "a list"
    return {"integer": "a whole number", "boolean": "true or false", "string": "a string"}.get(
        property_.kind, "an object"
    )


def _describe(value: Any) -> str:
    """Name the value's type. Do not show the value, which may be a misplaced secret."""
    names = {bool: "a boolean", int: "a number", float: "a number", str: "a string", list: "a list", dict: "an object"}
    return names.get(type(value), type(value).__name__)


def _old_name(old: Mapping[str, Any]) -> Any:
    return old.get("name") if "name" in (old.get(DEFAULTS) or []) else None


def _new_name(autoname: str, seed: bytes) -> str:
    digits = hashlib.sha256(seed).hexdigest() if seed else secrets.token_hex(AUTONAME_LENGTH)
    return f"{autoname}-{digits[:AUTONAME_LENGTH]}"


def with_defaults(properties: Properties, outputs: Mapping[str, Any]) -> dict[str, Any]:
    """Derive inputs from the outputs of an import: all properties that a program could set, except empty ones."""
    inputs: dict[str, Any] = {}
    defaults = []
    for name, property_ in properties.items():
        value = reveal(outputs.get(name))
        if property_.output or property_.unsupported or value is None:
            continue
        if property_.default is not None and value == property_.default:
            defaults.append(name)
        elif value == _ZERO[property_.kind] and not property_.required:
            continue
        if property_.kind == "object" and property_.fields:
            value = with_defaults(property_.fields, value)
        inputs[name] = Secret(value) if property_.secret else value
    inputs[DEFAULTS] = sorted(defaults)
    return inputs


def without_defaults(value: Any) -> Any:
    """Remove ``__defaults``, the lists of default names, at any depth."""
    if isinstance(value, Secret):
        return Secret(without_defaults(value.value))
    if isinstance(value, Mapping):
        return {name: without_defaults(item) for name, item in value.items() if name != DEFAULTS}
    return [without_defaults(item) for item in value] if isinstance(value, list) else value


def refreshed_inputs(properties: Properties, old: Mapping[str, Any], outputs: Mapping[str, Any]) -> dict[str, Any]:
    """Update the old inputs to the store's current values. Values that did not change keep their form."""
    inputs: dict[str, Any] = {}
    for name, before in old.items():
        property_ = properties.get(name)
        if name.startswith("__") or property_ is None:
            inputs[name] = before
            continue
        now = reveal(outputs.get(name))
        if property_.normal(reveal(before)) == property_.normal(now):
            inputs[name] = before
        elif property_.fields and isinstance(reveal(before), Mapping) and isinstance(now, Mapping):
            inputs[name] = refreshed_inputs(property_.fields, reveal(before), now)
        else:
            inputs[name] = Secret(now) if isinstance(before, Secret) or property_.secret else now
    return {name: value for name, value in inputs.items() if value is not None}


def changes(
    properties: Properties, old: Mapping[str, Any], new: Mapping[str, Any], path: str = ""
) -> Iterator["PropertyChange"]:
    """Yield the differences between the state and new inputs. Skip outputs, and computed properties that are not set."""
    for name, property_ in properties.items():
        before, after = old.get(name), new.get(name)
        if (
            property_.output
            or property_.ignore_changes
            or property_.unsupported
            or (after is None and property_.computed)
        ):
            continue
        yield from _changes_of(property_, f"{path}{name}", before, after, property_.force_new)


def _changes_of(property_: Property, path: str, before: Any, after: Any, replace: bool) -> Iterator["PropertyChange"]:
    """Yield the changes of one value: per field or name if both sides are objects or maps, otherwise one in total."""
    both_mappings = isinstance(before, Mapping) and isinstance(after, Mapping)
    if isinstance(after, Unknown) or _contains_unknown(after):
        yield PropertyChange(path, "update" if before is not None else "add", replace)
    elif both_mappings and property_.kind == "map":
        item = property_.item or Property("object")
        for name in [*before, *(name for name in after if name not in before)]:
            if name not in after or name not in before:
                yield PropertyChange(step(path, name), "delete" if name in before else "add", replace)
            else:
                yield from _changes_of(item, step(path, name), before[name], after[name], replace)
    elif both_mappings and property_.kind == "object" and property_.fields:
        for change in changes(property_.fields, before, after, f"{path}."):
            yield PropertyChange(change.path, change.kind, change.replace or replace)
    elif property_.normal(before) != property_.normal(after):
        yield PropertyChange(path, _kind(property_, before, after), replace)


@dataclass(frozen=True)
class PropertyChange:
    """A property that differs. ``replace``: the change requires a replacement of the resource."""

    path: str
    kind: Literal["add", "delete", "update"]
    replace: bool


def _contains_unknown(value: Any) -> bool:
    return isinstance(value, list) and any(isinstance(item, Unknown) for item in value)


def _kind(property_: Property, before: Any, after: Any) -> Literal["add", "delete", "update"]:
    if property_.normal(before) == property_.normal(None):
        return "add"
    return "delete" if property_.normal(after) == property_.normal(None) and after is None else "update"
