"""Column types, normalized to the text that PostgreSQL's ``format_type`` prints.

``bool``, ``varchar(20)`` and ``timestamptz`` become ``boolean``, ``character varying(20)`` and ``timestamp with time
zone``, so spellings of the same type compare as equal. Source: PostgreSQL 18, "Data Types" and ``format_type`` in ``format_type.c``.
"""

import difflib
import re
from collections.abc import Callable
from functools import cached_property
from typing import ClassVar, Self

from components.mapping.values import LONGEST_PATTERN, Value

EXTENSIONS_SCHEMA = "extensions"

# Alias in SQL -> name that format_type prints.
_ALIASES = {
    "bool": "boolean",
    "int": "integer",
    "int2": "smallint",
    "int4": "integer",
    "int8": "bigint",
    "float": "double precision",
    "float4": "real",
    "float8": "double precision",
    "dec": "numeric",
    "decimal": "numeric",
    "varchar": "character varying",
    "char": "character",
    "varbit": "bit varying",
    "time": "time without time zone",
    "timetz": "time with time zone",
    "timestamp": "timestamp without time zone",
    "timestamptz": "timestamp with time zone",
}
_SINGLE_WORD = frozenset(
    [
        "bigint",
        "bit",
        "boolean",
        "box",
        "bpchar",
        "bytea",
        "character",
        "cidr",
        "circle",
        "date",
        "datemultirange",
        "daterange",
        "inet",
        "int4multirange",
        "int4range",
        "int8multirange",
        "int8range",
        "integer",
        "interval",
        "json",
        "jsonb",
        "jsonpath",
        "line",
        "lseg",
        "macaddr",
        "macaddr8",
        "money",
        "name",
        "numeric",
        "nummultirange",
        "numrange",
        "oid",
        "path",
        "pg_lsn",
        "pg_snapshot",
        "point",
        "polygon",
        "real",
        "regclass",
        "regcollation",
        "regconfig",
        "regdictionary",
        "regnamespace",
        "regoper",
        "regoperator",
        "regproc",
        "regprocedure",
        "regrole",
        "regtype",
        "smallint",
        "text",
        "tsmultirange",
        "tsquery",
        "tsrange",
        "tstzmultirange",
        "tstzrange",
        "tsvector",
        "txid_snapshot",
        "uuid",
        "xid",
        "xid8",
        "xml",
    ]
)
_MULTI_WORD = frozenset(
    {
        "double precision",
        "character varying",
        "bit varying",
        "time without time zone",
        "time with time zone",
        "timestamp without time zone",
        "timestamp with time zone",
    }
)
# Shorthand that CREATE TABLE accepts in place of a type -> the column's type.
SERIALS = {
    "serial": "integer",
    "serial2": "smallint",
    "serial4": "integer",
    "serial8": "bigint",
    "smallserial": "smallint",
    "bigserial": "bigint",
}
_PRECISION = (
    "time without time zone",
    "time with time zone",
    "timestamp without time zone",
    "timestamp with time zone",
)
_MAX_LENGTHS = {"character varying": 10_485_760, "character": 10_485_760, "bit": 83_886_080, "bit varying": 83_886_080}

# Type name in another database or language -> type in PostgreSQL.
_FOREIGN_NAMES = {
    "blob": "bytea",
    "byte": "smallint",
    "clob": "text",
    "datetime": "timestamptz",
    "datetime2": "timestamptz",
    "datetimeoffset": "timestamptz",
    "double": "double precision",
    "guid": "uuid",
    "long": "bigint",
    "number": "numeric",
    "nvarchar": "varchar",
    "string": "text",
    "tinyint": "smallint",
    "uniqueidentifier": "uuid",
    "varbinary": "bytea",
    "varchar2": "varchar",
}

# Common extension -> the types it provides; the types of other extensions cannot be checked.
EXTENSION_TYPES: dict[str, frozenset[str]] = {
    "btree_gin": frozenset(),
    "btree_gist": frozenset(),
    "citext": frozenset({"citext"}),
    "cube": frozenset({"cube"}),
    "fuzzystrmatch": frozenset(),
    "hstore": frozenset({"hstore"}),
    "intarray": frozenset({"query_int"}),
    "isn": frozenset({"ean13", "isbn", "isbn13", "ismn", "ismn13", "issn", "issn13", "upc"}),
    "ltree": frozenset({"lquery", "ltree", "ltxtquery"}),
    "pg_stat_statements": frozenset(),
    "pg_trgm": frozenset(),
    "pgcrypto": frozenset(),
    "seg": frozenset({"seg"}),
    "unaccent": frozenset(),
    "uuid-ossp": frozenset(),
    "vector": frozenset({"halfvec", "sparsevec", "vector"}),
}


class ColumnType(Value, str):  # noqa: SLOT000 - cached properties need a __dict__
    """A column type as written in the mapping: ``uuid``, ``varchar(255)``, ``numeric(3,2)``, ``text[]``, ``vex.severity``."""

    EXPRESSION: ClassVar[re.Pattern[str]] = re.compile(
        r"(?P<name>(?:[a-z][a-z0-9_]*\.)?[a-z][a-z0-9_]*(?: precision| varying)?)"
        r"(?:\((?P<modifiers>[0-9]{1,8}(?:, ?-?[0-9]{1,4})?)\))?"
        r"(?P<zone> with(?:out)? time zone)?(?P<array>(?:\[\])*)"
    )

    @classmethod
    def parse(cls, text: str) -> Self:
        if not cls.EXPRESSION.fullmatch(text) or len(text) > LONGEST_PATTERN:
            raise ValueError(f"{text!r} is not a PostgreSQL type, like uuid, varchar(255), numeric(3,2) or text[]")
        column_type = cls(text)
        _ = column_type.canonical  # raises ValueError
        return column_type

    @cached_property
    def _parts(self) -> re.Match[str]:
        match = self.EXPRESSION.fullmatch(self)
        assert match is not None
        return match

    @cached_property
    def canonical(self) -> str:
        """The type as ``format_type`` prints it with an empty search_path. Raises ValueError."""
        name, zone = self._parts["name"], self._parts["zone"] or ""
        if name in SERIALS:
            raise ValueError(f"{name} is not a type but shorthand for a sequence and a default; write {SERIALS[name]}")
        if zone and name not in ("time", "timestamp"):
            raise ValueError(f"{name} has no time zone")
        modifiers = [int(number) for number in (self._parts["modifiers"] or "").split(",") if number]
        suffix = "[]" if self._parts["array"] else ""
        base = f"{name}{zone}" if zone else _ALIASES.get(name, name)
        if name == "float" and modifiers:
            return _float(modifiers) + suffix
        if base in _SINGLE_WORD or base in _MULTI_WORD:
            return _MODIFIERS.get(base, _no_modifiers)(base, modifiers) + suffix
        if " " in name:
            raise ValueError(f"{str(self)!r} is not a PostgreSQL type")
        qualified = name if self.schema else f"{EXTENSIONS_SCHEMA}.{name}"
        return qualified + (f"({','.join(map(str, modifiers))})" if modifiers else "") + suffix

    @property
    def name(self) -> str:
        """The name without schema, modifiers and ``[]``."""
        return self._parts["name"].rpartition(".")[2]

    @property
    def schema(self) -> str | None:
        """The schema that qualifies the type; None if the type belongs to PostgreSQL or an extension."""
        return self._parts["name"].rpartition(".")[0] or None

    @cached_property
    def is_builtin(self) -> bool:
        """Whether PostgreSQL provides the type without an extension."""
        return self.schema is None and not self.canonical.startswith(f"{EXTENSIONS_SCHEMA}.")


def _float(modifiers: list[int]) -> str:
    if len(modifiers) > 1 or not 1 <= modifiers[0] <= 53:
        raise ValueError("the precision of float is 1 to 53 bits")
    return "real" if modifiers[0] <= 24 else "double precision"


def _no_modifiers(base: str, modifiers: list[int]) -> str:
    if modifiers:
        raise ValueError(f"{base} takes no length or precision")
    return base


def _length(base: str, modifiers: list[int]) -> str:
    max_length = _MAX_LENGTHS[base]
    # character and bit without a length have length 1.
    lengths = modifiers or ([1] if base in ("character", "bit") else [])
    if not lengths:
        return base
    if len(lengths) > 1 or not 1 <= lengths[0] <= max_length:
        raise ValueError(f"the length of {base} is 1 to {max_length}")
    return f"{base}({lengths[0]})"


def _numeric(base: str, modifiers: list[int]) -> str:
    if not modifiers:
        return base
    precision, scale = (*modifiers, 0)[:2]
    if not 1 <= precision <= 1000 or not -1000 <= scale <= 1000:
        raise ValueError("the precision of numeric is 1 to 1000, its scale -1000 to 1000")
    return f"{base}({precision},{scale})"


def _precision(base: str, modifiers: list[int]) -> str:
    if not modifiers:
        return base
    if len(modifiers) > 1 or not 0 <= modifiers[0] <= 6:
        raise ValueError(f"the precision of {base} is 0 to 6 digits")
    first_word, _, rest = base.partition(" ")
    return f"{first_word}({modifiers[0]}) {rest}".rstrip()


def _bpchar(base: str, modifiers: list[int]) -> str:
    return _length("character", modifiers) if modifiers else base


_MODIFIERS: dict[str, Callable[[str, list[int]], str]] = {
    **dict.fromkeys(_MAX_LENGTHS, _length),
    **dict.fromkeys((*_PRECISION, "interval"), _precision),
    "bpchar": _bpchar,
    "numeric": _numeric,
}


def nearest(name: str) -> str | None:
    """The PostgreSQL type for a foreign type name, otherwise a type with a similar name or None."""
    similar = difflib.get_close_matches(name, sorted({*_ALIASES, *_SINGLE_WORD}), n=1, cutoff=0.75)
    return _FOREIGN_NAMES.get(name) or (similar[0] if similar else None)


def provided_by(extensions: tuple[str, ...], name: str) -> bool:
    """Whether one of the extensions may provide the type. Any extension missing from EXTENSION_TYPES may."""
    return any(name in EXTENSION_TYPES.get(extension, (name,)) for extension in extensions)
