"""``stellaops:valkey:Streams``: all streams and consumer groups on a running server, as one resource.

For stacks with ``valkeyApply: direct``. An update never changes the entries of a stream. A stream is only deleted if it
is empty, or if the stack allows data loss.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from provider.base.plugin import FoundResource, recording
from provider.base.schema import Failure, Properties, Property, step, strings
from provider.errors import ProviderError
from provider.valkey.kind import ValkeyKind

if TYPE_CHECKING:
    from provider.valkey.server import Client

ID = "valkey-streams"
# A group starts at the oldest entry. Entries that were added before the group existed, or while it was missing, are
# delivered (again) rather than skipped.
OLDEST = "0"
# Used to create a stream that has no consumer groups. The same transaction destroys it.
TEMPORARY_GROUP = "stellaops-storage"

PROPERTIES: Properties = {
    "streams": Property(
        "map", required=True, item=strings("set"), description="Stream name to the names of its consumer groups."
    ),
    "allowDataLoss": Property(
        "boolean",
        default=False,
        description="Whether streams may be deleted with their entries, and groups with pending entries.",
    ),
}


class ValkeyStreams(ValkeyKind):
    """Streams and their groups, created with ``XGROUP CREATE ... MKSTREAM``."""

    token = "stellaops:valkey:Streams"  # noqa: S105 - a type
    description = "Streams and consumer groups on a running Valkey. Import by comma-separated stream names."
    properties = PROPERTIES

    def validate(self, inputs: Mapping[str, Any], old: Mapping[str, Any]) -> Iterator[Failure]:
        for name, groups in inputs.get("streams", {}).items():
            for index, group in enumerate(groups):
                if group in ("", TEMPORARY_GROUP):
                    reason = "the name is reserved" if group else "a consumer group needs a name"
                    yield Failure(f"{step('streams', name)}[{index}]", reason)

    def create(self, inputs: dict[str, Any]) -> FoundResource:
        created = FoundResource(ID, inputs)
        with recording() as record, self._server.connection() as client:
            _refuse_other_types(client, inputs["streams"])
            record.unfinished = created
            _create(client, inputs["streams"])
        return created

    def update(self, id_: str, state: dict[str, Any], inputs: dict[str, Any]) -> FoundResource:
        old, new, allow = state["streams"], inputs["streams"], inputs["allowDataLoss"]
        removed = {name: sorted(set(old[name]) - set(new[name])) for name in sorted(old.keys() & new.keys())}
        with recording() as record, self._server.connection() as client:
            # Refuse before the first change.
            _refuse_other_types(client, new)
            if not allow:
                for name, groups in removed.items():
                    _refuse_pending(client, name, groups)
            record.unfinished = FoundResource(id_, {**state, "streams": _with_missing(client, old, new)})
            _drop(client, [name for name in old if name not in new], allow_data_loss=allow)
            _create(client, new)
            for name, groups in removed.items():
                for group in groups:
                    client.xgroup_destroy(name, group)
        return FoundResource(id_, inputs)

    def read(self, id_: str, state: dict[str, Any]) -> FoundResource | None:
        """Return the streams and groups of the state that still exist. For an import, return all groups."""
        expected = state["streams"] if state else dict.fromkeys(name.strip() for name in id_.split(","))
        streams = {}
        with self._server.connection() as client:
            for name, groups in expected.items():
                kind = client.type(name)
                if kind == "stream":
                    live = [group["name"] for group in client.xinfo_groups(name)]
                    streams[name] = sorted(live) if groups is None else [group for group in groups if group in live]
                elif kind != "none":
                    raise _not_a_stream(name, kind)
        if not state and (missing := [name for name in expected if name not in streams]):
            raise ProviderError(f"{self._server.place}: no such stream: {', '.join(missing)}")
        if expected and not streams:
            return None
        return FoundResource(id_, {"streams": streams, "allowDataLoss": state.get("allowDataLoss", False)})

    def delete(self, id_: str, state: dict[str, Any]) -> None:
        with self._server.connection() as client:
            _drop(client, list(state["streams"]), allow_data_loss=state["allowDataLoss"])


def _create(client: "Client", streams: dict[str, list[str]]) -> None:
    """Create missing streams and groups. Existing ones are not changed."""
    from valkey.exceptions import ResponseError

    for name, groups in streams.items():
        removed = _removed_entries(client, name)
        for group in groups:
            try:
                client.xgroup_create(name, group, OLDEST, mkstream=True, entries_read=removed)
            except ResponseError as error:
                if not str(error).startswith("BUSYGROUP"):
                    raise
        if not groups and client.type(name) == "none":
            with client.pipeline(transaction=True) as transaction:
                transaction.xgroup_create(name, TEMPORARY_GROUP, OLDEST, mkstream=True)
                transaction.xgroup_destroy(name, TEMPORARY_GROUP)
                transaction.execute()


def _with_missing(client: "Client", old: dict[str, list[str]], new: dict[str, list[str]]) -> dict[str, list[str]]:
    """Return ``old`` with the streams and groups of ``new`` that do not exist, which only this stack can then create."""
    streams = dict(old)
    for name, groups in new.items():
        if name in old:
            live = {group["name"] for group in client.xinfo_groups(name)} if client.type(name) == "stream" else set()
            streams[name] = sorted({*old[name], *(group for group in groups if group not in live)})
        elif client.type(name) == "none":
            streams[name] = groups
    return streams


def _removed_entries(client: "Client", name: str) -> int:
    """Return how many entries of a stream were removed. They count as read by a new group, so that only entries which are
    removed later, before the group reads them, are reported as lost."""
    if client.type(name) == "none":
        return 0
    info = client.xinfo_stream(name)
    return int(info["entries-added"]) - int(info["length"])


def _drop(client: "Client", names: list[str], *, allow_data_loss: bool) -> None:
    """Delete streams. If one still holds entries and data loss is not allowed, delete none and raise."""
    from valkey.exceptions import WatchError

    if not names:
        return
    with client.pipeline(transaction=True) as transaction:
        # WATCH the streams, so that an entry that arrives between XLEN and DEL is not lost.
        transaction.watch(*names)
        entries = {name: count for name in names if (count := transaction.xlen(name))}
        if entries and not allow_data_loss:
            shown = ", ".join(f"{name} ({count})" for name, count in entries.items())
            raise ProviderError(
                f"streams still hold entries: {shown}; let consumers process them and trim the streams, or set"
                " stellaops-storage:allowDataLoss to true and run pulumi up to delete the streams with their entries"
            )
        transaction.multi()
        transaction.delete(*names)
        try:
            transaction.execute()
        except WatchError:
            raise ProviderError(
                "entries were added to streams while they were being deleted; stop the producers and run again"
            ) from None


def _refuse_other_types(client: "Client", names: Iterable[str]) -> None:
    """Raise ``ProviderError`` if a key of another type has a stream's name."""
    for name in names:
        kind = client.type(name)
        if kind not in ("none", "stream"):
            raise _not_a_stream(name, kind)


def _refuse_pending(client: "Client", stream: str, groups: list[str]) -> None:
    """Raise ``ProviderError`` if one of the groups has entries that were delivered but not acknowledged."""
    if not groups or client.type(stream) != "stream":
        return
    pending = {group["name"]: group["pending"] for group in client.xinfo_groups(stream)}
    for name in groups:
        if pending.get(name):
            raise ProviderError(
                f"consumer group {name} of {stream} has {pending[name]} entries that were delivered but not acknowledged;"
                " let its consumers acknowledge them, or set stellaops-storage:allowDataLoss to true"
            )


def _not_a_stream(name: str, kind: str) -> ProviderError:
    return ProviderError(
        f"Valkey key {name} is a {kind}, not a stream; find out who wrote it and delete it: DEL {name}"
    )
