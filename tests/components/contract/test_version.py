"""The rule of the contract's version: services rely on it. Each released schema is kept in ``versions/``."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from components.contract import document as contract
from tests.components.contract.shape import broken, least_version, shape
from tools.reference import schemas

VERSIONS = Path(__file__).parent / "versions"


def number(version: str) -> tuple[int, int]:
    major, minor = version.split(".")
    return int(major), int(minor)


RELEASED = {path.name.removesuffix(".schema.json"): json.loads(path.read_text()) for path in VERSIONS.glob("*.json")}
LATEST = max(RELEASED, key=number)
FIRST = RELEASED["1.0"]
CURRENT: dict[str, Any] = json.loads(schemas.text(contract.Contract))


def test_a_changed_contract_has_the_version_that_the_change_asks_for() -> None:
    old, new = shape(RELEASED[LATEST]), shape(CURRENT)
    least = least_version(LATEST, old, new)
    assert number(contract.VERSION) >= number(least), (
        f"services written for {LATEST} are not told: raise VERSION to {least}; {broken(old, new) or 'fields were added'}"
    )


def test_no_version_is_given_twice() -> None:
    if contract.VERSION in RELEASED:
        assert shape(CURRENT) == shape(RELEASED[contract.VERSION]), f"{contract.VERSION} is released and cannot change"


def test_the_version_does_not_go_back() -> None:
    assert number(contract.VERSION) >= number(LATEST)


def changed(*path: str, to: Any) -> dict[str, Any]:
    """The first schema with one field of a definition set, or removed with None."""
    schema: dict[str, Any] = copy.deepcopy(FIRST)
    *where, name = path
    node = schema
    for part in where:
        node = node[part]
    if to is None:
        del node[name]
    else:
        node[name] = to
    return schema


@pytest.mark.parametrize(
    ("schema", "least"),
    [
        (changed("$defs", "ValkeyUse", "properties", "keys", to=None), "2.0"),
        (changed("$defs", "PostgresEndpoint", "properties", "port", to={"type": "string"}), "2.0"),
        (changed("$defs", "KeyUse", "properties", "ttl", to={"anyOf": [{"type": "string"}, {"type": "null"}]}), "2.0"),
        (changed("$defs", "StreamUse", "properties", "length", to={"type": "integer"}), "1.1"),
        (changed("description", to="Other words"), "1.0"),
    ],
    ids=["removed", "retyped", "may be null now", "added", "only said otherwise"],
)
def test_the_rule_sees_each_kind_of_change(schema: dict[str, Any], least: str) -> None:
    assert least_version("1.0", shape(FIRST), shape(schema)) == least


def test_the_shape_reaches_every_leaf() -> None:
    paths = shape(CURRENT)
    assert paths["modules.*.valkey.keys[].ttl"] == "string"
    assert paths["modules.*.postgres.schemas.*.*.privileges[]"] == "string"
    assert paths["modules.*.postgres"] == "object or null"
