"""The base of every Pulumi plugin here, our own provider and the offline plugins: resource types in Python.

A ``Plugin`` has resource types; a ``ResourceType`` declares its properties and implements create, read, update and
delete. What holds for all of them is here: a preview changes nothing, secrets stay secret, properties that are not
declared are refused, and a diff names each property that differs. ``server`` serves a plugin to the engine.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from provider.base.schema import (
    DEFAULTS,
    Checker,
    Failure,
    Properties,
    PropertyChange,
    changes,
    refreshed_inputs,
    with_defaults,
    without_defaults,
)
from provider.base.values import UNKNOWN, Secret, conceal_like, has_unknown, reveal
from provider.errors import ProviderError


@dataclass(frozen=True)
class FoundResource:
    """A resource as its store has it. ``outputs`` by property name, without secret marks."""

    id: str
    outputs: dict[str, Any]


@dataclass(frozen=True)
class UpdatePlan:
    """What an update would do. ``replaces``: top-level properties that need a new resource."""

    changes: list[PropertyChange]
    delete_before_replace: bool

    @property
    def replaces(self) -> list[str]:
        return sorted({_top(change.path) for change in self.changes if change.replace})

    @property
    def differing(self) -> list[str]:
        return sorted({_top(change.path) for change in self.changes})


def _top(path: str) -> str:
    return path.split(".", maxsplit=1)[0].split("[", maxsplit=1)[0]


class ResourceType(ABC):
    """One type of resource. Its methods get plain values: no unknowns, no secret marks, no ``__`` keys."""

    token: str
    properties: Properties
    description = ""
    # Whether the engine deletes the old one first when it must replace it.
    delete_before_replace = False
    # Whether a missing name is made from the resource's name.
    autoname = False
    # Whether the inputs in the state name the defaults among them, as those of the official plugins do.
    marks_defaults = True

    def complete(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Inputs that follow from the program's, such as checksums of files. ``inputs`` holds only what is known."""
        return {}

    def validate(self, inputs: Mapping[str, Any], old: Mapping[str, Any]) -> Iterator[Failure]:
        """Failures beyond wrong types. ``inputs`` holds only properties that are known during a preview; ``old``
        holds the inputs of the last ``up``, none for a new resource."""
        yield from ()

    def drift(self, state: Mapping[str, Any], inputs: Mapping[str, Any]) -> Iterator[PropertyChange]:
        """Changes besides those of the inputs, such as an output that shows that the store was changed by hand."""
        yield from ()

    def planned(self, inputs: Mapping[str, Any], state: Mapping[str, Any] | None) -> dict[str, Any]:
        """Outputs that a preview knows in advance, or ``UNKNOWN`` for one that an update will renew. ``state`` is None
        for a new resource; values may be ``UNKNOWN``."""
        return {}

    def deletes_before_replace(self, replaces: Iterable[str]) -> bool:
        """Whether to delete the old one first when the properties ``replaces`` need a new one."""
        return self.delete_before_replace

    @abstractmethod
    def create(self, inputs: dict[str, Any]) -> FoundResource: ...

    @abstractmethod
    def read(self, id_: str, state: dict[str, Any]) -> FoundResource | None:
        """The resource now, None when it is gone. ``state`` is empty for an import."""

    @abstractmethod
    def update(self, id_: str, state: dict[str, Any], inputs: dict[str, Any]) -> FoundResource: ...

    @abstractmethod
    def delete(self, id_: str, state: dict[str, Any]) -> None:
        """Leave nothing behind. What is gone already is no error."""

    # From here on: what the engine asks, with secret marks and unknowns.

    def check(
        self, name: str, given: Mapping[str, Any], old: Mapping[str, Any], seed: bytes
    ) -> tuple[dict[str, Any], list[Failure]]:
        checker = Checker(self.properties)
        inputs = checker.check(given, reveal(old), name if self.autoname else "", seed)
        if not self.marks_defaults:
            inputs = without_defaults(inputs)
        if not checker.failures:
            inputs |= self.complete(_known(inputs))
            checker.failures.extend(self.validate(_known(inputs), plain(old)))
        return inputs, checker.failures

    def plan(self, state: Mapping[str, Any], inputs: Mapping[str, Any], ignore: Iterable[str]) -> UpdatePlan:
        ignored, old, new = set(ignore), plain(state), plain(inputs)
        found = [
            change
            for change in (*changes(self.properties, old, new), *self.drift(old, new))
            if change.path not in ignored and _top(change.path) not in ignored
        ]
        # Two of the same name cannot stand side by side.
        same_name = self.autoname and "name" not in inputs.get(DEFAULTS, []) and state.get("name") == inputs.get("name")
        plan = UpdatePlan(found, delete_before_replace=same_name)
        return replace(plan, delete_before_replace=same_name or self.deletes_before_replace(plan.replaces))

    def preview(self, inputs: Mapping[str, Any], state: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The outputs as far as they are known before anything is done."""
        outputs = {key: value for key, value in inputs.items() if not key.startswith("__")}
        for name, property_ in self.properties.items():
            if (property_.computed or property_.output) and outputs.get(name) is None:
                outputs[name] = UNKNOWN if state is None else state.get(name)
        outputs |= self.planned(plain(inputs), None if state is None else plain(state))
        return self.conceal(outputs, {**(state or {}), **inputs})

    def conceal(self, outputs: Mapping[str, Any], examples: Mapping[str, Any]) -> dict[str, Any]:
        """Outputs with secret marks: declared ones, and those whose input or earlier state was secret."""
        return {
            name: Secret(value)
            if value is not None
            and not isinstance(value, Secret)
            and name in self.properties
            and self.properties[name].secret
            else conceal_like(value, examples.get(name))
            for name, value in outputs.items()
        }

    def inputs_of(self, outputs: Mapping[str, Any], old_inputs: Mapping[str, Any]) -> dict[str, Any]:
        """The inputs that go with what was read; ``old_inputs`` is empty for an import."""
        if old_inputs:
            return refreshed_inputs(self.properties, old_inputs, outputs)
        inputs = with_defaults(self.properties, outputs)
        return inputs if self.marks_defaults else without_defaults(inputs)


def _known(inputs: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in plain(inputs).items() if not has_unknown(value)}


def plain(properties: Mapping[str, Any]) -> dict[str, Any]:
    """Properties without secret marks and without ``__`` keys, at any depth."""
    return {key: _plain(reveal(value)) for key, value in properties.items() if not key.startswith("__")}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items() if key != DEFAULTS}
    return [_plain(item) for item in value] if isinstance(value, list) else value


@dataclass
class Plugin(ABC):
    """A provider: its name, its configuration and its resource types.

    ``title`` is how messages call it, like "offline postgresql plugin"; ``hint`` ends the message for a type that it
    does not have.
    """

    name: str
    configuration: Properties
    types: dict[str, ResourceType] = field(default_factory=dict)
    title: str = ""
    description: str = ""
    hint: str = ""

    def __post_init__(self) -> None:
        self.title = self.title or f"{self.name} provider"

    @abstractmethod
    def configure(self, configuration: dict[str, Any]) -> None:
        """Take the provider's configuration: plain values by property name. Connects to nothing."""

    def cancel(self) -> None:  # noqa: B027 - most have nothing that takes long
        """Stop what is under way; called once, from another thread."""

    def resource_type(self, token: str) -> ResourceType:
        try:
            return self.types[token]
        except KeyError:
            known = ", ".join(sorted(self.types))
            raise ProviderError(f"the {self.title} does not have {token} (it has {known}){self.hint}") from None
