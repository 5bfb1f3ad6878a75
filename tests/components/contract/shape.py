"""The shape of a contract schema, flattened, and what a change of it asks of the version."""

from collections.abc import Iterator
from typing import Any

Shape = dict[str, str]


def shape(schema: dict[str, Any]) -> Shape:
    """Path of each field -> its type: ``modules.*.valkey.keys[].ttl`` -> ``string``."""
    return dict(_walk(schema, schema, ""))


def _walk(node: dict[str, Any], root: dict[str, Any], path: str) -> Iterator[tuple[str, str]]:
    if "$ref" in node:
        yield from _walk(root["$defs"][node["$ref"].rpartition("/")[2]], root, path)
    elif "anyOf" in node:
        kinds = [kind for kind in node["anyOf"] if kind.get("type") != "null"]
        for kind in kinds:
            for place, what in _walk(kind, root, path):
                null = " or null" if place == path and len(kinds) < len(node["anyOf"]) else ""
                yield place, what + null
    else:
        yield path, str(node.get("type", "anything"))
        for name, field in node.get("properties", {}).items():
            yield from _walk(field, root, f"{path}.{name}".lstrip("."))
        if isinstance(node.get("additionalProperties"), dict):
            yield from _walk(node["additionalProperties"], root, f"{path}.*")
        if isinstance(node.get("items"), dict):
            yield from _walk(node["items"], root, f"{path}[]")


def broken(old: Shape, new: Shape) -> list[str]:
    """What a service that was written for ``old`` would miss, in words."""
    gone = [f"{path} is gone" for path in old if path not in new]
    return gone + [f"{path} is {new[path]}, was {kind}" for path, kind in old.items() if new.get(path, kind) != kind]


def added(old: Shape, new: Shape) -> list[str]:
    return [path for path in new if path not in old]


def least_version(released: str, old: Shape, new: Shape) -> str:
    """The lowest version that ``new`` may have after ``released``."""
    major, minor = map(int, released.split("."))
    if broken(old, new):
        return f"{major + 1}.0"
    return f"{major}.{minor + 1}" if added(old, new) else released
