"""Serve a ``Plugin`` to the engine: ``pulumirpc.ResourceProvider`` over gRPC, one thread per request.

The user sees the message of an expected failure. For any other error, the user sees one line that names the log with
the traceback.
"""

# ruff: noqa: N802 - the protocol defines the method names

import functools
import json
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import grpc
from google.protobuf import empty_pb2

from provider.base import configuration, log
from provider.base.document import describe
from provider.base.plugin import FoundResource, Plugin, ResourceType, UnfinishedError, UpdatePlan, plain
from provider.base.protocol import messages, plugin_messages, services, status_messages
from provider.base.schema import Failure
from provider.base.values import decode, encode, has_unknown
from provider.errors import ProviderError

WORKERS = 32  # more than the engine's usual parallelism; a plugin's connection pool limits the load on the server
MESSAGE_BYTES = 400 * 1024 * 1024  # the engine's own limit
PARENT_POLL_SECONDS = 1.0
LOG_BYTES = 1_000_000

_KINDS = {
    ("add", False): "ADD",
    ("add", True): "ADD_REPLACE",
    ("delete", False): "DELETE",
    ("delete", True): "DELETE_REPLACE",
    ("update", False): "UPDATE",
    ("update", True): "UPDATE_REPLACE",
}


class _Status(NamedTuple):
    """The end of a call, with the attributes of ``grpc.Status``."""

    code: grpc.StatusCode
    details: str
    trailing_metadata: tuple[tuple[str, bytes], ...]


class _PartialError(Exception):
    """``cause`` ended an operation after it may have changed the store; the engine records ``properties``."""

    def __init__(self, id_: str, properties: Any, cause: BaseException) -> None:
        super().__init__(id_)
        self.id = id_
        self.properties = properties
        self.cause = cause


def _report_errors(method: Callable[[Any, Any, Any], Any]) -> Callable[[Any, Any, Any], Any]:
    @functools.wraps(method)
    def wrapper(self: "Servicer", request: Any, context: Any) -> Any:
        log.current_urn.set(getattr(request, "urn", ""))
        try:
            return method(self, request, context)
        except _PartialError as error:
            status = _partial_failure(error, self.describe_error(error.cause))
        except Exception as error:
            status = _Status(grpc.StatusCode.UNKNOWN, self.describe_error(error), ())
        return context.abort_with_status(status)

    return wrapper


def _type_of(urn: str) -> str:
    return urn.split("::")[2].rsplit("$", 1)[-1]


def _name_of(urn: str) -> str:
    return urn.split("::", 3)[3]


class Servicer(services.ResourceProviderServicer):  # type: ignore[misc]
    """The protocol's methods, implemented with the plugin's resource types."""

    def __init__(self, plugin: Plugin, version: str) -> None:
        self._plugin = plugin
        self._version = version
        self._cancelled = threading.Event()

    def describe_error(self, error: BaseException) -> str:
        """Return the text for the user."""
        return str(error).strip() if isinstance(error, ProviderError) else self.log_internal_error(error)

    def log_internal_error(self, error: BaseException) -> str:
        """Append the traceback of a bug in the plugin to its log. Return one line that names the log."""
        home = os.environ.get("PULUMI_HOME") or Path("~/.pulumi").expanduser()
        path = Path(home) / "logs" / f"{self._plugin.title.replace(' ', '-')}.log"
        where = f"; details in {path}"
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
            if path.exists() and path.stat().st_size > LOG_BYTES:
                flags |= os.O_TRUNC
            with os.fdopen(os.open(path, flags, 0o600), "a", encoding="utf-8") as file:
                stack = "".join(traceback.format_exception(error))
                file.write(f"{time.strftime('%Y-%m-%dT%H:%M:%S%z')} {self._version}\n{stack}\n")
        except (OSError, RuntimeError):  # RuntimeError: there is no home directory
            where = ""
        text = " ".join(str(error).split())
        return f"internal error in the {self._plugin.title}: {type(error).__name__}: {text}{where}"

    # Handshake and cancellation

    def GetPluginInfo(self, request: Any, context: Any) -> Any:
        return plugin_messages.PluginInfo(version=self._version)

    def Handshake(self, request: Any, context: Any) -> Any:
        if request.engine_address:
            log.engine.connect(request.engine_address)
        return messages.ProviderHandshakeResponse(accept_secrets=True)

    def Attach(self, request: Any, context: Any) -> Any:
        log.engine.connect(request.address)
        return empty_pb2.Empty()

    @_report_errors
    def Cancel(self, request: Any, context: Any) -> Any:
        self._cancelled.set()
        self._plugin.cancel()
        return empty_pb2.Empty()

    # Schema and configuration

    @_report_errors
    def GetSchema(self, request: Any, context: Any) -> Any:
        return messages.GetSchemaResponse(schema=json.dumps(describe(self._plugin, self._version)))

    def GetMapping(self, request: Any, context: Any) -> Any:
        return messages.GetMappingResponse()

    def GetMappings(self, request: Any, context: Any) -> Any:
        return messages.GetMappingsResponse()

    @_report_errors
    def CheckConfig(self, request: Any, context: Any) -> Any:
        inputs, failures = configuration.check(self._plugin.configuration, decode(request.news))
        return messages.CheckResponse(inputs=encode(inputs), failures=_failures(failures))

    @_report_errors
    def DiffConfig(self, request: Any, context: Any) -> Any:
        old, _ = configuration.parse(self._plugin.configuration, decode(request.olds))
        new, _ = configuration.parse(self._plugin.configuration, decode(request.news))
        differing = sorted(name for name in {*old, *new} if old.get(name) != new.get(name))
        # Replacing the provider would replace all its resources, so a change of its address must not.
        replaces = [name for name in differing if self._plugin.configuration[name].force_new]
        changes = messages.DiffResponse.DIFF_SOME if differing else messages.DiffResponse.DIFF_NONE
        return messages.DiffResponse(changes=changes, diffs=differing, replaces=replaces)

    @_report_errors
    def Configure(self, request: Any, context: Any) -> Any:
        values, failures = configuration.parse(self._plugin.configuration, decode(request.args))
        if failures:
            raise ProviderError(
                "; ".join(f"provider {self._plugin.name}: {item.property}: {item.reason}" for item in failures)
            )
        self._plugin.configure(values)
        return messages.ConfigureResponse(acceptSecrets=True, supportsPreview=True)

    # Resources

    @_report_errors
    def Check(self, request: Any, context: Any) -> Any:
        type_ = self._type(request)
        inputs, failures = type_.check(
            _name_of(request.urn), decode(request.news), decode(request.olds), request.randomSeed
        )
        return messages.CheckResponse(inputs=encode(inputs), failures=_failures(failures))

    @_report_errors
    def Diff(self, request: Any, context: Any) -> Any:
        plan = self._type(request).plan(decode(request.olds), decode(request.news), request.ignoreChanges)
        return _diff_response(plan)

    @_report_errors
    def Create(self, request: Any, context: Any) -> Any:
        type_ = self._type(request)
        inputs = decode(request.properties)
        if request.preview:
            return messages.CreateResponse(properties=encode(type_.preview(inputs)))
        try:
            created = type_.create(_known(inputs))
        except UnfinishedError as error:
            raise self._partial(type_, error, error.resource, inputs) from error
        return messages.CreateResponse(id=created.id, properties=self._outputs(type_, created, inputs))

    @_report_errors
    def Update(self, request: Any, context: Any) -> Any:
        type_ = self._type(request)
        state, inputs = decode(request.olds), decode(request.news)
        if request.preview:
            return messages.UpdateResponse(properties=encode(type_.preview(inputs, state)))
        known, before = _known(inputs), FoundResource(request.id, plain(state))
        try:
            updated = type_.update(request.id, plain(state), known)
        except Exception as error:
            # The engine would keep the old inputs and see no difference once the program is as it was before the update.
            raise self._partial(type_, error, before, {**inputs, **state}) from error
        return messages.UpdateResponse(properties=self._outputs(type_, updated, inputs))

    @_report_errors
    def Read(self, request: Any, context: Any) -> Any:
        type_ = self._type(request)
        state, old_inputs = decode(request.properties), decode(request.inputs)
        self._stop_if_cancelled()
        found = type_.read(request.id, plain(state))
        if found is None:
            return messages.ReadResponse()
        inputs = type_.inputs_of(found.outputs, old_inputs)
        outputs = self._outputs(type_, found, {**state, **old_inputs})
        return messages.ReadResponse(id=found.id, properties=outputs, inputs=encode(inputs))

    @_report_errors
    def Delete(self, request: Any, context: Any) -> Any:
        self._stop_if_cancelled()
        state, old_inputs = decode(request.properties), decode(request.old_inputs)
        self._type(request).delete(request.id, plain({**state, **old_inputs}))
        return empty_pb2.Empty()

    @_report_errors
    def Invoke(self, request: Any, context: Any) -> Any:
        raise ProviderError(
            f"the {self._plugin.title} does not support functions such as {request.tok}{self._plugin.hint}"
        )

    def _type(self, request: Any) -> ResourceType:
        return self._plugin.resource_type(_type_of(request.urn))

    def _stop_if_cancelled(self) -> None:
        if self._cancelled.is_set():
            raise ProviderError("cancelled")

    def _outputs(self, type_: ResourceType, resource: FoundResource, examples: Mapping[str, Any]) -> Any:
        return encode(type_.conceal({"id": resource.id, **resource.outputs}, examples))

    def _partial(
        self, type_: ResourceType, error: Exception, known: FoundResource, examples: Mapping[str, Any]
    ) -> _PartialError:
        """``known`` is recorded unless the operation has named what it left."""
        if isinstance(error, UnfinishedError):
            properties = self._outputs(type_, error.resource, examples)
            return _PartialError(error.resource.id, properties, error.__cause__ or error)
        return _PartialError(known.id, self._outputs(type_, known, examples), error)


def _partial_failure(error: _PartialError, text: str) -> _Status:
    """Return the status on which the engine records the resource and updates it in the next run, changed or not."""
    detail = messages.ErrorResourceInitFailed(id=error.id, properties=error.properties, reasons=[text])
    code = grpc.StatusCode.UNKNOWN
    status = status_messages.Status(code=code.value[0], message=text)
    status.details.add().Pack(detail)
    return _Status(code, text, (("grpc-status-details-bin", status.SerializeToString()),))


def _known(inputs: dict[str, Any]) -> dict[str, Any]:
    if has_unknown(inputs):
        raise ProviderError("the engine sent an unknown property outside a preview; this is a bug in the engine")
    return plain(inputs)


def _failures(failures: Iterable[Failure]) -> list[Any]:
    return [messages.CheckFailure(property=item.property, reason=item.reason) for item in failures]


def _diff_response(plan: UpdatePlan) -> Any:
    kinds = messages.PropertyDiff
    return messages.DiffResponse(
        changes=messages.DiffResponse.DIFF_SOME if plan.changes else messages.DiffResponse.DIFF_NONE,
        replaces=plan.replaces,
        diffs=plan.differing,
        deleteBeforeReplace=bool(plan.replaces) and plan.delete_before_replace,
        detailedDiff={
            change.path: kinds(kind=kinds.Kind.Value(_KINDS[change.kind, change.replace])) for change in plan.changes
        },
        hasDetailedDiff=True,
    )


def serve(plugin: Plugin, version: str) -> None:
    """Listen on a free loopback port, print it, and run until the engine ends.

    The only command-line argument is the engine's address.
    """
    parent = os.getppid()  # read first: the engine is still running, because it waits for the port
    if len(sys.argv) > 1:
        log.engine.connect(sys.argv[1])
    options = [("grpc.max_receive_message_length", MESSAGE_BYTES), ("grpc.max_send_message_length", MESSAGE_BYTES)]
    server = grpc.server(ThreadPoolExecutor(max_workers=WORKERS), options=options)
    services.add_ResourceProviderServicer_to_server(Servicer(plugin, version), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    threading.Thread(target=_end_with_parent, args=[parent], daemon=True).start()
    try:
        server.wait_for_termination()
    except KeyboardInterrupt:
        server.stop(grace=None)


def _end_with_parent(parent: int) -> None:
    """End this process when its parent ends: a killed engine does not stop its plugins."""
    while os.getppid() == parent:
        time.sleep(PARENT_POLL_SECONDS)
    os._exit(1)


def main(plugin: Plugin) -> None:
    """Entry point of an offline plugin. Its launcher sets the version of the SDK that it was installed for."""
    serve(plugin, os.environ.get("STELLAOPS_PLUGIN_VERSION", "0.0.0"))
