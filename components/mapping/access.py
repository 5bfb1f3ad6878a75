"""Who may do what, worked out from the mapping: the one place where verbs become privileges.

Roles, grants, ACLs, policies, the contract and the access tests all read this module, so they cannot disagree.
"""

from dataclasses import dataclass, field

from components.mapping.model import Mapping, Table
from components.mapping.names import TableTarget, duration_ms, key_glob, parse_target

READ = frozenset({"SELECT"})
CHANGE = frozenset({"SELECT", "INSERT", "UPDATE", "DELETE"})
APPEND = frozenset({"SELECT", "INSERT"})
GROUPS = ("owner", "writer", "reader")  # of each schema
VERSION_TABLE = "schema_migrations"
TENANT_COLUMN = "tenant_id"
TENANT_TYPE = "uuid"


@dataclass(frozen=True)
class DirectGrant:
    """A privilege that a login has itself rather than through a group role: on one table, or columns of it."""

    schema: str
    table: str
    privileges: frozenset[str]
    columns: tuple[str, ...] = ()


@dataclass
class TableAccess:
    """What a login may do on one table: whole-table privileges, and privileges on single columns."""

    privileges: set[str] = field(default_factory=set)
    columns: dict[str, set[str]] = field(default_factory=dict)

    def may_select(self, column: str) -> bool:
        return "SELECT" in self.privileges or "SELECT" in self.columns.get(column, set())


def schema_owners(mapping: Mapping) -> dict[str, str]:
    """Schema -> the module that owns it."""
    return {schema: name for name, module in mapping.modules.items() for schema in module.postgres.owns}


def write_privileges(table: Table) -> frozenset[str]:
    """What a writer may do on a table: append-only tables take new rows only."""
    return APPEND if table.append_only else CHANGE


def schema_roles(mapping: Mapping) -> tuple[str, ...]:
    """The group roles of every schema."""
    return tuple(f"{schema}_{group}" for schema in mapping.postgres.schemas for group in GROUPS)


def group_roles(mapping: Mapping, module: str) -> tuple[str, ...]:
    """The group roles that a module's login is a member of, sorted; ``<database>_connect`` is not among them."""
    access = mapping.modules[module].postgres
    roles = {f"{schema}_writer" for schema in access.owns}
    roles |= {f"{target.schema}_writer" for target in map(parse_target, access.writes) if target.table is None}
    roles |= {f"{target.schema}_reader" for target in map(parse_target, access.reads) if target.table is None}
    return tuple(sorted(roles))


def direct_grants(mapping: Mapping, module: str) -> tuple[DirectGrant, ...]:
    """The table and column grants that go to a module's login itself: whole tables first, then for each table one a
    set of columns.

    In that order, because a grant on a table takes away what the role had on its columns before.
    """
    access = mapping.modules[module].postgres
    whole: dict[tuple[str, str], set[str]] = {}
    columns: dict[tuple[str, str], dict[str, dict[str, None]]] = {}
    for verb, targets in (("writes", access.writes), ("reads", access.reads)):
        for target in map(parse_target, targets):
            if target.table is None:
                continue
            table, privileges = (target.schema, target.table), _direct_privileges(mapping, verb, target)
            if not target.columns:
                whole.setdefault(table, set()).update(privileges)
            for privilege in privileges if target.columns else ():
                columns.setdefault(table, {}).setdefault(privilege, {}).update(dict.fromkeys(target.columns))
    grants = [DirectGrant(*table, frozenset(privileges)) for table, privileges in whole.items()]
    for table, by_privilege in columns.items():
        sets: dict[tuple[str, ...], set[str]] = {}
        for privilege, names in by_privilege.items():
            if privilege not in whole.get(table, ()):
                sets.setdefault(tuple(names), set()).add(privilege)
        grants += [DirectGrant(*table, frozenset(privileges), names) for names, privileges in sets.items()]
    return tuple(grants)


def _direct_privileges(mapping: Mapping, verb: str, target: TableTarget) -> frozenset[str]:
    if verb == "reads":
        return READ
    if target.columns:
        return frozenset({"SELECT", "UPDATE"})
    assert target.table is not None
    return write_privileges(mapping.postgres.schemas[target.schema].tables[target.table])


def granted(mapping: Mapping, schema: str) -> dict[str, dict[str, TableAccess]]:
    """Role -> table -> what the role itself is granted there, of every role that has USAGE on the schema.

    Tables made at run time stand there by their pattern; ``schema_migrations`` is among the tables.
    """
    result = _group_access(mapping, schema)
    for module in mapping.modules:
        for table, access in _direct_access(mapping, module, schema).items():
            result.setdefault(module, {})[table] = access
    return result


def _group_access(mapping: Mapping, schema: str) -> dict[str, dict[str, TableAccess]]:
    definition = mapping.postgres.schemas[schema]
    writer: dict[str, TableAccess] = {}
    reader: dict[str, TableAccess] = {}
    for name, table in {**definition.tables, **definition.runtime_tables}.items():
        writer[name] = TableAccess(set(write_privileges(table)))
        reader[name] = TableAccess(set(READ))
    result = {f"{schema}_writer": writer, f"{schema}_reader": reader}
    for access in result.values():
        access[VERSION_TABLE] = TableAccess(set(READ))
    return result


def _direct_access(mapping: Mapping, module: str, schema: str) -> dict[str, TableAccess]:
    result: dict[str, TableAccess] = {}
    for grant in direct_grants(mapping, module):
        if grant.schema == schema:
            access = result.setdefault(grant.table, TableAccess())
            access.privileges.update(() if grant.columns else grant.privileges)
            for column in grant.columns:
                access.columns.setdefault(column, set()).update(grant.privileges)
    return result


def table_access(mapping: Mapping, module: str) -> dict[tuple[str, str], TableAccess]:
    """(schema, table) -> what the module's login may do there; tables that it may not touch are left out.

    ``schema_migrations`` of each schema that the module is a group member of is included, with SELECT.
    """
    result: dict[tuple[str, str], TableAccess] = {}
    member_of = group_roles(mapping, module)
    for schema in schemas_used(mapping, module):
        groups = _group_access(mapping, schema)
        for held in (*(groups.get(role, {}) for role in member_of), _direct_access(mapping, module, schema)):
            for table, has in held.items():
                access = result.setdefault((schema, table), TableAccess())
                access.privileges.update(has.privileges)
                for column, privileges in has.columns.items():
                    access.columns.setdefault(column, set()).update(privileges)
    return result


def function_access(mapping: Mapping, schema: str) -> dict[str, tuple[str, ...]]:
    """Function with the types of its arguments, like ``create_finding_tables(uuid)`` -> the modules that call it."""
    functions = mapping.postgres.schemas[schema].functions
    return {f"{name}({', '.join(function.arguments)})": function.execute for name, function in functions.items()}


@dataclass(frozen=True)
class LoginLimits:
    """How a module's login is limited; timeouts in milliseconds."""

    connection_limit: int
    statement_timeout: int
    idle_in_transaction_timeout: int
    search_path: tuple[str, ...]


def login_limits(mapping: Mapping, module: str) -> LoginLimits:
    """Of the module's own, or the defaults."""
    own, defaults = mapping.modules[module].postgres, mapping.postgres.defaults
    path = own.search_path if own.search_path is not None else schemas_used(mapping, module)
    return LoginLimits(
        own.connection_limit or defaults.connection_limit,
        duration_ms(own.statement_timeout or defaults.statement_timeout),
        duration_ms(own.idle_in_transaction_timeout or defaults.idle_in_transaction_timeout),
        # Without one of its own a login would look into "$user" and public.
        tuple(path) or ("pg_catalog",),
    )


def backup_role(database: str) -> str:
    """The login that reads everything: dumps, base backups, WAL."""
    return f"{database}_backup"


def connect_role(database: str) -> str:
    """The group role that may connect to the database."""
    return f"{database}_connect"


def schemas_used(mapping: Mapping, module: str) -> tuple[str, ...]:
    """Every schema that the module's login can see into: owned ones first, then written, then read."""
    access = mapping.modules[module].postgres
    targets = [*access.owns, *(parse_target(item).schema for item in (*access.writes, *access.reads))]
    return tuple(dict.fromkeys(targets))


def append_only_tables(mapping: Mapping, schema: str) -> tuple[str, ...]:
    """The append-only tables of a schema, sorted; those made at run time by their pattern."""
    definition = mapping.postgres.schemas[schema]
    tables = {**definition.tables, **definition.runtime_tables}
    return tuple(sorted(name for name, table in tables.items() if table.append_only))


@dataclass(frozen=True)
class TenantRule:
    """How a table's rows are told by tenant: by the tenant column of its own, or through ``column`` to ``parent``."""

    column: str
    parent: str | None = None


def tenant_rules(mapping: Mapping, schema: str) -> dict[str, TenantRule]:
    """Table -> rule, of every table whose rows are a tenant's; those made at run time by their pattern."""
    definition = mapping.postgres.schemas[schema]
    rules = {}
    for name, table in {**definition.tables, **definition.runtime_tables}.items():
        if TENANT_COLUMN in table.columns:
            rules[name] = TenantRule(TENANT_COLUMN)
        elif table.tenant and table.tenant.via:
            rules[name] = TenantRule(table.tenant.via, table.tenant.parent)
    return rules


def tenant_bypass(mapping: Mapping, schema: str) -> tuple[str, ...]:
    """The modules whose logins see the rows of every tenant in that schema, sorted."""
    modules = (
        name
        for name, module in mapping.modules.items()
        if module.postgres.bypass_tenant_isolation and schema in schemas_used(mapping, name)
    )
    return tuple(sorted(modules))


@dataclass(frozen=True)
class KeyAccess:
    """What a Valkey user may do on one pattern: ``verb`` is write, read, produce or consume.

    ``write`` and ``read`` follow the key's type; ``produce`` and ``consume`` are for streams.
    """

    pattern: str
    type: str
    verb: str

    @property
    def glob(self) -> str:
        return key_glob(self.pattern)


def key_access(mapping: Mapping, user: str) -> tuple[KeyAccess, ...]:
    """Every pattern that a module or service may touch, sorted by pattern and verb.

    The owner of a defined stream gets nothing by owning it: who adds and who consumes is said by the stream.
    """
    access = mapping.users[user].valkey
    found: set[KeyAccess] = set()
    for pattern, key in mapping.valkey.keys.items():
        stream = mapping.valkey.streams.get(pattern)
        if stream is not None:
            if user in stream.producers:
                found.add(KeyAccess(pattern, "stream", "produce"))
            if user in stream.consumers or user in {group.consumer for group in stream.groups.values()}:
                found.add(KeyAccess(pattern, "stream", "consume"))
        elif key.shared == "all" or pattern in access.owns or pattern in access.writes:
            found.add(KeyAccess(pattern, key.type, "write"))
        elif pattern in access.reads:
            found.add(KeyAccess(pattern, key.type, "read"))
    return tuple(sorted(found, key=lambda item: (item.pattern, item.verb)))


@dataclass(frozen=True)
class StreamGroup:
    """A consumer group: its stream, its name, who consumes in it, and after what idle time entries are claimed."""

    stream: str
    name: str
    consumer: str
    idle_timeout: str


def stream_groups(mapping: Mapping) -> tuple[StreamGroup, ...]:
    """Every consumer group: one a consumer module, named after it, and the named ones."""
    groups = []
    for stream, definition in mapping.valkey.streams.items():
        for consumer in definition.consumers:
            groups.append(StreamGroup(stream, consumer, consumer, mapping.valkey.group_idle_timeout))
        for name, group in definition.groups.items():
            groups.append(StreamGroup(stream, name, group.consumer, group.idle_timeout))
    return tuple(groups)


@dataclass(frozen=True)
class ObjectAccess:
    """What a module may do below a path of a bucket: ``verb`` is write or read. ``prefix`` may hold ``*``."""

    bucket: str
    prefix: str
    verb: str


def object_access(mapping: Mapping, module: str) -> tuple[ObjectAccess, ...]:
    """Every object prefix that a module may use, sorted."""
    access = mapping.modules[module].rustfs
    found = set()
    for verb, paths in (("write", (*access.owns, *access.writes)), ("read", access.reads)):
        for path in paths:
            bucket, _, prefix = path.partition("/")
            found.add(ObjectAccess(bucket, prefix, verb))
    return tuple(sorted(found, key=lambda item: (item.bucket, item.prefix, item.verb)))
