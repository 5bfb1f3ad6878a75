"""``ValkeyStreams``: the streams and their consumer groups on a running server, as one Pulumi resource.

For stacks with ``valkeyApply: direct``. What a stream holds is never touched by an update; deleting needs an empty
stream, or a stack that allows data loss.
"""

from typing import Any

import pulumi
import valkey
from pulumi.dynamic import (
    ConfigureRequest,
    CreateResult,
    DiffResult,
    ReadResult,
    Resource,
    ResourceProvider,
    UpdateResult,
)
from valkey.exceptions import ResponseError

from provider.errors import ProviderError, report_in_one_line
from provider.valkey.server import Client, Server

# A group begins with the oldest entry: what producers added before it existed, or while it was lost, is delivered
# (again) rather than skipped. On a new stream that is the same as beginning at its end.
OLDEST = "0"
# Makes a stream that has no group of its own; gone in the same transaction.
PASSING_GROUP = "stellaops-storage"


class ValkeyStreamsProvider(ResourceProvider):
    """``XGROUP CREATE ... MKSTREAM`` for each group; one that exists is as wanted."""

    serialize_as_secret_always = False
    _server: Server

    def configure(self, req: ConfigureRequest) -> None:
        report_in_one_line()
        self._server = Server.configured(req)

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        return DiffResult(changes=any(_olds.get(key) != _news[key] for key in ("streams", "allow_data_loss")))

    def create(self, props: dict[str, Any]) -> CreateResult:
        with self._server.connection() as client:
            _make(client, props["streams"])
        return CreateResult("valkey-streams", _outs(props))

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        old, new = _olds["streams"], _news["streams"]
        with self._server.connection() as client:
            _make(client, new)
            _drop(client, [name for name in old if name not in new], _news["allow_data_loss"])
            for name in old.keys() & new.keys():
                _drop_groups(client, name, sorted(set(old[name]) - set(new[name])), _news["allow_data_loss"])
        return UpdateResult(_outs(_news))

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """Of the streams and groups that should be there, those that are."""
        streams = {}
        with self._server.connection() as client:
            for name, groups in props["streams"].items():
                kind = client.type(name)
                if kind == "stream":
                    live = {group["name"] for group in client.xinfo_groups(name)}
                    streams[name] = [group for group in groups if group in live]
                elif kind != "none":
                    raise _not_a_stream(name, kind)
        if not streams:
            return ReadResult("", {})
        found = {"streams": streams, "allow_data_loss": props["allow_data_loss"]}
        return ReadResult(id_, found, found)

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        with self._server.connection() as client:
            _drop(client, list(_props["streams"]), _props["allow_data_loss"])


def _make(client: Client, streams: dict[str, list[str]]) -> None:
    for name, groups in streams.items():
        kind = client.type(name)
        if kind not in ("none", "stream"):
            raise _not_a_stream(name, kind)
        for group in groups:
            try:
                client.xgroup_create(name, group, OLDEST, mkstream=True)
            except ResponseError as error:
                if not str(error).startswith("BUSYGROUP"):
                    raise
        if not groups and kind == "none":
            with client.pipeline(transaction=True) as together:
                together.xgroup_create(name, PASSING_GROUP, OLDEST, mkstream=True)
                together.xgroup_destroy(name, PASSING_GROUP)
                together.execute()


def _drop(client: Client, names: list[str], allow_data_loss: bool) -> None:
    """Delete streams: all of them or, where one still holds entries, none."""
    if not names:
        return
    with client.pipeline(transaction=True) as together:
        # Watched, so that an entry that arrives between the question and the deletion is not lost.
        together.watch(*names)
        held = {name: count for name in names if (count := together.xlen(name))}
        if held and not allow_data_loss:
            shown = ", ".join(f"{name} ({count})" for name, count in held.items())
            raise ProviderError(
                f"streams still hold entries: {shown}; let consumers drain them, or set stellaops-storage:allowDataLoss"
                " to true and run pulumi up, to delete them with their entries"
            )
        together.multi()
        together.delete(*names)
        try:
            together.execute()
        except valkey.WatchError:
            raise ProviderError(
                "streams were written to while they were being deleted; stop the producers and run again"
            ) from None


def _drop_groups(client: Client, stream: str, names: list[str], allow_data_loss: bool) -> None:
    pending = {group["name"]: group["pending"] for group in client.xinfo_groups(stream)} if names else {}
    for name in names:
        if pending.get(name) and not allow_data_loss:
            raise ProviderError(
                f"consumer group {name} of {stream} has {pending[name]} entries that were delivered but not acknowledged;"
                " let its consumers finish, or set stellaops-storage:allowDataLoss to true"
            )
        if name in pending:
            client.xgroup_destroy(stream, name)


def _not_a_stream(name: str, kind: str) -> ProviderError:
    return ProviderError(
        f"Valkey key {name} is a {kind}, not a stream; find out who wrote it and delete it: DEL {name}"
    )


def _outs(props: dict[str, Any]) -> dict[str, Any]:
    return {key: props[key] for key in ("streams", "allow_data_loss")}


class ValkeyStreams(Resource, module="storage", name="ValkeyStreams"):
    """Streams by name with their consumer groups. ``allow_data_loss`` lets them be deleted with their entries."""

    def __init__(
        self,
        name: str,
        *,
        streams: dict[str, list[str]],
        allow_data_loss: bool,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__(ValkeyStreamsProvider(), name, {"streams": streams, "allow_data_loss": allow_data_loss}, opts)
