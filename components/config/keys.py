"""Config keys as fields of the model: names, types, defaults, choices and constraints."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, Literal, get_args, get_origin

from pydantic import AfterValidator, BaseModel, ConfigDict
from pydantic.fields import FieldInfo

from components.config.namespace import NAMESPACE
from components.config.values import Rule

PulumiType = Literal["string", "integer", "boolean"]


@dataclass(frozen=True)
class ConfigKey:
    """Marks a field of the model as a key. ``name`` without a namespace belongs to the project's namespace.

    ``description`` is Markdown for users: what the key sets, its unit or choices, and what its default means.
    """

    name: str
    description: str
    secret: bool = False


class ConfigSection(BaseModel):
    """A frozen group of settings. Each field is a key (marked with ``ConfigKey``) or another section."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        """Return the fields that are not secret."""
        fields = type(self).model_fields
        secret = {name for name, field in fields.items() if (key := _key(field)) and key.secret}
        return ((name, value) for name, value in super().__repr_args__() if name not in secret)


@dataclass(frozen=True)
class Declared:
    """One key of the model. ``path``: the field names from the model's root to the key."""

    path: tuple[str, ...]
    key: ConfigKey
    field: FieldInfo

    @property
    def namespace(self) -> str:
        return self.key.name.rpartition(":")[0] or NAMESPACE

    @property
    def name(self) -> str:
        """The key without its namespace."""
        return self.key.name.rpartition(":")[2]

    @property
    def full_name(self) -> str:
        return f"{self.namespace}:{self.name}"

    @property
    def foreign(self) -> bool:
        """Whether the key's namespace is not this project's."""
        return self.namespace != NAMESPACE

    @property
    def required(self) -> bool:
        return self.field.is_required()

    @property
    def default(self) -> bool | int | str | None:
        """The default as text; None for a required key, empty for an optional key without a default."""
        value = None if self.required else self.field.default
        if value is None or isinstance(value, bool | int):
            return value
        return ",".join(sorted(value)) if isinstance(value, tuple | frozenset) else str(value)

    @property
    def pulumi_type(self) -> PulumiType:
        """The type of the key in Pulumi.yaml, which the engine checks."""
        types: dict[Any, PulumiType] = {bool: "boolean", int: "integer"}
        return types.get(self.field.annotation, "string")

    @property
    def is_list(self) -> bool:
        return get_origin(self.field.annotation) in (tuple, frozenset)

    @cached_property
    def choices(self) -> tuple[str, ...]:
        """The valid values, if the key has a fixed set of them."""
        if self.pulumi_type == "boolean":
            return ("true", "false")
        is_literal = get_origin(self.field.annotation) is Literal
        return tuple(choice for choice in get_args(self.field.annotation) if choice) if is_literal else ()

    @cached_property
    def rule(self) -> Rule[Any] | None:
        """The constraint on the value, or on each item of a list."""
        metadata = [*self.field.metadata]
        if self.is_list:
            metadata += get_args(self.field.annotation)[0].__metadata__
        rules = [item.func for item in metadata if isinstance(item, AfterValidator) and isinstance(item.func, Rule)]
        return rules[0] if rules else None

    @property
    def allowed(self) -> str:
        """The end of the sentence "it must be ..."; empty for a secret, which can be any text."""
        if self.pulumi_type == "boolean":
            return "true or false"
        if self.choices:
            return f"one of {', '.join(self.choices)}"
        return self.rule.words if self.rule else ""


@cache
def declared(model: type[ConfigSection]) -> tuple[Declared, ...]:
    """Return every key of a model, in the order of its fields."""
    return tuple(_declared(model, ()))


def _declared(model: type[ConfigSection], parents: tuple[str, ...]) -> Iterator[Declared]:
    for name, field in model.model_fields.items():
        if key := _key(field):
            yield Declared((*parents, name), key, field)
        elif isinstance(field.annotation, type) and issubclass(field.annotation, ConfigSection):
            yield from _declared(field.annotation, (*parents, name))
        else:
            raise TypeError(f"{model.__name__}.{name} is neither a ConfigKey nor a ConfigSection")


def _key(field: FieldInfo) -> ConfigKey | None:
    return next((item for item in field.metadata if isinstance(item, ConfigKey)), None)
