"""Base classes of our Pulumi plugins: our provider and the offline plugins.

A ``Plugin`` has resource types. A ``ResourceType`` declares its properties and implements create, read, update and
delete. The base classes ensure that a preview changes nothing, secrets stay secret, undeclared properties are refused,
and a diff names each property that differs. ``server`` serves a plugin to the engine.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
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
    """The current state of a resource in its store. ``outputs``: property name -> plain value, without secret marks."""

    id: str
    outputs: dict[str, Any]


class UnfinishedError(Exception):
    """An operation that failed after it began to change the store. Its cause is the failure."""

    def __init__(self, resource: FoundResource) -> None:
        super().__init__(resource.id)
        self.resource = resource


@dataclass
class Recording:
    """``unfinished`` is the resource to record if the operation fails; None until the store is about to change."""

    unfinished: FoundResource | None = None


@contextmanager
def recording() -> Iterator[Recording]:
    """If the block fails after it set ``unfinished``, record that resource in the state.

    The next run then calls ``update``, even if nothing differs, or deletes the resource if the program no longer declares
    it. A creation that fails before is not recorded; an update that fails before is recorded with the old state.
    """
    record = Recording()
    try:
        yield record
    except Exception as error:
        if record.unfinished is None:
            raise
        raise UnfinishedError(record.unfinished) from error


@dataclass(frozen=True)
class UpdatePlan:
    """The changes of an update. ``replaces``: the top-level properties whose change replaces the resource."""

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
    """A type of resource. Its methods receive plain values: no unknowns, no secret marks, no ``__`` keys."""

    token: str
    properties: Properties
    description = ""
    # Whether a replacement deletes the old resource before it creates the new one.
    delete_before_replace = False
    # Whether a missing ``name`` is generated from the resource's name.
    autoname = False
    # Whether the inputs in state list which of them are defaults, as the official plugins' inputs do.
    marks_defaults = True

    def complete(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Return additional inputs that are computed from the program's, such as checksums of files. Unknown
        ``inputs`` are left out."""
        return {}

    def validate(self, inputs: Mapping[str, Any], old: Mapping[str, Any]) -> Iterator[Failure]:
        """Yield failures beyond wrong types. ``inputs`` contains only the properties that are known in a preview;
        ``old`` contains the inputs of the last ``up`` and is empty for a new resource."""
        yield from ()

    def drift(self, state: Mapping[str, Any], inputs: Mapping[str, Any]) -> Iterator[PropertyChange]:
        """Yield changes besides those of the inputs, such as an output that shows a manual change in the store."""
        yield from ()

    def planned(self, inputs: Mapping[str, Any], state: Mapping[str, Any] | None) -> dict[str, Any]:
        """Return outputs that a preview can predict, and ``UNKNOWN`` for each that the operation will change.
        ``state`` is None for a new resource. Values of ``inputs`` may be ``UNKNOWN``."""
        return {}

    def deletes_before_replace(self, replaces: Iterable[str]) -> bool:
        """Whether to delete the old resource first if the properties ``replaces`` require a replacement."""
        return self.delete_before_replace

    @abstractmethod
    def create(self, inputs: dict[str, Any]) -> FoundResource: ...

    @abstractmethod
    def read(self, id_: str, state: dict[str, Any]) -> FoundResource | None:
        """Return the resource's current state, or None if it does not exist. ``state`` is empty for an import."""

    @abstractmethod
    def update(self, id_: str, state: dict[str, Any], inputs: dict[str, Any]) -> FoundResource:
        """Make the store match ``inputs``, also where they equal ``state``: after a failed update the next run calls this
        again, even if the program is what it was before. If an update may add what the next one could not find, it must
        set ``Recording.unfinished`` before."""

    @abstractmethod
    def delete(self, id_: str, state: dict[str, Any]) -> None:
        """Delete the resource completely. It is not an error if it does not exist.

        ``state`` has the inputs of the last ``up``, also those whose changes are no update.
        """

    # The methods below implement the engine's requests; their values may have secret marks and unknowns.

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
        differences = [
            change
            for change in (*changes(self.properties, old, new), *self.drift(old, new))
            if change.path not in ignored and _top(change.path) not in ignored
        ]
        # Two resources with the same name cannot exist at the same time.
        same_name = self.autoname and "name" not in inputs.get(DEFAULTS, []) and state.get("name") == inputs.get("name")
        plan = UpdatePlan(differences, delete_before_replace=same_name)
        return replace(plan, delete_before_replace=same_name or self.deletes_before_replace(plan.replaces))

    def preview(self, inputs: Mapping[str, Any], state: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return the outputs, with ``UNKNOWN`` for each that is only known after the operation."""
        outputs = {key: value for key, value in inputs.items() if not key.startswith("__")}
        for name, property_ in self.properties.items():
            if (property_.computed or property_.output) and outputs.get(name) is None:
                outputs[name] = UNKNOWN if state is None else state.get(name)
        outputs |= self.planned(plain(inputs), None if state is None else plain(state))
        return self.conceal(outputs, {**(state or {}), **inputs})

    def conceal(self, outputs: Mapping[str, Any], examples: Mapping[str, Any]) -> dict[str, Any]:
        """Mark outputs as secret if they are declared secret, or if their value in ``examples`` is secret."""
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
        """Return the inputs that match the outputs of a read. ``old_inputs`` is empty for an import."""
        if old_inputs:
            return refreshed_inputs(self.properties, old_inputs, outputs)
        inputs = with_defaults(self.properties, outputs)
        return inputs if self.marks_defaults else without_defaults(inputs)


def _known(inputs: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in plain(inputs).items() if not has_unknown(value)}


def plain(properties: Mapping[str, Any]) -> dict[str, Any]:
    """Remove secret marks and ``__`` keys, at any depth."""
    return {key: _plain(reveal(value)) for key, value in properties.items() if not key.startswith("__")}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items() if key != DEFAULTS}
    return [_plain(item) for item in value] if isinstance(value, list) else value


@dataclass
class Plugin(ABC):
    """A provider: its name, its configuration and its resource types.

    ``title``: its name in messages, such as "offline postgresql plugin". ``hint``: the end of the message about an
    unsupported resource type.
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
        """Set the provider's configuration: property name -> plain value. Must not connect to a server."""

    def cancel(self) -> None:  # noqa: B027 - most plugins have no long-running operations
        """Stop running operations. Called from another thread."""

    def resource_type(self, token: str) -> ResourceType:
        try:
            return self.types[token]
        except KeyError:
            supported = ", ".join(sorted(self.types))
            raise ProviderError(
                f"the {self.title} does not support {token} (it supports {supported}){self.hint}"
            ) from None
