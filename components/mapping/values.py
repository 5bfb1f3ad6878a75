"""Parsed values of the mapping: durations, sizes, access targets, key patterns, object paths.

Pydantic calls ``parse`` once, when it reads the mapping; ``str()`` returns the original text. Patterns and paths are
subclasses of ``str`` because they are dictionary keys.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any, ClassVar, Self

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

LONGEST_DURATION_DAYS = 10_000  # stream IDs and dates that far back are still valid
LONGEST_PATTERN = 200
LARGEST_MEMORY = 1 << 50

_UNIT_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
DAY_MS = _UNIT_MS["d"]

PLACEHOLDER = re.compile(r"\{([^}]*)\}")


@dataclass(frozen=True)
class ParsedBy:
    """Pydantic annotation for a field: strict text that ``parse`` converts to a value or rejects.

    ``pattern`` is the same rule for editors, in the JSON Schema; None if a regular expression cannot express it.
    """

    parse: Callable[[str], object]
    pattern: str | None

    def __get_pydantic_core_schema__(self, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(
            self.parse,
            core_schema.str_schema(strict=True),
            serialization=core_schema.to_string_ser_schema(when_used="always"),
        )

    def __get_pydantic_json_schema__(self, _schema: CoreSchema, _handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"type": "string"} if self.pattern is None else {"type": "string", "pattern": f"^({self.pattern})$"}


class Value(ABC):
    """Base of values that pydantic parses from text."""

    EXPRESSION: ClassVar[re.Pattern[str] | None] = None

    @classmethod
    @abstractmethod
    def parse(cls, text: str) -> Self:
        """Parse ``text``. Raises ValueError that states what is wrong and what to write instead."""

    @classmethod
    def _parsed_by(cls) -> ParsedBy:
        return ParsedBy(cls.parse, cls.EXPRESSION.pattern if cls.EXPRESSION else None)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return cls._parsed_by().__get_pydantic_core_schema__(source, handler)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return cls._parsed_by().__get_pydantic_json_schema__(schema, handler)


@dataclass(frozen=True)
class Duration(Value):
    """A length of time: ``500ms``, ``30s``, ``5m``, ``24h``, ``90d``."""

    EXPRESSION: ClassVar[re.Pattern[str]] = re.compile(r"([0-9]{1,6})(ms|s|m|h|d)")

    text: str
    milliseconds: int

    @classmethod
    def parse(cls, text: str) -> Self:
        match = cls.EXPRESSION.fullmatch(text)
        if match is None or int(match[1]) == 0:
            raise ValueError(f"{text!r} is not a duration; write a number and a unit, like 500ms, 30s, 5m, 24h or 90d")
        milliseconds = int(match[1]) * _UNIT_MS[match[2]]
        if milliseconds > LONGEST_DURATION_DAYS * DAY_MS:
            raise ValueError(f"{text!r} is longer than {LONGEST_DURATION_DAYS}d")
        return cls(text, milliseconds)

    @property
    def days(self) -> int:
        """Whole days, rounded down."""
        return self.milliseconds // DAY_MS

    def __str__(self) -> str:
        return self.text


class TtlWord(StrEnum):
    """Values of ``ttl`` that are not durations."""

    INFINITE = "infinite"
    UNTIL_UTC_MIDNIGHT = "until-utc-midnight"
    NONE = "none"  # a stream that is not trimmed by age


def parse_ttl(text: str) -> Duration | TtlWord:
    """Parse a key's TTL. Raises ValueError."""
    words = {str(word): word for word in TtlWord}
    if text in words:
        return words[text]
    try:
        return Duration.parse(text)
    except ValueError:
        raise ValueError(
            f"{text!r} is not a TTL; write a duration (5m, 24h, 90d, at most {LONGEST_DURATION_DAYS}d), "
            f"{TtlWord.INFINITE}, {TtlWord.UNTIL_UTC_MIDNIGHT}, or {TtlWord.NONE} for a stream that is not trimmed"
        ) from None


@dataclass(frozen=True)
class MemorySize(Value):
    """A memory size with units in powers of 1024, as in Valkey: ``512mb``, ``2gb``."""

    EXPRESSION: ClassVar[re.Pattern[str]] = re.compile(r"([1-9][0-9]{0,14})(kb|mb|gb)")

    text: str
    bytes: int

    @classmethod
    def parse(cls, text: str) -> Self:
        match = cls.EXPRESSION.fullmatch(text)
        if match is None:
            raise ValueError(f"{text!r} is not a size; write a number and kb, mb or gb, like 2gb")
        size = int(match[1]) * {"kb": 1 << 10, "mb": 1 << 20, "gb": 1 << 30}[match[2]]
        if not 1 << 20 <= size <= LARGEST_MEMORY:
            raise ValueError(f"{text!r} is not between 1mb and {LARGEST_MEMORY >> 30}gb")
        return cls(text, size)

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class AccessTarget(Value):
    """What a verb on PostgreSQL applies to: ``vex``, ``vex.issuer_trust`` or ``authority.keys(key_id, public_key)``."""

    EXPRESSION: ClassVar[re.Pattern[str]] = re.compile(
        r"([a-z][a-z0-9_]*)(?:\.([a-z][a-z0-9_]*)(?:\(\s*([a-z][a-z0-9_]*(?:\s*,\s*[a-z][a-z0-9_]*)*)\s*\))?)?"
    )

    text: str = field(compare=False)
    schema: str
    table: str | None = None
    columns: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        match = cls.EXPRESSION.fullmatch(text)
        if match is None:
            raise ValueError(f"{text!r} is not a schema, schema.table or schema.table(column, ...)")
        columns = tuple(part.strip() for part in match[3].split(",")) if match[3] else ()
        return cls(text, match[1], match[2], columns)

    def __str__(self) -> str:
        return self.text


class KeyPattern(Value, str):  # noqa: SLOT000 - cached properties need a __dict__
    """A pattern of Valkey keys: words separated by ``:``. All but the first may be ``{placeholder}`` or ``*``."""

    _PART: ClassVar[re.Pattern[str]] = re.compile(r"[a-zA-Z0-9_.\-]+|\{[a-zA-Z][a-zA-Z0-9]*\}|\*")

    @classmethod
    def parse(cls, text: str) -> Self:
        parts = text.split(":")
        if len(parts) < 2 or not all(cls._PART.fullmatch(part) for part in parts) or not parts[0].isidentifier():
            raise ValueError(
                f"key pattern {text!r} must be words separated by ':'; all but the first may be {{placeholder}} or *, "
                "like scan:{digest}"
            )
        if len(text) > LONGEST_PATTERN:
            raise ValueError(f"key pattern {text!r} has {len(text)} characters; at most {LONGEST_PATTERN} are allowed")
        return cls(text)

    @cached_property
    def glob(self) -> str:
        """The glob for Valkey, with ``*`` for each ``{placeholder}``."""
        return PLACEHOLDER.sub("*", self)


class PathTemplate(Value, str):  # noqa: SLOT000 - cached properties need a __dict__
    """An object's key, or part of it: ``{full_digest}/sbom.json``, or a folder that ends in ``/``."""

    EXPRESSION: ClassVar[re.Pattern[str]] = re.compile(
        r"(?:[A-Za-z0-9_.\-*]|\{[A-Za-z][A-Za-z0-9_]*\})+(?:/(?:[A-Za-z0-9_.\-*]|\{[A-Za-z][A-Za-z0-9_]*\})+)*/?"
    )

    @classmethod
    def parse(cls, text: str) -> Self:
        if not cls.EXPRESSION.fullmatch(text) or {".", ".."} & set(text.split("/")):
            raise ValueError(
                f"path {text!r} must be parts separated by /, each of letters, digits, . _ - * and {{placeholder}}"
            )
        if len(text) > LONGEST_PATTERN:
            raise ValueError(f"path {text!r} has {len(text)} characters; at most {LONGEST_PATTERN} are allowed")
        return cls(text)

    @property
    def is_folder(self) -> bool:
        """Whether the path means every object below it."""
        return self.endswith("/")


class ObjectPath(PathTemplate):
    """Objects in a bucket. The path begins with the bucket's name in the mapping: ``blobs/`` or ``blobs/*/attestation.dsse``."""

    @cached_property
    def bucket(self) -> str:
        return self.partition("/")[0]

    @cached_property
    def prefix(self) -> str | None:
        """The path after ``bucket/``: empty for the whole bucket, None if there is no slash."""
        _, slash, prefix = self.partition("/")
        return prefix if slash else None
