"""A plugin process as the engine starts it, and its protocol with plain Python values."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import grpc
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc

from local.plugins.schema import DEFAULTS
from local.plugins.values import Props, from_struct, to_struct
from tests.stack import PROJECT

KINDS = {value: name for name, value in provider_pb2.PropertyDiff.Kind.items()}


@dataclass(frozen=True)
class Diff:
    """Property (or path) -> kind, what needs a replacement, and in which order that happens."""

    detailed: dict[str, str]
    replaces: list[str]
    delete_before_replace: bool


class PluginClient:
    """One resource type of a running plugin; ``urn`` carries the type token."""

    def __init__(self, stub: Any) -> None:
        self._stub = stub

    def configure(self, **settings: Any) -> None:
        self._stub.Configure(provider_pb2.ConfigureRequest(args=to_struct(settings), acceptSecrets=True))

    def check_config(self, **settings: Any) -> list[str]:
        answer = self._stub.CheckConfig(
            provider_pb2.CheckRequest(urn="urn:pulumi:s::p::pulumi:providers:x::x", news=to_struct(settings))
        )
        return [failure.reason for failure in answer.failures]

    def check(self, token: str, inputs: Props) -> tuple[Props, list[str]]:
        answer = self._stub.Check(provider_pb2.CheckRequest(urn=_urn(token), news=to_struct(inputs)))
        return from_struct(answer.inputs)[0], [failure.reason for failure in answer.failures]

    def checked(self, token: str, inputs: Props) -> Props:
        checked, failures = self.check(token, inputs)
        assert not failures, failures
        return checked

    def create(
        self, token: str, inputs: Props, *, preview: bool = False, secrets: tuple[str, ...] = ()
    ) -> tuple[str, Props, set[str]]:
        """(id, outputs, names of the secret ones)."""
        checked = self.checked(token, inputs)
        request = provider_pb2.CreateRequest(urn=_urn(token), properties=to_struct(checked, secrets), preview=preview)
        answer = self._stub.Create(request)
        outputs, marked = from_struct(answer.properties)
        return answer.id, outputs, marked

    def diff(self, token: str, id_: str, state: Props, news: Props, ignore: tuple[str, ...] = ()) -> Diff:
        checked = self.checked(token, news)
        answer = self._stub.Diff(
            provider_pb2.DiffRequest(
                urn=_urn(token), id=id_, olds=to_struct(state), news=to_struct(checked), ignoreChanges=ignore
            )
        )
        detailed = {path: KINDS[detail.kind] for path, detail in answer.detailedDiff.items()}
        assert (answer.changes == provider_pb2.DiffResponse.DIFF_SOME) == bool(detailed)
        return Diff(detailed, list(answer.replaces), answer.deleteBeforeReplace)

    def update(self, token: str, id_: str, state: Props, news: Props, *, preview: bool = False) -> Props:
        request = provider_pb2.UpdateRequest(
            urn=_urn(token), id=id_, olds=to_struct(state), news=to_struct(self.checked(token, news)), preview=preview
        )
        return from_struct(self._stub.Update(request).properties)[0]

    def read(
        self, token: str, id_: str, state: Props | None = None, inputs: Props | None = None
    ) -> tuple[str, Props, Props]:
        """(id, outputs, inputs); the blank id when it is gone. Without ``state`` this is an import."""
        request = provider_pb2.ReadRequest(
            urn=_urn(token), id=id_, properties=to_struct(state or {}), inputs=to_struct(inputs or {})
        )
        answer = self._stub.Read(request)
        found = from_struct(answer.inputs)[0]
        found.pop(DEFAULTS, None)
        return answer.id, from_struct(answer.properties)[0], found

    def delete(self, token: str, id_: str, state: Props) -> None:
        self._stub.Delete(provider_pb2.DeleteRequest(urn=_urn(token), id=id_, properties=to_struct(state)))


def _urn(token: str) -> str:
    return f"urn:pulumi:stack::project::stellaops:x:X${token}::name"


def said(error: grpc.RpcError) -> str:
    """What the engine shows of a failed call; it must be one line without a traceback."""
    text = str(error.details())
    assert "Traceback" not in text and "\n" not in text, f"a user would read this: {text}"
    return text


@contextmanager
def plugin(name: str) -> Iterator[PluginClient]:
    """A running plugin, not configured yet."""
    process = subprocess.Popen(
        [sys.executable, "-m", f"local.plugins.{name}", "127.0.0.1:1"], cwd=PROJECT, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield PluginClient(provider_pb2_grpc.ResourceProviderStub(channel))
    finally:
        process.kill()
        process.wait()
        if process.stdout:
            process.stdout.close()
