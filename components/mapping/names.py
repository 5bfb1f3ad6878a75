"""Field types of the mapping: names, and values whose limits depend on the field.

Every validator raises ``ValueError`` that states what is wrong and what to write instead; the loader adds file, line,
column and path.
"""

import re
from typing import Annotated

from pydantic import AfterValidator, StrictStr, WithJsonSchema

from components.mapping.backup_names import BUCKET as BACKUPS_BUCKET
from components.mapping.roles import LONGEST_SUFFIX
from components.mapping.values import DAY_MS, LONGEST_PATTERN, Duration, ParsedBy, TtlWord, parse_ttl

IDENTIFIER = re.compile(r"[a-z][a-z0-9_]*")
POSTGRES_NAME_BYTES = 63  # NAMEDATALEN - 1

# Names that already have a meaning in PostgreSQL, Valkey or this stack.
RESERVED_ROLE_NAMES = frozenset(
    {"public", "none", "postgres", "admin", "default", "current_user", "session_user", "user", "maintenance"}
)
RESERVED_SCHEMA_NAMES = frozenset({"public", "information_schema"})
# Every schema contains the migration runner's table and the function of the append-only triggers.
RESERVED_TABLE_NAMES = frozenset({"schema_migrations"})
RESERVED_FUNCTION_NAMES = frozenset({"refuse_change"})
# PostgreSQL's system columns.
RESERVED_COLUMN_NAMES = frozenset({"tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"})
# The stack's own bucket, and names that object stores reserve.
RESERVED_BUCKET_NAMES = frozenset({BACKUPS_BUCKET, "minio", "rustfs"})

LONGEST_TIMEOUT_MS = 2**31 - 1  # in PostgreSQL


def _pattern(expression: str | re.Pattern[str]) -> WithJsonSchema:
    """JSON Schema with the validator's rule as a regular expression, for editors."""
    text = expression if isinstance(expression, str) else expression.pattern
    return WithJsonSchema({"type": "string", "pattern": f"^({text})$"})


def _identifier(kind: str, longest: int, reserved: frozenset[str] = frozenset()) -> AfterValidator:
    def check(value: str) -> str:
        if not IDENTIFIER.fullmatch(value):
            raise ValueError(f"{kind} {value!r} must be lower-case letters, digits and _ and must begin with a letter")
        if len(value) > longest:
            raise ValueError(
                f"{kind} {value!r} has {len(value)} characters; at most {longest} fit PostgreSQL's 63 bytes"
            )
        if value in reserved or value.startswith("pg_"):
            raise ValueError(f"{kind} {value!r} is a reserved name; choose another")
        return value

    return AfterValidator(check)


def _module(value: str) -> str:
    if value.endswith("_"):
        raise ValueError(f"module name {value!r} ends in _, which Kubernetes does not allow; remove it")
    return value


_NAME = _pattern(IDENTIFIER)
ModuleName = Annotated[
    StrictStr,
    _identifier("module name", POSTGRES_NAME_BYTES, RESERVED_ROLE_NAMES),
    AfterValidator(_module),
    _pattern(r"[a-z]([a-z0-9_]*[a-z0-9])?"),
]
SchemaName = Annotated[
    StrictStr, _identifier("schema name", POSTGRES_NAME_BYTES - LONGEST_SUFFIX, RESERVED_SCHEMA_NAMES), _NAME
]
TableName = Annotated[StrictStr, _identifier("table name", POSTGRES_NAME_BYTES, RESERVED_TABLE_NAMES), _NAME]
ColumnName = Annotated[StrictStr, _identifier("column name", POSTGRES_NAME_BYTES, RESERVED_COLUMN_NAMES), _NAME]
FunctionName = Annotated[StrictStr, _identifier("function name", POSTGRES_NAME_BYTES, RESERVED_FUNCTION_NAMES), _NAME]

_EXTENSION_NAME = re.compile(r"[a-z][a-z0-9_-]*")


def _extension_name(value: str) -> str:
    if not _EXTENSION_NAME.fullmatch(value) or len(value) > POSTGRES_NAME_BYTES:
        raise ValueError(f"{value!r} is not an extension name, like citext, pg_trgm or uuid-ossp")
    if value == "plpgsql":
        raise ValueError("plpgsql is installed in every database; remove it")
    return value


ExtensionName = Annotated[StrictStr, AfterValidator(_extension_name), _pattern(_EXTENSION_NAME)]

_RUNTIME_TABLE = re.compile(r"[a-z][a-z0-9_]*\{[A-Za-z]+\}[a-z0-9_]*")


def _runtime_table(value: str) -> str:
    if not _RUNTIME_TABLE.fullmatch(value):
        raise ValueError(f"run-time table {value!r} must be a table name with one {{placeholder}}")
    if len(value) > POSTGRES_NAME_BYTES:
        raise ValueError(f"run-time table {value!r} leaves no room for its placeholder in PostgreSQL's 63 bytes")
    return value


RuntimeTableName = Annotated[StrictStr, AfterValidator(_runtime_table), _pattern(_RUNTIME_TABLE)]


def _timeout(value: Duration) -> Duration:
    if value.milliseconds > LONGEST_TIMEOUT_MS:
        raise ValueError(f"{str(value)!r} is longer than PostgreSQL's longest timeout, 24d")
    return value


def _whole_days(value: Duration) -> Duration:
    if value.milliseconds % DAY_MS:
        raise ValueError(f"{str(value)!r} must be whole days, like 90d: S3 lifecycle rules count in days")
    return value


Timeout = Annotated[Duration, AfterValidator(_timeout), _pattern(Duration.EXPRESSION)]
Days = Annotated[Duration, AfterValidator(_whole_days), _pattern(r"[0-9]+d")]
Ttl = Annotated[Duration | TtlWord, ParsedBy(parse_ttl, "|".join([Duration.EXPRESSION.pattern, *TtlWord]))]

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
    if (
        value in RESERVED_BUCKET_NAMES
        or value.startswith(("xn--", "sthree-"))
        or value.endswith(("-s3alias", "--ol-s3"))
    ):
        raise ValueError(f"bucket {value!r} is a reserved name; choose another")
    return value


BucketName = Annotated[StrictStr, AfterValidator(_bucket), _pattern(_BUCKET)]

_EXTENSION = re.compile(r"(?:\.[a-z0-9]+)+")


def _extension(value: str) -> str:
    if not _EXTENSION.fullmatch(value) or len(value) > LONGEST_PATTERN:
        raise ValueError(f"extension {value!r} must begin with a dot, like .cdx.json")
    return value


Extension = Annotated[StrictStr, AfterValidator(_extension), _pattern(_EXTENSION)]
