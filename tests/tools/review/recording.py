"""Recorded previews, real and yet small: each is kept as its difference from the stack's state at rest.

``pack`` takes what the engine printed, ``unpack`` gives it back but for what changes from run to run. ``at-rest.json``
holds the state of every resource once.
"""

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from components.contract.document import CONTRACT_VARIABLE

DIRECTORY = Path(__file__).parent / "previews"
AT_REST = "at-rest"

State = dict[str, Any]
_JSON = "#json"
_CONFIG = "~config"  # the stack's settings, beside its resources
# What a preview has of a resource and no reader needs, or what differs with each run.
_VOLATILE = frozenset(
    {
        "sourcePosition", "stackTrace", "propertyDependencies", "created", "modified", "provider", "additionalSecretOutputs",
        "sequence", "timestamp", "planning", "custom", "logical", "duration", "durationSeconds",
    }
)  # fmt: skip


def names() -> list[str]:
    """Every recording, sorted."""
    return sorted(path.stem for path in DIRECTORY.glob("*.json") if path.stem != AT_REST)


def text(name: str) -> str:
    """What the engine printed, unpacked."""
    states = _at_rest()
    recording = json.loads((DIRECTORY / f"{name}.json").read_text())
    documents = [_unpack(item, states) for item in _scattered(recording)]
    return "\n".join(json.dumps(_written(document)) for document in documents) + "\n"


@cache
def _at_rest() -> dict[str, State]:
    found: dict[str, State] = json.loads((DIRECTORY / f"{AT_REST}.json").read_text())
    return {urn: {**state, "outputs": _applied(state["inputs"], state["outputs"])} for urn, state in found.items()}


def write_at_rest(states_: dict[str, State]) -> None:
    """Outputs repeat inputs: what they have beside them is enough."""
    write(
        AT_REST,
        {
            urn: {**state, "outputs": list(_difference(state["inputs"], state["outputs"], []))}
            for urn, state in states_.items()
        },
    )


def documents(printed: str, places: dict[str, str]) -> list[Any]:
    """What the engine printed as JSON documents, without what is volatile. ``places`` maps this machine's paths and
    ports to others."""
    for place in sorted(places, key=len, reverse=True):
        printed = re.sub(rf"(?<![0-9A-Za-z]){re.escape(place)}(?![0-9A-Za-z])", places[place], printed)
    decoder, at, found = json.JSONDecoder(), printed.find("{"), []
    while at != -1:
        value, end = decoder.raw_decode(printed, at)
        if value.get("diagnosticEvent", {}).get("severity") != "debug":
            found.append(_stripped(value))
        at = printed.find("{", end)
    return found


def states(documents_: list[Any]) -> dict[str, State]:
    """URN -> state of every resource, with the stack's outputs, from a preview without changes."""
    found: dict[str, State] = {}
    for document in documents_:
        data = (document.get("resOutputsEvent") or {}).get("metadata")
        if data and data.get("new"):
            found[data["urn"]] = data["new"]
        if "preludeEvent" in document:
            found[_CONFIG] = {"inputs": document["preludeEvent"]["config"], "outputs": {}}
    return dict(sorted(found.items()))


def pack(documents_: list[Any], at_rest: dict[str, State]) -> list[Any]:
    """Documents with each state as its difference from the one at rest. Of the two events of a resource the second
    has all that the first has."""
    ended = {_about(item["resOutputsEvent"]) for item in documents_ if "resOutputsEvent" in item}
    kept = [
        item for item in documents_ if not ("resourcePreEvent" in item and _about(item["resourcePreEvent"]) in ended)
    ]
    return _gathered([_pack(document, at_rest) for document in kept])


def _about(event: dict[str, Any]) -> tuple[str, str]:
    return event["metadata"]["urn"], event["metadata"]["op"]


def write(name: str, content: Any) -> None:
    """One document a line, so that a difference between two recordings can be read."""
    if isinstance(content, dict):
        lines = [f"{json.dumps(key)}: {json.dumps(value, sort_keys=True)}" for key, value in content.items()]
        whole = "{\n" + ",\n".join(lines) + "\n}\n"
    else:
        whole = "[\n" + ",\n".join(json.dumps(item, sort_keys=True) for item in content) + "\n]\n"
    (DIRECTORY / f"{name}.json").write_text(whole)


def _stripped(value: Any) -> Any:
    """Without what nobody reads; text that is JSON as such, so that a small difference stays one."""
    if isinstance(value, dict):
        return {
            key: {_JSON: json.loads(item)} if key == CONTRACT_VARIABLE and isinstance(item, str) else _stripped(item)
            for key, item in value.items()
            if key not in _VOLATILE and not key.startswith("__")
        }
    return [_stripped(item) for item in value] if isinstance(value, list) else value


def _written(value: Any) -> Any:
    if isinstance(value, dict):
        if value.keys() == {_JSON}:
            return json.dumps(value[_JSON], separators=(",", ":"), ensure_ascii=False)
        return {key: _written(item) for key, item in value.items()}
    return [_written(item) for item in value] if isinstance(value, list) else value


_SIDES = ("old", "new", "oldState", "newState")


def _holders(document: Any) -> list[dict[str, Any]]:
    """Everything in a document that speaks of one resource."""
    events = [document[kind]["metadata"] for kind in ("resourcePreEvent", "resOutputsEvent") if kind in document]
    return [*events, *document.get("steps", ())]


def _sides(document: Any) -> Iterator[tuple[dict[str, Any], str, str]]:
    """Every state in a document: its holder, the key, and the URN."""
    for holder in _holders(document):
        yield from ((holder, side, holder["urn"]) for side in _SIDES if holder.get(side))


def _pack(document: Any, at_rest: dict[str, State]) -> Any:
    urns = list(at_rest)
    if "preludeEvent" in document:
        settings = document["preludeEvent"]["config"]
        return {"preludeEvent": {"but": list(_difference(at_rest[_CONFIG]["inputs"], settings, []))}}
    for holder, side, urn in list(_sides(document)):
        if urn in at_rest:
            holder[side] = {"but": list(_difference(at_rest[urn], holder[side], []))}
            holder["at_rest"] = urns.index(urn)
    for holder in _holders(document):
        if "at_rest" in holder:
            holder.pop("type", None)
            del holder["urn"]
    return document


def _unpack(document: Any, at_rest: dict[str, State]) -> Any:
    resources, urns = list(at_rest.values()), list(at_rest)
    if "preludeEvent" in document:
        return {"preludeEvent": {"config": _applied(at_rest[_CONFIG]["inputs"], document["preludeEvent"]["but"])}}
    for holder in _holders(document):
        if "at_rest" in holder:
            number = holder.pop("at_rest")
            holder["urn"] = urns[number]
            for side in _SIDES:
                if holder.get(side):
                    holder[side] = _applied(resources[number], holder[side]["but"])
    return document


def _gathered(packed: list[Any]) -> list[Any]:
    """Events of unchanged resources that say the same, as one with the numbers of the resources. They come first."""
    groups: dict[str, list[int]] = {}
    rest = []
    for document in packed:
        [(kind, content), *_] = document.items()
        data = content.get("metadata", {}) if isinstance(content, dict) else {}
        if data.get("op") == "same" and "at_rest" in data:
            about = {key: value for key, value in data.items() if key != "at_rest"}
            groups.setdefault(json.dumps({kind: about}, sort_keys=True), []).append(data["at_rest"])
        else:
            rest.append(document)
    return [*({"unchanged": json.loads(key), "of": _ranges(numbers)} for key, numbers in groups.items()), *rest]


def _scattered(recording: list[Any]) -> Iterator[Any]:
    for document in recording:
        if "unchanged" not in document:
            yield document
            continue
        for first, last in document["of"]:
            for number in range(first, last + 1):
                [(kind, about)] = json.loads(json.dumps(document["unchanged"])).items()
                yield {kind: {"metadata": {**about, "at_rest": number}}}


def _ranges(numbers: list[int]) -> list[list[int]]:
    """``[0, 1, 2, 5]`` as ``[[0, 2], [5, 5]]``."""
    found: list[list[int]] = []
    for number in sorted(numbers):
        if found and number == found[-1][1] + 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return found


def _difference(old: Any, new: Any, path: list[Any]) -> Iterator[list[Any]]:
    """``[path, value]`` for what is new or other, ``[path]`` for what is gone."""
    if isinstance(old, dict) and isinstance(new, dict) and (new or not path):
        for key in sorted(old.keys() - new.keys()):
            yield [[*path, key]]
        for key in sorted(new):
            if key not in old:
                yield [[*path, key], new[key]]
            else:
                yield from _difference(old[key], new[key], [*path, key])
    elif old != new or type(old) is not type(new):
        yield [path, new]


def _applied(state: State, but: list[list[Any]]) -> State:
    copy: State = json.loads(json.dumps(state))
    for path, *value in but:
        if not path:
            return value[0]  # type: ignore[no-any-return]
        holder = copy
        for part in path[:-1]:
            holder = holder[part]
        if value:
            holder[path[-1]] = value[0]
        else:
            del holder[path[-1]]
    return copy
