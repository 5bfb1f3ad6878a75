"""Reads stack config into a model, from the engine or from a dictionary.

Reports all problems at once, one per line: the key, its value unless it is a secret, what is wrong, and the command that
corrects it.
"""

import difflib
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

import pulumi
from pydantic import ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from components.config.keys import ConfigSection, Declared, declared

Model = TypeVar("Model", bound=ConfigSection)

SHOWN_CHARACTERS = 100  # of an invalid value


class SettingsError(pulumi.RunError):
    """Stack config that cannot be used. The engine prints the message without a traceback."""


def contradiction(words: str, command: str) -> PydanticCustomError:
    """Return the error of a validator that compares two keys. ``words`` follow the key's name; ``command`` corrects it."""
    return PydanticCustomError("contradiction", "{words}; run: {command}", {"words": words, "command": command})


def from_engine(model: type[ConfigSection]) -> dict[str, str | pulumi.Output[str]]:
    """Return the values of the running program, by full key. Secrets are outputs."""
    values: dict[str, str | pulumi.Output[str]] = {}
    for item in declared(model):
        config = pulumi.Config(item.namespace)
        value = config.get_secret(item.name) if item.key.secret else config.get(item.name)
        if value is not None:
            values[item.full_name] = value
    return values


def read(model: type[Model], values: Mapping[str, object]) -> Model:
    """Return the model of ``values`` (full key -> text). An empty text is an unset key; unknown keys are ignored.

    Raises ``SettingsError``.
    """
    tree: dict[str, Any] = {}
    for item in declared(model):
        *sections, name = item.path
        branch = tree
        for section in sections:
            branch = branch.setdefault(section, {})
        value = values.get(item.full_name)
        if value is not None and not (isinstance(value, str) and value == ""):
            branch[name] = value
    try:
        return model.model_validate(tree)
    except ValidationError as error:
        raise SettingsError("\n".join(dict.fromkeys(_problems(model, error)))) from None


def _problems(model: type[ConfigSection], error: ValidationError) -> Iterator[str]:
    keys = {item.path: item for item in declared(model)}
    for detail in error.errors(include_url=False):
        yield _problem(next(item for path, item in keys.items() if detail["loc"][: len(path)] == path), detail)


def _problem(item: Declared, detail: ErrorDetails) -> str:
    place = f"config {item.full_name}"
    command = f"pulumi config set {item.full_name} {_example(item, detail['input'])}"
    if item.key.secret:
        problem = "is missing" if detail["type"] == "missing" else "is not text"
        return f"{place} {problem}; run: pulumi config set --secret {item.full_name} (it prompts for the value)"
    if detail["type"] == "missing":
        return f"{place} is missing; run: {command}"
    if detail["type"] == "contradiction":
        return f"{place} {detail['msg']}"
    text = str(detail["input"])[:SHOWN_CHARACTERS]
    value = text if item.pulumi_type == "integer" and text.isalnum() else repr(text)
    if item.is_list:
        return f"{place} has {value}; each of its comma-separated names must be {item.allowed}; run: {command}"
    return f"{place} is {value}; it must be {item.allowed}; run: {command}"


def _example(item: Declared, value: object) -> str:
    """Return the most similar choice, else the default, else a placeholder."""
    if not item.choices:
        return "VALUE"
    near = difflib.get_close_matches(str(value), item.choices, n=1)
    return near[0] if near else str(item.default).lower() or item.choices[0]
