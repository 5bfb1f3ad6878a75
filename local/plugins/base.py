"""The base of the offline plugins: the engine's ``ResourceProvider`` protocol over resource types that do the work.

A plugin is a ``Plugin`` with a ``ResourceType`` for each type token. The base does what is alike for all: it checks,
compares, keeps secrets marked, answers previews without asking any server, and turns errors into one line.

It stands on the SDK's generated gRPC classes. The SDK's own server for plugins answers every error with a traceback,
which no user should see.
"""

import json
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from concurrent import futures
from contextlib import contextmanager
from typing import Any, ClassVar

import grpc
from google.protobuf import empty_pb2
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

from local.plugins.schema import DEFAULTS, Change, Schema
from local.plugins.values import UNKNOWN, Props, from_struct, has_unknown, to_struct

WORKERS = 16
LARGEST_MESSAGE = 400 * 1024 * 1024  # bytes, as the engine's own limit
DEBUG = "STELLAOPS_PLUGIN_DEBUG"


class PluginError(Exception):
    """Something that the user can mend; the engine shows its text and nothing else."""


class ResourceType:
    """One resource type. All methods take and return plain properties; ``config`` is the plugin's own."""

    schema: ClassVar[Schema]

    def identify(self, outputs: Props) -> str:
        """The id of a resource with these outputs, the same that the official plugin gives it."""
        raise NotImplementedError

    def create(self, config: Any, inputs: Props) -> Props:
        """Make it and return its outputs. Raises ``PluginError``."""
        raise NotImplementedError

    def read(self, config: Any, id_: str, state: Props) -> Props | None:
        """Its outputs as they are now, or None when it is gone. ``state`` is empty on import."""
        raise NotImplementedError

    def update(self, config: Any, id_: str, olds: Props, news: Props) -> Props:
        """Change it in place and return its outputs."""
        raise NotImplementedError

    def delete(self, config: Any, id_: str, state: Props) -> None:
        """Remove it; what is gone already is no error."""
        raise NotImplementedError

    def invalid(self, inputs: Props) -> str | None:
        """What is wrong with inputs that each fit their kind, beyond that; None when nothing is."""
        return None


class Plugin:
    """A plugin: its types by token, and its configuration."""

    name: ClassVar[str]
    config_schema: ClassVar[Schema]

    def type(self, token: str) -> ResourceType | None:
        """The type behind ``postgresql:index/role:Role``; None when this plugin has no such type."""
        raise NotImplementedError

    def configure(self, config: Props) -> Any:
        """What resource types get as ``config``. Connects to nothing: a preview may come without a server."""
        raise NotImplementedError


@contextmanager
def one_line(context: grpc.ServicerContext, name: str) -> Iterator[None]:
    """Turn errors into a status with one line; ``context.abort`` raises, so nothing after it runs."""
    try:
        yield
    except PluginError as error:
        context.abort(grpc.StatusCode.UNKNOWN, str(error))
    except Exception as error:  # the engine must get an answer, whatever went wrong
        if context.code() is not None:
            raise
        if os.environ.get(DEBUG):
            traceback.print_exc()
        text = " ".join(f"{type(error).__name__}: {error}".split())
        hint = f"this is a fault of the offline {name} plugin; set {DEBUG}=1 and run again for details"
        context.abort(grpc.StatusCode.INTERNAL, f"{text}; {hint}")


class Servicer(provider_pb2_grpc.ResourceProviderServicer):
    """The protocol, for one plugin process."""

    def __init__(self, plugin: Plugin, version: str) -> None:
        self._plugin = plugin
        self._version = version
        self._config: Any = None

    # The plugin itself

    def Handshake(self, request: Any, context: grpc.ServicerContext) -> Any:
        return provider_pb2.ProviderHandshakeResponse(
            accept_secrets=True, accept_resources=False, accept_outputs=False, supports_autonaming_configuration=False
        )

    def GetPluginInfo(self, request: Any, context: grpc.ServicerContext) -> Any:
        return plugin_pb2.PluginInfo(version=self._version)

    def GetSchema(self, request: Any, context: grpc.ServicerContext) -> Any:
        return provider_pb2.GetSchemaResponse(schema=json.dumps({"name": self._plugin.name, "version": self._version}))

    def GetMapping(self, request: Any, context: grpc.ServicerContext) -> Any:
        return provider_pb2.GetMappingResponse()

    def Cancel(self, request: Any, context: grpc.ServicerContext) -> Any:
        return empty_pb2.Empty()

    def CheckConfig(self, request: Any, context: grpc.ServicerContext) -> Any:
        with one_line(context, self._plugin.name):
            news, secrets = from_struct(request.news)
            plain = self._decoded(news)
            _, failures = self._plugin.config_schema.check(plain)
            wrong = [provider_pb2.CheckFailure(property=item.property, reason=item.reason) for item in failures]
            return provider_pb2.CheckResponse(inputs=to_struct(news, secrets), failures=wrong)

    def DiffConfig(self, request: Any, context: grpc.ServicerContext) -> Any:
        with one_line(context, self._plugin.name):
            olds, news = from_struct(request.old_inputs)[0], from_struct(request.news)[0]
            names = [name for name in {**olds, **news} if olds.get(name) != news.get(name) and name != "version"]
            kinds = provider_pb2.DiffResponse
            return provider_pb2.DiffResponse(changes=kinds.DIFF_SOME if names else kinds.DIFF_NONE, diffs=sorted(names))

    def Configure(self, request: Any, context: grpc.ServicerContext) -> Any:
        with one_line(context, self._plugin.name):
            args, _ = from_struct(request.args)
            plain = self._decoded(args)
            # With something unknown this is a preview, which asks no server.
            self._config = None if has_unknown(plain) else self._plugin.configure(plain)
            return provider_pb2.ConfigureResponse(acceptSecrets=True, supportsPreview=True)

    def _decoded(self, settings: Props) -> Props:
        """Settings that are not text arrive as JSON in a text; ``version`` is the engine's own."""
        properties = self._plugin.config_schema.properties
        return {
            name: _from_json(value) if name in properties and properties[name].kind != "string" else value
            for name, value in settings.items()
            if name not in ("version", "pluginDownloadURL") and value is not None
        }

    # Resources

    def _type(self, urn: str) -> ResourceType:
        token = urn.split("::")[2].rpartition("$")[2]
        found = self._plugin.type(token)
        if found is None:
            raise PluginError(
                f"the offline {self._plugin.name} plugin has no resource type {token}; it serves this stack only, "
                "others need the official plugin"
            )
        return found

    def Check(self, request: Any, context: grpc.ServicerContext) -> Any:
        with one_line(context, self._plugin.name):
            kind = self._type(request.urn)
            news, secrets = from_struct(request.news)
            inputs, failures = kind.schema.check(news)
            wrong = [provider_pb2.CheckFailure(property=item.property, reason=item.reason) for item in failures]
            if not wrong and (reason := kind.invalid(inputs)):
                wrong.append(provider_pb2.CheckFailure(reason=reason))
            return provider_pb2.CheckResponse(inputs=to_struct(inputs, secrets), failures=wrong)

    def Diff(self, request: Any, context: grpc.ServicerContext) -> Any:
        with one_line(context, self._plugin.name):
            kind = self._type(request.urn)
            olds, news = from_struct(request.olds)[0], from_struct(request.news)[0]
            ignore = list(request.ignoreChanges)
            changes = kind.schema.compare(olds, news, ignore)
            answer = provider_pb2.DiffResponse
            return provider_pb2.DiffResponse(
                changes=answer.DIFF_SOME if changes else answer.DIFF_NONE,
                diffs=sorted(changes),
                replaces=sorted(name for name, change in changes.items() if change.replace),
                detailedDiff={name: _detail(change) for name, change in changes.items()},
                hasDetailedDiff=True,
                deleteBeforeReplace=kind.schema.delete_before_replace,
            )

    def Create(self, request: Any, context: grpc.ServicerContext) -> Any:
        with one_line(context, self._plugin.name):
            kind = self._type(request.urn)
            inputs, secrets = _inputs(request.properties)
            secrets |= _declared_secrets(kind)
            if request.preview:
                return provider_pb2.CreateResponse(properties=to_struct(_planned(kind, inputs, {}), secrets))
            outputs = kind.create(self._configured(), inputs)
            return provider_pb2.CreateResponse(id=kind.identify(outputs), properties=to_struct(outputs, secrets))

    def Update(self, request: Any, context: grpc.ServicerContext) -> Any:
        with one_line(context, self._plugin.name):
            kind = self._type(request.urn)
            olds, old_secrets = from_struct(request.olds)
            news, secrets = _inputs(request.news)
            secrets |= old_secrets | _declared_secrets(kind)
            for name in request.ignoreChanges:
                if name in olds:
                    news[name] = olds[name]
            if request.preview:
                return provider_pb2.UpdateResponse(properties=to_struct(_planned(kind, news, olds), secrets))
            outputs = kind.update(self._configured(), request.id, olds, news)
            return provider_pb2.UpdateResponse(properties=to_struct(outputs, secrets))

    def Read(self, request: Any, context: grpc.ServicerContext) -> Any:
        with one_line(context, self._plugin.name):
            kind = self._type(request.urn)
            state, secrets = from_struct(request.properties)
            old_inputs, input_secrets = from_struct(request.inputs)
            secrets |= input_secrets | _declared_secrets(kind)
            outputs = kind.read(self._configured(), request.id, state)
            if outputs is None:
                return provider_pb2.ReadResponse()
            inputs = _inputs_from(kind, outputs, old_inputs)
            return provider_pb2.ReadResponse(
                id=request.id, properties=to_struct(outputs, secrets), inputs=to_struct(inputs, secrets)
            )

    def Delete(self, request: Any, context: grpc.ServicerContext) -> Any:
        with one_line(context, self._plugin.name):
            kind = self._type(request.urn)
            kind.delete(self._configured(), request.id, from_struct(request.properties)[0])
            return empty_pb2.Empty()

    def Invoke(self, request: Any, context: grpc.ServicerContext) -> Any:
        with one_line(context, self._plugin.name):
            raise PluginError(f"the offline {self._plugin.name} plugin has no function {request.tok}")

    def _configured(self) -> Any:
        if self._config is None:
            raise PluginError(
                f"the {self._plugin.name} provider has settings that are not known yet; run up, not preview"
            )
        return self._config


def _from_json(value: Any) -> Any:
    try:
        return json.loads(value) if isinstance(value, str) else value
    except ValueError:
        return value


def _detail(change: Change) -> Any:
    kinds = provider_pb2.PropertyDiff.Kind
    name = f"{change.kind.upper()}_REPLACE" if change.replace else change.kind.upper()
    return provider_pb2.PropertyDiff(kind=kinds.Value(name))


def _inputs(struct: Any) -> tuple[Props, set[str]]:
    props, secrets = from_struct(struct)
    props.pop(DEFAULTS, None)
    return props, secrets


def _declared_secrets(kind: ResourceType) -> set[str]:
    return {name for name, declared in kind.schema.properties.items() if declared.secret}


def _planned(kind: ResourceType, inputs: Props, olds: Props) -> Props:
    """What a preview can say of the outputs: inputs as they are, what the server decides as it was or unknown."""
    planned = dict(inputs)
    for name, declared in kind.schema.properties.items():
        if declared.computed and name not in planned:
            planned[name] = olds.get(name, UNKNOWN)
    return planned


def _inputs_from(kind: ResourceType, outputs: Props, old_inputs: Props) -> Props:
    """The inputs that would lead to these outputs: on refresh those given before, on import all that say something."""
    if old_inputs:
        return {name: outputs.get(name, value) if name != DEFAULTS else value for name, value in old_inputs.items()}
    if kind.schema.open:
        return dict(outputs)
    inputs = {
        name: outputs[name]
        for name, declared in kind.schema.properties.items()
        if declared.input and outputs.get(name) not in (None, "", [], 0, False, declared.default)
    }
    return {**inputs, DEFAULTS: []}


def serve(plugin: Callable[[], Plugin], version: str) -> None:
    """Run the plugin until the engine ends it: listen on a free loopback port and print it, as the engine expects."""
    server = grpc.server(
        futures.ThreadPoolExecutor(max_workers=WORKERS),
        options=[
            ("grpc.max_receive_message_length", LARGEST_MESSAGE),
            ("grpc.max_send_message_length", LARGEST_MESSAGE),
        ],
    )
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(Servicer(plugin(), version), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    try:
        server.wait_for_termination()
    except KeyboardInterrupt:
        server.stop(grace=0)
