"""The parts of the mapping: what may stand in ``schema-mapping.yaml``, as frozen pydantic classes.

Shapes only. What depends on two places at once (owners exist, patterns do not overlap) is in ``checks``; what each
module may do is derived in ``access``. ``components.mapping.mapping`` joins both.
"""

import re
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
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

# What could lead a terminal, a page or a log astray: control characters, line ends but \n, changes of direction.
_MISLEADING = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def _text(value: str) -> str:
    if found := _MISLEADING.search(value):
        raise ValueError(f"has the control character U+{ord(found.group()):04X}; remove it")
    if not value.strip():
        raise ValueError("is empty; write a text, or remove the key if it is optional")
    return value


Text = Annotated[StrictStr, Field(min_length=1, max_length=500), AfterValidator(_text)]
FieldName = Annotated[StrictStr, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,62}$")]
# Another number renews passwords.
Rotate = Annotated[StrictInt, Field(ge=0, le=2**31 - 1)]
# Sizes and numbers of elements, as servers hold them.
Amount = Annotated[StrictInt, Field(ge=1, le=2**50)]


class Strict(BaseModel):
    """Base of every part: unknown keys are refused, values cannot be changed after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class PostgresAccess(Strict):
    """A module's verbs on PostgreSQL and, where it differs from the defaults, how its login is limited.

    ``bypass_tenant_isolation`` gives the reason why it sees the rows of every tenant.
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
        """Every schema that the login can see into: owned ones first, then written, then read."""
        return tuple(dict.fromkeys([*self.owns, *(target.schema for target in (*self.writes, *self.reads))]))


class ValkeyAccess(Strict):
    """A module's verbs on key patterns. Streams are not repeated here: they name their producers and consumers."""

    owns: tuple[KeyPattern, ...] = ()
    writes: tuple[KeyPattern, ...] = ()
    reads: tuple[KeyPattern, ...] = ()


class RustfsAccess(Strict):
    """A module's verbs on object paths, the bucket's name first: ``blobs/`` or ``blobs/*/attestation.dsse``."""

    owns: tuple[ObjectPath, ...] = ()
    writes: tuple[ObjectPath, ...] = ()
    reads: tuple[ObjectPath, ...] = ()


class Service(Strict):
    """Something outside the module table that uses Valkey only."""

    name: Text
    purpose: Text
    rotate: Rotate = 1
    valkey: ValkeyAccess = ValkeyAccess()


class Module(Service):
    """One of the platform's modules: one PostgreSQL login, one Valkey user, one access key."""

    postgres: PostgresAccess = PostgresAccess()
    rustfs: RustfsAccess = RustfsAccess()


class Tenant(Strict):
    """Whose a table's rows are, where no column ``tenant_id`` says it.

    They belong to the tenant of the row of ``parent`` that ``via`` refers to, a column of the same name in both; or
    they are ``shared`` by all tenants, for the reason that stands there.
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
    """A table: ``columns`` maps names to types; ``append_only`` gives the reason why its rows never change.

    ``tenant`` says whose they are, where no column ``tenant_id`` does.
    """

    purpose: Text
    append_only: Text | None = None
    tenant: Tenant | None = None
    columns: Annotated[dict[ColumnName, ColumnType], Field(min_length=1)]


class Function(Strict):
    """A function that modules call; EXECUTE goes to these logins and to nobody else."""

    purpose: Text
    arguments: tuple[ColumnType, ...] = ()
    execute: Annotated[tuple[ModuleName, ...], Field(min_length=1)]


class Schema(Strict):
    """A schema with its tables; its owner is the module that lists it under ``owns``."""

    purpose: Text
    tables: Annotated[dict[TableName, Table], Field(min_length=1)]
    runtime_tables: dict[RuntimeTableName, Table] = {}
    functions: dict[FunctionName, Function] = {}

    @property
    def all_tables(self) -> dict[str, Table]:
        """Every table, those created at run time last, by their pattern."""
        return {**self.tables, **self.runtime_tables}

    @property
    def column_types(self) -> dict[str, dict[str, str]]:
        """Table -> column -> type as PostgreSQL prints it, of every table."""
        return {
            table: {column: type_.canonical for column, type_ in definition.columns.items()}
            for table, definition in self.all_tables.items()
        }


class LoginDefaults(Strict):
    """Limits of every login that does not state its own."""

    connection_limit: Annotated[StrictInt, Field(ge=1, le=1000)]
    statement_timeout: Timeout
    idle_in_transaction_timeout: Timeout


class Postgres(Strict):
    """``extensions`` are installed in schema ``extensions``, which is in the search_path of every login."""

    defaults: LoginDefaults
    extensions: tuple[ExtensionName, ...] = ()
    schemas: Annotated[dict[SchemaName, Schema], Field(min_length=1)]


class MemoryPolicy(Strict):
    """Memory policy, as the server's own directives name it."""

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
    """A key pattern. ``shared: all`` lets every module and service read and write it; else a module owns it."""

    type: Literal["string", "list", "set", "hash", "zset", "stream", "various"]
    ttl: Ttl
    purpose: Text
    shared: Literal["all"] | None = None
    evictable: StrictBool

    @model_validator(mode="after")
    def _evictable_agrees_with_ttl(self) -> "Key":
        """volatile-lru evicts only what has a TTL, and a stream's TTL is a trimming age, not a key's expiry."""
        expires = self.type != "stream" and self.ttl not in (TtlWord.INFINITE, TtlWord.NONE)
        if self.evictable != expires:
            word = "has a TTL, so it is" if expires else "has no expiry, so it is not"
            raise ValueError(f"this key {word} evictable under volatile-lru; write evictable: {str(expires).lower()}")
        if self.ttl == TtlWord.NONE and self.type not in ("stream", "various"):
            raise ValueError(f"ttl: none is for streams; a {self.type} without expiry is ttl: {TtlWord.INFINITE}")
        return self


class Estimate(Strict):
    """How much a pattern is expected to hold: ``keys`` that exist at a time, each of one value of ``bytes`` or of so
    many elements (``members``; of a stream, ``entries_per_day``) of ``bytes`` each. Names and overhead come on top."""

    keys: Amount
    bytes: Amount
    members: Amount | None = None
    entries_per_day: Amount | None = None


class ConsumerGroup(Strict):
    """A consumer group that the reference names, with the idle time after which an entry may be claimed."""

    consumer: ModuleName
    idle_timeout: Duration


class Stream(Strict):
    """A stream: who adds, who consumes (one group each, named after the consumer), and its named groups."""

    producers: Annotated[tuple[ModuleName, ...], Field(min_length=1)]
    consumers: tuple[ModuleName, ...] = ()
    groups: dict[GroupName, ConsumerGroup] = {}
    events: tuple[Text, ...] = ()


class Valkey(Strict):
    memory: MemoryPolicy
    group_idle_timeout: Duration
    # Of streams with ttl: none; without it they keep each entry for ever.
    trim_acknowledged_after: Duration | None = None
    keys: Annotated[dict[KeyPattern, Key], Field(min_length=1)]
    estimates: dict[KeyPattern, Estimate] = {}
    streams: dict[KeyPattern, Stream] = {}


class Object(Strict):
    """An object of a bucket's layout; a name that ends in / is a folder of objects.

    ``addressed``: its own SHA-256 is the ``{full_digest}`` in its key.
    """

    purpose: Text
    addressed: StrictBool = False


class ObjectLock(Strict):
    """Every version is locked for this long after it was written. The stack's config says how hard (``objectLockMode``)."""

    retention: Days


class Bucket(Strict):
    """A bucket, its layout below the bucket's name, and whether keys are digests of their content.

    ``noncurrent_versions``: prefixes whose old versions are kept for a shorter time than ``backups.rustfs`` says.
    """

    purpose: Text
    content_addressed: StrictBool = False
    object_lock: ObjectLock | None = None
    root: PathTemplate
    objects: Annotated[dict[PathTemplate, Object], Field(min_length=1)]
    noncurrent_versions: dict[PathTemplate, Days] = {}

    @property
    def keeps_everything(self) -> bool:
        """Nobody deletes here: what is content-addressed is shared by whoever refers to it, what is locked is evidence."""
        return self.content_addressed or self.object_lock is not None


class ContentType(Strict):
    type: Annotated[StrictStr, Field(max_length=127, pattern=r"^[a-z]+/[a-z0-9.+-]+$")]
    description: Text


class Envelope(Strict):
    """The wrapper document that describes an SBOM: where it lies and what each field holds."""

    path: ObjectPath
    fields: Annotated[dict[FieldName, Literal["string", "timestamp", "boolean", "string[]"]], Field(min_length=1)]
    example: dict[FieldName, JsonValue]


class Rustfs(Strict):
    abort_multipart_after: Days
    buckets: Annotated[dict[BucketName, Bucket], Field(min_length=1)]
    content_types: Annotated[dict[Extension, ContentType], Field(min_length=1)]
    envelope: Envelope


class Flow(Strict):
    """One arrow of the data-flow diagram: to another module, or to a store's schema or prefix."""

    source: ModuleName
    module: ModuleName | None = None
    postgres: SchemaName | None = None
    rustfs: ObjectPath | None = None

    @model_validator(mode="after")
    def _one_end(self) -> "Flow":
        if sum(end is not None for end in (self.module, self.postgres, self.rustfs)) != 1:
            raise ValueError("a data flow ends in exactly one of module, postgres, rustfs")
        return self


class Backup(Strict):
    strategy: Annotated[
        tuple[Literal["pg_dump", "wal-archiving", "rdb-snapshot", "aof", "object-versioning"], ...], Field(min_length=1)
    ]
    retention: Days


class Backups(Strict):
    """Strategy and retention, by store; another ``rotate`` renews the passwords of who makes backups."""

    rotate: Rotate = 1
    postgres: Backup
    valkey: Backup
    rustfs: Backup


class Contents(Strict):
    """What stands in the document, without what is derived from it."""

    version: Literal[1]
    modules: Annotated[dict[ModuleName, Module], Field(min_length=1)]
    services: dict[ModuleName, Service] = {}
    postgres: Postgres
    valkey: Valkey
    rustfs: Rustfs
    data_flows: tuple[Flow, ...] = ()
    backups: Backups

    @property
    def users(self) -> dict[str, Service]:
        """Every module and service, by name: all that have a Valkey user."""
        return {**self.modules, **self.services}
