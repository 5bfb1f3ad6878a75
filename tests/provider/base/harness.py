"""A plugin process as the engine starts it, and its protocol with plain Python values.

``plugin`` starts an offline plugin, ``stellaops`` our own provider.
"""

import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc, status_pb2

from provider.base.schema import DEFAULTS
from provider.base.values import Secret, decode, encode, reveal
from tests.support.stack import PROJECT

Props = dict[str, Any]
KINDS = {value: name for name, value in provider_pb2.PropertyDiff.Kind.items()}


@dataclass(frozen=True)
class Diff:
    """Property path -> kind, the properties that need a replacement, and whether the old one goes first."""

    detailed: dict[str, str]
    replaces: list[str]
    delete_before_replace: bool


@dataclass(frozen=True)
class Resource:
    """What a plugin answers of one resource. ``outputs`` without, ``secret`` the names with a secret mark."""

    token: str
    id: str
    inputs: Props
    outputs: Props
    secret: set[str] = field(default_factory=set)


def _shown(failure: Any) -> str:
    return f"{failure.property}: {failure.reason}" if failure.property else str(failure.reason)


class PluginClient:
    """A running plugin. Methods give what the engine would keep, and take it back the way the engine does."""

    def __init__(self, stub: Any) -> None:
        self.stub = stub

    def configure(self, **settings: Any) -> None:
        self.stub.Configure(provider_pb2.ConfigureRequest(args=encode(settings), acceptSecrets=True))

    def check_config(self, **settings: Any) -> tuple[Props, list[str]]:
        request = provider_pb2.CheckRequest(urn="urn:pulumi:s::p::pulumi:providers:x::x", news=encode(settings))
        answer = self.stub.CheckConfig(request)
        return decode(answer.inputs), [_shown(failure) for failure in answer.failures]

    def check(self, token: str, inputs: Props, old: Props | None = None, name: str = "name") -> tuple[Props, list[str]]:
        request = provider_pb2.CheckRequest(urn=urn(token, name), news=encode(inputs), olds=encode(old or {}))
        answer = self.stub.Check(request)
        return decode(answer.inputs), [_shown(failure) for failure in answer.failures]

    def checked(self, token: str, inputs: Props, old: Props | None = None) -> Props:
        checked, failures = self.check(token, inputs, old)
        assert not failures, failures
        return checked

    def create(self, token: str, inputs: Props, *, preview: bool = False) -> Resource:
        return self.create_checked(token, self.checked(token, inputs), preview=preview)

    def create_checked(self, token: str, checked: Props, *, preview: bool = False) -> Resource:
        request = provider_pb2.CreateRequest(urn=urn(token), properties=encode(checked), preview=preview)
        answer = self.stub.Create(request)
        return _resource(token, answer.id, checked, decode(answer.properties))

    def diff(self, resource: Resource, inputs: Props | None = None, ignore: tuple[str, ...] = ()) -> Diff:
        """``inputs`` as a program gives them; the resource's own by default."""
        news = resource.inputs if inputs is None else self.checked(resource.token, inputs, resource.inputs)
        answer = self.stub.Diff(
            provider_pb2.DiffRequest(
                urn=urn(resource.token),
                id=resource.id,
                olds=encode(resource.outputs),
                news=encode(news),
                old_inputs=encode(resource.inputs),
                ignoreChanges=ignore,
            )
        )
        detailed = {path: KINDS[detail.kind] for path, detail in answer.detailedDiff.items()}
        assert (answer.changes == provider_pb2.DiffResponse.DIFF_SOME) == bool(detailed)
        return Diff(detailed, list(answer.replaces), answer.deleteBeforeReplace)

    def update(self, resource: Resource, inputs: Props, *, preview: bool = False) -> Resource:
        checked = self.checked(resource.token, inputs, resource.inputs)
        request = provider_pb2.UpdateRequest(
            urn=urn(resource.token),
            id=resource.id,
            olds=encode(resource.outputs),
            news=encode(checked),
            preview=preview,
        )
        answer = self.stub.Update(request)
        return _resource(resource.token, resource.id, checked, decode(answer.properties))

    def try_create(self, token: str, inputs: Props) -> tuple[Resource | None, str]:
        """What the engine records of a creation, None if it records nothing; and the message if it fails."""
        checked = self.checked(token, inputs)
        try:
            return self.create_checked(token, checked), ""
        except grpc.RpcError as error:
            recorded, message = _recorded(error), said(error)
        return recorded and _resource(token, recorded.id, checked, decode(recorded.properties)), message

    def try_update(self, resource: Resource, inputs: Props) -> tuple[Resource, str]:
        """What the engine records of an update, which has the old inputs if it fails; and the message if it fails."""
        try:
            return self.update(resource, inputs), ""
        except grpc.RpcError as error:
            recorded, message = _recorded(error), said(error)
        assert recorded is not None, f"the next up would see no difference: {message}"
        assert list(recorded.reasons) == [message]
        return _resource(resource.token, resource.id, resource.inputs, decode(recorded.properties)), message

    def refresh(self, resource: Resource) -> Resource | None:
        """The resource as it is now, None when it is gone."""
        return self._read(resource.token, resource.id, resource.outputs, resource.inputs)

    def imported(self, token: str, id_: str) -> Resource | None:
        return self._read(token, id_, {}, {})

    def _read(self, token: str, id_: str, state: Props, inputs: Props) -> Resource | None:
        request = provider_pb2.ReadRequest(urn=urn(token), id=id_, properties=encode(state), inputs=encode(inputs))
        answer = self.stub.Read(request)
        return _resource(token, answer.id, decode(answer.inputs), decode(answer.properties)) if answer.id else None

    def delete(self, resource: Resource) -> None:
        request = provider_pb2.DeleteRequest(
            urn=urn(resource.token), id=resource.id, properties=encode(resource.outputs)
        )
        self.stub.Delete(request)

    def try_delete(self, resource: Resource) -> str:
        """The message if the deletion fails; the engine then keeps the resource as it is."""
        try:
            self.delete(resource)
        except grpc.RpcError as error:
            return said(error)
        return ""


def _resource(token: str, id_: str, inputs: Props, outputs: Props) -> Resource:
    secret = {name for name, value in outputs.items() if isinstance(value, Secret)}
    return Resource(token, id_, inputs, reveal(outputs), secret)


def _recorded(error: grpc.RpcError) -> Any:
    """The properties and reasons that come with a failed call, for which the engine repeats the update; None if none do."""
    for name, value in error.trailing_metadata():
        if name == "grpc-status-details-bin":
            (packed,) = status_pb2.Status.FromString(value).details
            detail = provider_pb2.ErrorResourceInitFailed()
            assert packed.Unpack(detail)
            return detail
    return None


def said_by(inputs: Mapping[str, Any]) -> Props:
    """Inputs without what the plugin filled in."""
    return {name: value for name, value in inputs.items() if name != DEFAULTS and name not in inputs[DEFAULTS]}


def failure(action: Callable[[], object]) -> str:
    """What the engine shows of a call that fails."""
    with pytest.raises(grpc.RpcError) as caught:
        action()
    return str(caught.value.details())


def urn(token: str, name: str = "name") -> str:
    return f"urn:pulumi:stack::project::stellaops:x:X${token}::{name}"


def said(error: grpc.RpcError) -> str:
    """What the engine shows of a failed call; it must be one line without a traceback."""
    text = str(error.details())
    assert "Traceback" not in text and "\n" not in text, f"a user would read this: {text}"
    return text


@contextmanager
def plugin(name: str, **environment: str) -> Iterator[PluginClient]:
    """A running offline plugin, not configured yet."""
    with _running([sys.executable, "-m", f"tools.offline_plugins.{name}", "127.0.0.1:1"], environment) as client:
        yield client


@contextmanager
def stellaops(cwd: Path = PROJECT, engine: str = "127.0.0.1:1", **settings: Any) -> Iterator[PluginClient]:
    """Our own provider, started by its executable in ``cwd``, and configured where there are ``settings``.

    ``engine`` is the address of the engine that it sends messages to.
    """
    with _running([str(PROJECT / "provider" / "pulumi-resource-stellaops"), engine], {}, cwd) as client:
        if settings:
            client.configure(**settings)
        yield client


@contextmanager
def _running(command: list[str], environment: Mapping[str, str], cwd: Path = PROJECT) -> Iterator[PluginClient]:
    process = subprocess.Popen(command, cwd=cwd, stdout=subprocess.PIPE, text=True, env=environment or None)
    try:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        # The engine's client, too, accepts more metadata than this library does by default.
        options = [("grpc.max_metadata_size", 16 * 1024 * 1024)]
        with grpc.insecure_channel(f"127.0.0.1:{port}", options) as channel:
            yield PluginClient(provider_pb2_grpc.ResourceProviderStub(channel))
    finally:
        process.kill()
        process.wait()
        if process.stdout:
            process.stdout.close()
