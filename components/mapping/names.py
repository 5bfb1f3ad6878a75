"""Names, durations and access targets as they may stand in the mapping: each a type with its own error text.

Every validator here raises ``ValueError`` with what is wrong and what to write instead; the loader adds file,
line, column and path.
"""

import re
from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator, StrictStr, WithJsonSchema

from components.mapping.backup_names import BUCKET as BACKUPS_BUCKET

IDENTIFIER = re.compile(r"[a-z][a-z0-9_]*")
POSTGRES_NAME_BYTES = 63  # NAMEDATALEN - 1
LONGEST_ROLE_SUFFIX = "_writer"

# Names that PostgreSQL, Valkey or this stack already give a meaning to.
TAKEN_ROLE_NAMES = frozenset(
    {"public", "none", "postgres", "admin", "default", "current_user", "session_user", "user", "maintenance"}
)
TAKEN_SCHEMA_NAMES = frozenset({"public", "information_schema"})
# The runner's own table and the append-only triggers' function, in every schema.
TAKEN_TABLE_NAMES = frozenset({"schema_migrations"})
TAKEN_FUNCTION_NAMES = frozenset({"refuse_change"})
# PostgreSQL's system columns.
TAKEN_COLUMN_NAMES = frozenset({"tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"})
# The stack's own bucket, and what object stores keep to themselves.
TAKEN_BUCKET_NAMES = frozenset({BACKUPS_BUCKET, "minio", "rustfs"})

LONGEST_DURATION_DAYS = 10_000  # stream IDs and dates that lie so far back still are some
LONGEST_TIMEOUT_MS = 2**31 - 1  # PostgreSQL's
LONGEST_PATTERN = 200
LARGEST_MEMORY = 1 << 50

_DURATION = re.compile(r"([0-9]{1,6})(ms|s|m|h|d)")
_UNIT_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}

INFINITE = "infinite"
UNTIL_UTC_MIDNIGHT = "until-utc-midnight"
NO_TTL = "none"


def _pattern(expression: str | re.Pattern[str]) -> WithJsonSchema:
    """The same rule for editors, which check by regular expression what the validators say in words."""
    text = expression if isinstance(expression, str) else expression.pattern
    return WithJsonSchema({"type": "string", "pattern": f"^({text})$"})


def _identifier(kind: str, longest: int, taken: frozenset[str] = frozenset()) -> AfterValidator:
    def check(value: str) -> str:
        if not IDENTIFIER.fullmatch(value):
            raise ValueError(f"{kind} {value!r} must be lower-case letters, digits and _ and begin with a letter")
        if len(value) > longest:
            raise ValueError(
                f"{kind} {value!r} has {len(value)} characters; at most {longest} fit PostgreSQL's 63 bytes"
            )
        if value in taken or value.startswith("pg_"):
            raise ValueError(f"{kind} {value!r} is a reserved name; choose another")
        return value

    return AfterValidator(check)


def _module(value: str) -> str:
    if value.endswith("_"):
        raise ValueError(f"module name {value!r} ends in _, which Kubernetes takes at the end of no name; leave it out")
    return value


_NAME = _pattern(IDENTIFIER)
ModuleName = Annotated[
    StrictStr,
    _identifier("module name", POSTGRES_NAME_BYTES, TAKEN_ROLE_NAMES),
    AfterValidator(_module),
    _pattern(r"[a-z]([a-z0-9_]*[a-z0-9])?"),
]
SchemaName = Annotated[
    StrictStr, _identifier("schema name", POSTGRES_NAME_BYTES - len(LONGEST_ROLE_SUFFIX), TAKEN_SCHEMA_NAMES), _NAME
]
TableName = Annotated[StrictStr, _identifier("table name", POSTGRES_NAME_BYTES, TAKEN_TABLE_NAMES), _NAME]
ColumnName = Annotated[StrictStr, _identifier("column name", POSTGRES_NAME_BYTES, TAKEN_COLUMN_NAMES), _NAME]
FunctionName = Annotated[StrictStr, _identifier("function name", POSTGRES_NAME_BYTES, TAKEN_FUNCTION_NAMES), _NAME]

_TYPE = re.compile(
    r"(double precision|(character|bit) varying|([a-z][a-z0-9_]*\.)?[a-z][a-z0-9_]*)"
    r"(\([0-9]{1,7}(, ?-?[0-9]{1,4})?\))?( with(out)? time zone)?(\[\])*"
)


def _type(value: str) -> str:
    if not _TYPE.fullmatch(value) or len(value) > LONGEST_PATTERN:
        raise ValueError(f"{value!r} is not a type of PostgreSQL, like uuid, varchar(255), numeric(3,2) or text[]")
    return value


TypeName = Annotated[StrictStr, AfterValidator(_type), _pattern(_TYPE)]


_RUNTIME_TABLE = re.compile(r"[a-z][a-z0-9_]*\{[A-Za-z]+\}[a-z0-9_]*")


def _runtime_table(value: str) -> str:
    if not _RUNTIME_TABLE.fullmatch(value):
        raise ValueError(f"run-time table {value!r} must be a table name with one {{placeholder}}")
    if len(value) > POSTGRES_NAME_BYTES:
        raise ValueError(f"run-time table {value!r} leaves no room for its placeholder in PostgreSQL's 63 bytes")
    return value


RuntimeTableName = Annotated[StrictStr, AfterValidator(_runtime_table), _pattern(_RUNTIME_TABLE)]


def duration_ms(text: str) -> int:
    """Milliseconds of a duration such as ``30s``, ``5m``, ``24h``, ``90d``. Raises ValueError."""
    match = _DURATION.fullmatch(text)
    if match is None or int(match[1]) == 0:
        raise ValueError(f"{text!r} is not a duration; write a number and a unit, like 500ms, 30s, 5m, 24h or 90d")
    result = int(match[1]) * _UNIT_MS[match[2]]
    if result > LONGEST_DURATION_DAYS * _UNIT_MS["d"]:
        raise ValueError(f"{text!r} is longer than {LONGEST_DURATION_DAYS}d")
    return result


def _duration(value: str) -> str:
    duration_ms(value)
    return value


def _timeout(value: str) -> str:
    if duration_ms(value) > LONGEST_TIMEOUT_MS:
        raise ValueError(f"{value!r} is longer than PostgreSQL's timeouts can be, 24d")
    return value


def _days(value: str) -> str:
    if duration_ms(value) % _UNIT_MS["d"]:
        raise ValueError(f"{value!r} must be whole days, like 90d: S3 lifecycle rules count in days")
    return value


def _ttl(value: str) -> str:
    if value in (INFINITE, UNTIL_UTC_MIDNIGHT, NO_TTL):
        return value
    try:
        return _duration(value)
    except ValueError:
        raise ValueError(
            f"{value!r} is not a TTL; write a duration (5m, 24h, 90d, at most {LONGEST_DURATION_DAYS}d), {INFINITE}, {UNTIL_UTC_MIDNIGHT}, "
            f"or {NO_TTL} for a stream that is not trimmed"
        ) from None


Duration = Annotated[StrictStr, AfterValidator(_duration), _pattern(_DURATION)]
Timeout = Annotated[StrictStr, AfterValidator(_timeout), _pattern(_DURATION)]
Days = Annotated[StrictStr, AfterValidator(_days), _pattern(r"[0-9]+d")]
Ttl = Annotated[
    StrictStr, AfterValidator(_ttl), _pattern(rf"{_DURATION.pattern}|{INFINITE}|{UNTIL_UTC_MIDNIGHT}|{NO_TTL}")
]


def days(text: str) -> int:
    """Whole days of a checked ``Days`` value."""
    return duration_ms(text) // _UNIT_MS["d"]


_KEY_PART = re.compile(r"[a-zA-Z0-9_.\-]+|\{[a-zA-Z][a-zA-Z0-9]*\}|\*")


def _key_pattern(value: str) -> str:
    parts = value.split(":")
    if len(parts) < 2 or not all(_KEY_PART.fullmatch(part) for part in parts) or not parts[0].isidentifier():
        raise ValueError(
            f"key pattern {value!r} must be words divided by ':', of which later ones may be {{placeholder}} or *, "
            "like scan:{digest}"
        )
    if len(value) > LONGEST_PATTERN:
        raise ValueError(f"key pattern {value!r} has {len(value)} characters; at most {LONGEST_PATTERN} are read")
    return value


KeyPattern = Annotated[StrictStr, AfterValidator(_key_pattern)]


PLACEHOLDER = re.compile(r"\{([^}]*)\}")


def key_glob(pattern: str) -> str:
    """The Valkey glob of a key pattern: each ``{placeholder}`` becomes ``*``."""
    return PLACEHOLDER.sub("*", pattern)


_GROUP = re.compile(r"[a-z][a-z0-9_\-]{0,62}")


def _group(value: str) -> str:
    if not _GROUP.fullmatch(value):
        raise ValueError(
            f"consumer group {value!r} must be lower-case letters, digits, _ and -, beginning with a letter"
        )
    return value


GroupName = Annotated[StrictStr, AfterValidator(_group), _pattern(_GROUP)]

_BUCKET = re.compile(r"[a-z0-9][a-z0-9\-]{1,40}[a-z0-9]")


def _bucket(value: str) -> str:
    if not _BUCKET.fullmatch(value):
        raise ValueError(f"bucket {value!r} must be 3 to 42 lower-case letters, digits and hyphens")
    if value in TAKEN_BUCKET_NAMES or value.startswith(("xn--", "sthree-")) or value.endswith(("-s3alias", "--ol-s3")):
        raise ValueError(f"bucket {value!r} is a reserved name; choose another")
    return value


BucketName = Annotated[StrictStr, AfterValidator(_bucket), _pattern(_BUCKET)]

_OBJECT_PATH = re.compile(
    r"(?:[A-Za-z0-9_.\-*]|\{[A-Za-z][A-Za-z0-9_]*\})+(?:/(?:[A-Za-z0-9_.\-*]|\{[A-Za-z][A-Za-z0-9_]*\})+)*/?"
)


def _object_path(value: str) -> str:
    if not _OBJECT_PATH.fullmatch(value) or {".", ".."} & set(value.split("/")):
        raise ValueError(f"path {value!r} must be bucket/prefix parts of letters, digits, . _ - * and {{placeholder}}")
    if len(value) > LONGEST_PATTERN:
        raise ValueError(f"path {value!r} has {len(value)} characters; at most {LONGEST_PATTERN} are read")
    return value


ObjectPath = Annotated[StrictStr, AfterValidator(_object_path), _pattern(_OBJECT_PATH)]

_EXTENSION = re.compile(r"(?:\.[a-z0-9]+)+")


def _extension(value: str) -> str:
    if not _EXTENSION.fullmatch(value) or len(value) > LONGEST_PATTERN:
        raise ValueError(f"extension {value!r} must begin with a dot, like .cdx.json")
    return value


Extension = Annotated[StrictStr, AfterValidator(_extension), _pattern(_EXTENSION)]

_MEMORY = re.compile(r"([1-9][0-9]{0,14})(kb|mb|gb)")


def memory_bytes(text: str) -> int:
    """Bytes of ``512mb`` or ``2gb`` (powers of 1024, as Valkey counts). Raises ValueError."""
    match = _MEMORY.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a size; write a number and kb, mb or gb, like 2gb")
    result = int(match[1]) * {"kb": 1 << 10, "mb": 1 << 20, "gb": 1 << 30}[match[2]]
    if not 1 << 20 <= result <= LARGEST_MEMORY:
        raise ValueError(f"{text!r} is not between 1mb and {LARGEST_MEMORY >> 30}gb")
    return result


def _memory(value: str) -> str:
    memory_bytes(value)
    return value


Memory = Annotated[StrictStr, AfterValidator(_memory), _pattern(_MEMORY)]


@dataclass(frozen=True)
class TableTarget:
    """What an access verb stands on: a schema, a table of it, or columns of a table."""

    schema: str
    table: str | None = None
    columns: tuple[str, ...] = ()

    def __str__(self) -> str:
        text = self.schema if self.table is None else f"{self.schema}.{self.table}"
        return f"{text}({', '.join(self.columns)})" if self.columns else text


_TARGET = re.compile(
    r"([a-z][a-z0-9_]*)(?:\.([a-z][a-z0-9_]*)(?:\(\s*([a-z][a-z0-9_]*(?:\s*,\s*[a-z][a-z0-9_]*)*)\s*\))?)?"
)


def parse_target(text: str) -> TableTarget:
    """``vex``, ``vex.issuer_trust`` or ``authority.keys(key_id, public_key)``. Raises ValueError."""
    match = _TARGET.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a schema, schema.table or schema.table(column, ...)")
    columns = tuple(part.strip() for part in match[3].split(",")) if match[3] else ()
    return TableTarget(match[1], match[2], columns)


def _target(value: str) -> str:
    parse_target(value)
    return value


Target = Annotated[StrictStr, AfterValidator(_target), _pattern(_TARGET)]
