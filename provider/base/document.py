"""Build a plugin's package schema, for ``pulumi import`` and ``pulumi package get-schema``."""

from typing import Any

from provider.base.plugin import Plugin, ResourceType
from provider.base.schema import Properties, Property


def describe(plugin: Plugin, version: str) -> dict[str, Any]:
    """Return the plugin's resource types, with their inputs and outputs, as a Pulumi package schema."""
    types: dict[str, Any] = {}
    configuration = {name: _property(plugin.name, types, name, item) for name, item in plugin.configuration.items()}
    resources = {token: _resource(plugin.name, types, item) for token, item in plugin.types.items()}
    return {
        "name": plugin.name,
        "version": version,
        "description": plugin.description,
        "config": {"variables": configuration},
        "provider": {"inputProperties": configuration},
        "types": types,
        "resources": resources,
    }


def _resource(package: str, types: dict[str, Any], kind: ResourceType) -> dict[str, Any]:
    properties: Properties = kind.properties
    inputs = {name: item for name, item in properties.items() if not item.output}
    return {
        "description": kind.description,
        "properties": {name: _property(package, types, name, item) for name, item in properties.items()},
        "inputProperties": {name: _property(package, types, name, item) for name, item in inputs.items()},
        "requiredInputs": sorted(name for name, item in inputs.items() if item.required),
    }


def _property(package: str, types: dict[str, Any], name: str, item: Property) -> dict[str, Any]:
    described = _type(package, types, name, item)
    if item.description:
        described["description"] = item.description
    if item.secret:
        described["secret"] = True
    if item.force_new:
        described["willReplaceOnChanges"] = True
    return described


def _type(package: str, types: dict[str, Any], name: str, item: Property) -> dict[str, Any]:
    if item.kind in {"list", "set"}:
        return {"type": "array", "items": _type(package, types, name, item.item or Property())}
    if item.kind == "map":
        return {"type": "object", "additionalProperties": _type(package, types, name, item.item or Property("object"))}
    if item.kind == "object" and item.fields:
        token = f"{package}:index:{name[0].upper()}{name[1:]}"
        fields = {field: _type(package, types, field, inner) for field, inner in item.fields.items()}
        types[token] = {"type": "object", "properties": fields}
        return {"$ref": f"#/types/{token}"}
    if item.kind == "object":
        return {"type": "object", "additionalProperties": {"$ref": "pulumi.json#/Any"}}
    return {"type": item.kind}
