"""The structure of ``schema-mapping.yaml`` as frozen pydantic classes.

These classes validate each value alone. ``checks`` compares values with each other (owners exist, patterns do not
overlap), ``access`` derives what each module may do, and ``components.mapping.mapping`` combines model and access.
"""

import re
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    StrictBool,
    StrictInt,
    StrictStr,
    model_validator,
)

from components.mapping.column_types import ColumnType
from components.mapping.names import (
    BucketName,
    ColumnName,
    Days,
    Extension,
    ExtensionName,
    FunctionName,
    GroupName,
    ModuleName,
    RuntimeTableName,
    SchemaName,
    TableName,
    Timeout,
    Ttl,
)
from components.mapping.values import AccessTarget, Duration, KeyPattern, MemorySize, ObjectPath, PathTemplate, TtlWord

# Characters that could corrupt a terminal, page or log: controls, line ends except \n, changes of text direction.
_UNSAFE = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def _text(value: str) -> str:
    if found := _UNSAFE.search(value):
        raise ValueError(f"has the control character U+{ord(found.group()):04X}; remove it")
    if not value.strip():
        raise ValueError("is empty; enter text, or remove the key if it is optional")
    return value


Text = Annotated[StrictStr, Field(min_length=1, max_length=500), AfterValidator(_text)]
FieldName = Annotated[StrictStr, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,62}$")]


def _whole_number(value: object) -> object:
    """Refuse ``true``, ``1.0`` and text: Python counts the first two as 1."""
    if type(value) is not int:
        shown = str(value).lower() if isinstance(value, bool) else repr(value)
        raise ValueError(f"must be a whole number, not {shown}")
    return value


# Increase to rotate the passwords.
Rotate = Annotated[StrictInt, Field(ge=0, le=2**31 - 1)]
# Sizes and numbers of elements.
Amount = Annotated[StrictInt, Field(ge=1, le=2**50)]


class Strict(BaseModel):
    """Base of every part: rejects unknown keys and is immutable after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class PostgresAccess(Strict):
    """A module's access to PostgreSQL, and the limits of its login where they differ from the defaults.

    ``bypass_tenant_isolation`` states why the login may see the rows of every tenant.
    """

    owns: tuple[SchemaName, ...] = ()
    writes: tuple[AccessTarget, ...] = ()
    reads: tuple[AccessTarget, ...] = ()
    search_path: tuple[SchemaName, ...] | None = None
    connection_limit: Annotated[StrictInt, Field(ge=1, le=1000)] | None = None
    statement_timeout: Timeout | None = None
    idle_in_transaction_timeout: Timeout | None = None
    bypass_tenant_isolation: Text | None = None

    @property
    def schemas(self) -> tuple[str, ...]:
        """Every schema that the login can access: owned first, then written, then read."""
        return tuple(dict.fromkeys([*self.owns, *(target.schema for target in (*self.writes, *self.reads))]))


class ValkeyAccess(Strict):
    """A Valkey user's access to key patterns. ``valkey.streams`` lists the producers and consumers of streams."""

    owns: tuple[KeyPattern, ...] = ()
    writes: tuple[KeyPattern, ...] = ()
    reads: tuple[KeyPattern, ...] = ()


class RustfsAccess(Strict):
    """A module's access to object paths, which begin with the bucket's name: ``blobs/`` or ``blobs/*/attestation.dsse``."""

    owns: tuple[ObjectPath, ...] = ()
    writes: tuple[ObjectPath, ...] = ()
    reads: tuple[ObjectPath, ...] = ()


class Service(Strict):
    """A Valkey user that is not a module and uses no other store."""

    name: Text
    purpose: Text
    rotate: Rotate = 1
    valkey: ValkeyAccess = ValkeyAccess()


class Module(Service):
    """One of the platform's modules: one PostgreSQL login, one Valkey user, one access key."""

    postgres: PostgresAccess = PostgresAccess()
    rustfs: RustfsAccess = RustfsAccess()


class Tenant(Strict):
    """How a table's rows are assigned to tenants if it has no ``tenant_id`` column.

    Either both tables have the column ``via``, and each row belongs to the tenant of the row in ``parent`` with the same
    value in it. Or all tenants share the rows; ``shared`` states why.
    """

    via: ColumnName | None = None
    parent: TableName | None = None
    shared: Text | None = None

    @model_validator(mode="after")
    def _one_way(self) -> "Tenant":
        if (self.via is None) != (self.parent is None) or (self.via is None) == (self.shared is None):
            raise ValueError("write either via with parent, or shared with the reason")
        return self


class Table(Strict):
    """A table: ``columns`` maps names to types; ``append_only`` states why its rows never change.

    ``tenant`` assigns its rows to tenants if it has no ``tenant_id`` column.
    """

    purpose: Text
    append_only: Text | None = None
    tenant: Tenant | None = None
    columns: Annotated[dict[ColumnName, ColumnType], Field(min_length=1)]


class Function(Strict):
    """A function that modules call. Only the logins of the modules in ``execute`` are granted EXECUTE."""

    purpose: Text
    arguments: tuple[ColumnType, ...] = ()
    execute: Annotated[tuple[ModuleName, ...], Field(min_length=1)]


class Schema(Strict):
    """A schema and its tables. The module that lists it under ``owns`` is its owner."""

    purpose: Text
    tables: Annotated[dict[TableName, Table], Field(min_length=1)]
    runtime_tables: dict[RuntimeTableName, Table] = {}
    functions: dict[FunctionName, Function] = {}

    @property
    def all_tables(self) -> dict[str, Table]:
        """Tables by name, then tables created at run time by pattern."""
        return {**self.tables, **self.runtime_tables}

    @property
    def column_types(self) -> dict[str, dict[str, str]]:
        """Table -> column -> type as PostgreSQL prints it, for every table."""
        return {
            table: {column: type_.canonical for column, type_ in definition.columns.items()}
            for table, definition in self.all_tables.items()
        }


class LoginDefaults(Strict):
    """Limits of logins that do not set their own."""

    connection_limit: Annotated[StrictInt, Field(ge=1, le=1000)]
    statement_timeout: Timeout
    idle_in_transaction_timeout: Timeout


class Postgres(Strict):
    """``extensions`` are installed in schema ``extensions``, which is in the search_path of every login."""

    defaults: LoginDefaults
    extensions: tuple[ExtensionName, ...] = ()
    schemas: Annotated[dict[SchemaName, Schema], Field(min_length=1)]


class MemoryPolicy(Strict):
    """Memory limits and eviction policy. The fields are named after Valkey's directives."""

    maxmemory: MemorySize
    maxmemory_policy: Literal[
        "noeviction",
        "allkeys-lru",
        "allkeys-lfu",
        "allkeys-random",
        "volatile-lru",
        "volatile-lfu",
        "volatile-random",
        "volatile-ttl",
    ]
    stream_node_max_bytes: Annotated[StrictInt, Field(ge=0, le=2**31 - 1)]
    stream_node_max_entries: Annotated[StrictInt, Field(ge=0, le=2**31 - 1)]


class Key(Strict):
    """A key pattern with one owner, or with ``shared: all``, which lets every module and service read and write it."""

    type: Literal["string", "list", "set", "hash", "zset", "stream", "various"]
    ttl: Ttl
    purpose: Text
    shared: Literal["all"] | None = None
    evictable: StrictBool

    @model_validator(mode="after")
    def _evictable_agrees_with_ttl(self) -> "Key":
        """volatile-lru evicts only keys that expire. A stream's TTL does not expire the key; it trims old entries."""
        expires = self.type != "stream" and self.ttl not in (TtlWord.INFINITE, TtlWord.NONE)
        if self.evictable != expires:
            reason = "has a TTL, so it is" if expires else "has no expiry, so it is not"
            raise ValueError(f"this key {reason} evictable under volatile-lru; write evictable: {str(expires).lower()}")
        if self.ttl == TtlWord.NONE and self.type not in ("stream", "various"):
            raise ValueError(f"ttl: none is for streams; a {self.type} without expiry is ttl: {TtlWord.INFINITE}")
        return self


class Estimate(Strict):
    """The expected data of a key pattern.

    ``keys``: the number of keys at any time. Each holds one value of ``bytes``, or ``members`` elements of ``bytes`` each,
    or, for a stream, ``entries_per_day`` entries of ``bytes`` each. Key names and overhead are not included.
    """

    keys: Amount
    bytes: Amount
    members: Amount | None = None
    entries_per_day: Amount | None = None


class ConsumerGroup(Strict):
    """A named consumer group, and the idle time after which an entry may be claimed."""

    consumer: ModuleName
    idle_timeout: Duration


class Stream(Strict):
    """A stream: its producers, its consumers (each has a consumer group of the same name), and groups with other names."""

    producers: Annotated[tuple[ModuleName, ...], Field(min_length=1)]
    consumers: tuple[ModuleName, ...] = ()
    groups: dict[GroupName, ConsumerGroup] = {}
    events: tuple[Text, ...] = ()


class Valkey(Strict):
    memory: MemoryPolicy
    group_idle_timeout: Duration
    # For streams with ttl: none. If unset, these streams keep every entry.
    trim_acknowledged_after: Duration | None = None
    keys: Annotated[dict[KeyPattern, Key], Field(min_length=1)]
    estimates: dict[KeyPattern, Estimate] = {}
    streams: dict[KeyPattern, Stream] = {}


class Object(Strict):
    """An object in a bucket's layout; a name that ends in / is a folder of objects.

    ``addressed``: the ``{full_digest}`` in the object's key is the SHA-256 of the object itself.
    """

    purpose: Text
    addressed: StrictBool = False


class ObjectLock(Strict):
    """How long every version is locked after it is written. The config key ``objectLockMode`` sets the mode."""

    retention: Days


class Bucket(Strict):
    """A bucket, the layout of its keys, and whether keys contain the digest of their content.

    ``noncurrent_versions``: prefix -> retention of noncurrent versions, shorter than ``backups.rustfs.retention``.
    """

    purpose: Text
    content_addressed: StrictBool = False
    object_lock: ObjectLock | None = None
    root: PathTemplate
    objects: Annotated[dict[PathTemplate, Object], Field(min_length=1)]
    noncurrent_versions: dict[PathTemplate, Days] = {}

    @property
    def keeps_everything(self) -> bool:
        """Whether modules may not delete here: content-addressed objects can be shared, and locked ones are evidence."""
        return self.content_addressed or self.object_lock is not None


class ContentType(Strict):
    type: Annotated[StrictStr, Field(max_length=127, pattern=r"^[a-z]+/[a-z0-9.+-]+$")]
    description: Text


class Envelope(Strict):
    """The JSON document around an SBOM's payload: its path and the type of each field."""

    path: ObjectPath
    fields: Annotated[dict[FieldName, Literal["string", "timestamp", "boolean", "string[]"]], Field(min_length=1)]
    example: dict[FieldName, JsonValue]


class Rustfs(Strict):
    abort_multipart_after: Days
    buckets: Annotated[dict[BucketName, Bucket], Field(min_length=1)]
    content_types: Annotated[dict[Extension, ContentType], Field(min_length=1)]
    envelope: Envelope


class Flow(Strict):
    """One arrow of the data-flow diagram: from a module to another module, a schema or an object prefix."""

    source: ModuleName
    module: ModuleName | None = None
    postgres: SchemaName | None = None
    rustfs: ObjectPath | None = None

    @model_validator(mode="after")
    def _one_end(self) -> "Flow":
        if sum(end is not None for end in (self.module, self.postgres, self.rustfs)) != 1:
            raise ValueError("a data flow needs exactly one of module, postgres or rustfs")
        return self


class Backup(Strict):
    strategy: Annotated[
        tuple[Literal["pg_dump", "wal-archiving", "rdb-snapshot", "aof", "object-versioning"], ...], Field(min_length=1)
    ]
    retention: Days


class Backups(Strict):
    """Strategy and retention per store. Increase ``rotate`` to rotate the passwords of the backup users."""

    rotate: Rotate = 1
    postgres: Backup
    valkey: Backup
    rustfs: Backup


class Contents(Strict):
    """The content of ``schema-mapping.yaml``. ``Mapping`` adds what is derived from it."""

    version: Annotated[Literal[1], BeforeValidator(_whole_number)]
    modules: Annotated[dict[ModuleName, Module], Field(min_length=1)]
    services: dict[ModuleName, Service] = {}
    postgres: Postgres
    valkey: Valkey
    rustfs: Rustfs
    data_flows: tuple[Flow, ...] = ()
    backups: Backups

    @property
    def users(self) -> dict[str, Service]:
        """Every module and service by name. Each has a Valkey user."""
        return {**self.modules, **self.services}
