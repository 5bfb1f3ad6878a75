"""A local stack that an older release made: refused with the command that keeps it, before the engine runs."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from tools.local import commands
from tools.local.errors import UserError
from tools.local.stack import Stack


def stack(*types: str) -> Stack:
    latest: dict[str, Any] = {"resources": [{"type": type_} for type_ in types]}
    return cast("Stack", SimpleNamespace(latest=latest))


def test_a_state_with_dynamic_resources_is_refused() -> None:
    old = stack("pulumi:pulumi:Stack", "pulumi-python:dynamic/storage:Credential")
    with pytest.raises(UserError, match="tools upgrade-state"):
        commands._check_release(old)


def test_a_state_of_this_release_and_an_empty_one_are_taken() -> None:
    commands._check_release(stack("pulumi:pulumi:Stack", "stellaops:index:Credential"))
    commands._check_release(cast("Stack", SimpleNamespace(latest={})))
