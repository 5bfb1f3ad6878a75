"""Each module's access in one version of the contract, read from the stack's outputs.

Contracts of any version are accepted: fields that are missing or have an unexpected type are skipped.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from components.mapping.values import DAY_MS, Duration, TtlWord, parse_ttl
from tools.review.escape import code

FOREVER = 1 << 62
_WORDS = {
    TtlWord.INFINITE: "forever",
    TtlWord.NONE: "until they are acknowledged",
    TtlWord.UNTIL_UTC_MIDNIGHT: "until midnight UTC",
}


@dataclass(frozen=True)
class Retention:
    """A TTL in words, such as ``for 7d``, and in milliseconds for comparison (0 for text that is not a TTL)."""

    words: str
    milliseconds: int

    @staticmethod
    def read(text: str) -> "Retention":
        try:
            ttl = parse_ttl(text)
        except ValueError:
            return Retention(f"for {code(text)}", 0)
        if isinstance(ttl, Duration):
            return Retention(f"for {code(text)}", ttl.milliseconds)
        return Retention(_WORDS[ttl], DAY_MS if ttl is TtlWord.UNTIL_UTC_MIDNIGHT else FOREVER)


@dataclass(frozen=True)
class KeyUse:
    """A key pattern or a stream that a module uses. ``age`` is None if the contract contains no TTL for it."""

    name: str
    verb: str
    is_stream: bool
    age: Retention | None


@dataclass(frozen=True)
class ModuleUse:
    """``member_of``: group roles of which the module's login is a member. ``objects``: (bucket/prefix, verb)."""

    member_of: tuple[str, ...] = ()
    objects: frozenset[tuple[str, str]] = frozenset()
    keys: tuple[KeyUse, ...] = ()

    @property
    def key_verbs(self) -> frozenset[tuple[str, str]]:
        """(pattern or stream, verb)."""
        return frozenset((use.name, use.verb) for use in self.keys)


def modules(contract: Mapping[str, Any]) -> dict[str, ModuleUse]:
    """Module -> its access in ``contract``."""
    return {str(name): _module(item) for name, item in _mapping(contract.get("modules")).items()}


def ages(used: Mapping[str, ModuleUse]) -> dict[tuple[bool, str], Retention]:
    """(whether it is a stream, name) -> retention of its keys or entries."""
    return {(use.is_stream, use.name): use.age for module in used.values() for use in module.keys if use.age}


def _module(item: Any) -> ModuleUse:
    module = _mapping(item)
    members = _mapping(module.get("postgres")).get("member_of")
    return ModuleUse(
        tuple(str(role) for role in members) if isinstance(members, list) else (),
        frozenset(
            (f"{use.get('bucket')}/{use.get('prefix', '')}", str(use.get("verb")))
            for use in _mappings(module.get("object_store"))
        ),
        tuple(_keys(_mapping(module.get("valkey")))),
    )


def _keys(valkey: Mapping[str, Any]) -> Iterator[KeyUse]:
    for kind, title in (("keys", "pattern"), ("streams", "name")):
        for use in _mappings(valkey.get(kind)):
            is_stream = kind == "streams" or use.get("type") == "stream"
            age = Retention.read(str(use["ttl"])) if "ttl" in use else None
            yield KeyUse(str(use.get(title)), str(use.get("verb")), is_stream, age)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _mappings(value: Any) -> Iterator[Mapping[str, Any]]:
    return (item for item in value if isinstance(item, dict)) if isinstance(value, list) else iter(())
