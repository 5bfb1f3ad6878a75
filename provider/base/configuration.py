"""Parse a provider's configuration. SDKs send everything that is not a string as JSON text: ``"5432"``, ``"[{...}]"``."""

import json
from collections.abc import Mapping
from typing import Any

from provider.base.schema import DEFAULTS, Checker, Failure, Properties, Property
from provider.base.values import Secret, Unknown, reveal

# Properties that the engine itself uses; every provider has them.
ENGINE_PROPERTIES = frozenset({"version", "pluginDownloadURL"})


def check(properties: Properties, given: Mapping[str, Any]) -> tuple[dict[str, Any], list[Failure]]:
    """Return the configuration unparsed, with credentials marked secret, and the failures."""
    _, failures = _parse(properties, given)
    inputs = {name: value for name, value in given.items() if name != DEFAULTS}
    for name, property_ in properties.items():
        if property_.secret and inputs.get(name) is not None and not isinstance(inputs[name], Secret):
            inputs[name] = Secret(inputs[name])
    return inputs, failures


def parse(properties: Properties, given: Mapping[str, Any]) -> tuple[dict[str, Any], list[Failure]]:
    """Return the configuration as plain values with defaults, without values that are unknown, and the failures."""
    parsed, failures = _parse(properties, given)
    values = {name: reveal(value) for name, value in parsed.items() if name != DEFAULTS}
    return {name: value for name, value in values.items() if not isinstance(value, Unknown)}, failures


def _parse(properties: Properties, given: Mapping[str, Any]) -> tuple[dict[str, Any], list[Failure]]:
    decoded = {
        name: _decode(properties[name], value) if name in properties else value
        for name, value in given.items()
        if name not in ENGINE_PROPERTIES
    }
    checker = Checker(properties)
    return checker.check(decoded, {}), checker.failures


def _decode(property_: Property, value: Any) -> Any:
    if isinstance(value, Secret):
        return Secret(_decode(property_, value.value))
    if property_.kind == "string" or not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value
