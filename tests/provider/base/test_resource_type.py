"""What the base does for a resource type: maps, free-form objects, derived inputs, drift and previews."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from provider.base.plugin import FoundResource, ResourceType
from provider.base.schema import DEFAULTS, Failure, Property, PropertyChange, step, strings
from provider.base.values import UNKNOWN, Secret

PARTS = Property("object", fields={"size": Property("integer", required=True, minimum=1), "colour": Property()})


class Thing(ResourceType):
    token = "x:index:Thing"
    marks_defaults = False
    properties = {  # noqa: RUF012
        "name": Property(required=True, force_new=True),
        "free": Property("object"),
        "groups": Property("map", item=strings("set")),
        "parts": Property("map", item=PARTS),
        "tokens": strings("map", secret=True),
        "length": Property("integer", computed=True),
        "live": Property(output=True),
        "key": Property(output=True, secret=True),
    }

    def complete(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        return {"length": len(inputs["name"])} if "name" in inputs else {}

    def validate(self, inputs: Mapping[str, Any], old: Mapping[str, Any]) -> Iterator[Failure]:
        if inputs.get("length", 0) < old.get("length", 0):
            yield Failure("name", "it may not become shorter")

    def drift(self, state: Mapping[str, Any], inputs: Mapping[str, Any]) -> Iterator[PropertyChange]:
        if state.get("live") == "off":
            yield PropertyChange("live", "update", replace=False)

    def planned(self, inputs: Mapping[str, Any], state: Mapping[str, Any] | None) -> dict[str, Any]:
        return {"live": "on"}

    def deletes_before_replace(self, replaces: Any) -> bool:
        return "name" in replaces

    def create(self, inputs: dict[str, Any]) -> FoundResource:
        raise NotImplementedError

    def read(self, id_: str, state: dict[str, Any]) -> FoundResource | None:
        raise NotImplementedError

    def update(self, id_: str, state: dict[str, Any], inputs: dict[str, Any]) -> FoundResource:
        raise NotImplementedError

    def delete(self, id_: str, state: dict[str, Any]) -> None:
        raise NotImplementedError


def check(old: dict[str, Any] | None = None, /, **given: Any) -> tuple[dict[str, Any], list[str]]:
    inputs, failures = Thing().check("thing", {"name": "abc", **given}, old or {}, b"")
    return inputs, [f"{failure.property}: {failure.reason}" for failure in failures]


def paths(old: dict[str, Any], new: dict[str, Any], ignore: tuple[str, ...] = ()) -> dict[str, str]:
    plan = Thing().plan({"name": "abc", "length": 3, **old}, {"name": "abc", "length": 3, **new}, ignore)
    return {change.path: change.kind for change in plan.changes}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"a": 1}, {"a": 2}),
        ({"a": 1}, {"a": 1, "b": 1}),
        ({"a": 1, "b": 1}, {"a": 1}),
        ({"a": {"b": [1, {"c": 2}]}}, {"a": {"b": [1, {"c": 3}]}}),
        ({"a": 1}, {}),
    ],
)
def test_a_change_anywhere_in_a_free_form_object_is_seen(old: dict[str, Any], new: dict[str, Any]) -> None:
    assert paths({"free": old}, {"free": new}).keys() == {"free"}, "the next up would leave the old value in the store"
    assert paths({"free": old}, {"free": old}) == {}


def test_refresh_and_import_take_a_free_form_object_as_it_is() -> None:
    found = {"name": "abc", "free": {"a": {"b": 2}}, "parts": {"p": {"size": 2}}}
    assert Thing().inputs_of(found, {"name": "abc", "free": {"a": {"b": 1}}})["free"] == {"a": {"b": 2}}
    assert Thing().inputs_of(found, {}) == found, "an import would lose what is in it"


def test_each_name_of_a_map_is_a_change_of_its_own() -> None:
    old = {"groups": {"a": ["x", "y"], "b": ["x"], "c:d": ["x"]}, "parts": {"p": {"size": 1}}}
    new = {"groups": {"a": ["y", "x"], "c:d": ["z"], "e": []}, "parts": {"p": {"size": 2}}}
    assert paths(old, new) == {
        "groups.b": "delete",
        'groups["c:d"]': "update",
        "groups.e": "add",
        "parts.p.size": "update",
    }
    assert paths(old, new, ignore=("groups",)) == {"parts.p.size": "update"}


def test_a_path_is_as_the_engine_reads_it() -> None:
    assert step("a", "b") == "a.b" and step("a", "b.c") == 'a["b.c"]' and step("a", 'b"c') == 'a["b\\"c"]'


def test_values_of_a_map_are_checked_and_the_failure_names_the_place() -> None:
    _, failures = check(groups={"a.b": ["x", 1]}, parts={"p": {"size": 0, "color": "red"}, "q": {}}, tokens={"t": 1})
    assert sorted(failures) == [
        'groups["a.b"][1]: expected a string, got a number',
        "parts.p.color: unknown property 'color'; did you mean 'colour'?",
        "parts.p.size: expected 1 or more, got 0",
        "parts.q.size: missing required property 'size'",
        "tokens.t: expected a string, got a number",
    ]


def test_check_adds_what_follows_from_the_inputs_and_no_marks() -> None:
    inputs, failures = check(parts={"p": {"size": 1}}, tokens=Secret({"t": "s"}))
    assert failures == [] and inputs["length"] == 3
    assert inputs["tokens"] == Secret({"t": "s"})
    assert DEFAULTS not in inputs and DEFAULTS not in inputs["parts"]["p"], "they would show in every preview"


def test_check_has_the_inputs_of_the_last_up() -> None:
    assert check({"name": "abcd", "length": 4})[1] == ["name: it may not become shorter"]
    assert check({"name": "ab", "length": 2})[1] == []


def test_a_kind_may_see_a_change_that_its_inputs_do_not_have() -> None:
    assert paths({"live": "off"}, {}) == {"live": "update"} and paths({"live": "on"}, {}) == {}


def test_a_preview_has_what_is_known_and_marks_what_is_secret() -> None:
    created = Thing().preview({"name": "abc", "tokens": Secret({"t": "s"})})
    assert created["live"] == "on" and created["tokens"] == Secret({"t": "s"})
    assert created["key"] == Secret(UNKNOWN), "the preview would show the key as soon as it is known"
    updated = Thing().preview({"name": "abc"}, {"name": "abc", "key": Secret("k"), "live": "off"})
    assert updated["key"] == Secret("k") and updated["live"] == "on"


def test_a_kind_decides_whether_the_old_one_goes_first() -> None:
    assert Thing().plan({"name": "abc"}, {"name": "abd"}, ()).delete_before_replace
    assert not Thing().plan({"name": "abc", "free": {}}, {"name": "abc", "free": {"a": 1}}, ()).delete_before_replace
