"""Property values between the engine's protobuf structs and plain Python.

Plain means str, int, float, bool, None, list and dict, and ``UNKNOWN`` for what a preview cannot know yet. Secrets are
unwrapped; which top-level properties held one is told apart.
"""

from collections.abc import Collection, Mapping
from typing import Any, Final

from google.protobuf import struct_pb2
from pulumi.runtime.rpc import UNKNOWN as _WIRE_UNKNOWN
from pulumi.runtime.rpc import _special_secret_sig as _secret_sig
from pulumi.runtime.rpc import _special_sig_key

Props = dict[str, Any]


class Unknown:
    """The type of ``UNKNOWN``."""

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN: Final = Unknown()


def has_unknown(value: Any) -> bool:
    """Whether ``value`` is or holds ``UNKNOWN``."""
    if isinstance(value, dict):
        return any(has_unknown(item) for item in value.values())
    if isinstance(value, list):
        return any(has_unknown(item) for item in value)
    return value is UNKNOWN


def from_struct(struct: struct_pb2.Struct) -> tuple[Props, set[str]]:
    """Plain properties, and the names of those that are or hold a secret."""
    secrets: set[str] = set()
    props = {}
    for name, value in struct.fields.items():
        found: list[bool] = []
        props[name] = _plain(value, found)
        if found:
            secrets.add(name)
    return props, secrets


def _plain(value: struct_pb2.Value, secret: list[bool]) -> Any:
    kind = value.WhichOneof("kind")
    if kind == "struct_value":
        fields = value.struct_value.fields
        signature = fields[_special_sig_key].string_value if _special_sig_key in fields else None
        if signature == _secret_sig:
            secret.append(True)
            return _plain(fields["value"], secret)
        return {name: _plain(item, secret) for name, item in fields.items()}
    if kind == "list_value":
        return [_plain(item, secret) for item in value.list_value.values]
    if kind == "string_value":
        return UNKNOWN if value.string_value == _WIRE_UNKNOWN else value.string_value
    if kind == "number_value":
        number = value.number_value
        return int(number) if number.is_integer() else number
    return value.bool_value if kind == "bool_value" else None


def to_struct(props: Mapping[str, Any], secrets: Collection[str] = ()) -> struct_pb2.Struct:
    """Properties as the engine reads them; those named in ``secrets`` are marked secret."""
    struct = struct_pb2.Struct()
    for name, value in props.items():
        wired = _wire(value)
        if name in secrets and value is not None:
            marked = struct_pb2.Struct(
                fields={_special_sig_key: struct_pb2.Value(string_value=_secret_sig), "value": wired}
            )
            wired = struct_pb2.Value(struct_value=marked)
        struct.fields[name].CopyFrom(wired)
    return struct


def _wire(value: Any) -> struct_pb2.Value:
    if value is UNKNOWN:
        return struct_pb2.Value(string_value=_WIRE_UNKNOWN)
    if value is None:
        return struct_pb2.Value(null_value=struct_pb2.NULL_VALUE)
    if isinstance(value, bool):
        return struct_pb2.Value(bool_value=value)
    if isinstance(value, int | float):
        return struct_pb2.Value(number_value=value)
    if isinstance(value, str):
        return struct_pb2.Value(string_value=value)
    if isinstance(value, Mapping):
        fields = {name: _wire(item) for name, item in value.items()}
        return struct_pb2.Value(struct_value=struct_pb2.Struct(fields=fields))
    items = [_wire(item) for item in value]
    return struct_pb2.Value(list_value=struct_pb2.ListValue(values=items))
