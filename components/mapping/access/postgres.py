"""Access to PostgreSQL: privileges of group roles, direct grants to logins, and tenant rules."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from components.mapping.column_types import EXTENSIONS_SCHEMA
from components.mapping.model import Contents, Postgres, PostgresAccess, Schema, Table
from components.mapping.roles import GroupKind, GroupRole, Login
from components.mapping.values import AccessTarget

READ = frozenset({"SELECT"})
CHANGE = frozenset({"SELECT", "INSERT", "UPDATE", "DELETE"})
APPEND = frozenset({"SELECT", "INSERT"})
VERSION_TABLE = "schema_migrations"
TENANT_COLUMN = "tenant_id"
TENANT_TYPE = "uuid"


@dataclass(frozen=True)
class DirectGrant:
    """Privileges granted to a login directly, not through a group role, on one table or some of its columns."""

    schema: str
    table: str
    privileges: frozenset[str]
    columns: tuple[str, ...] = ()


@dataclass(frozen=True)
class TableAccess:
    """A role's privileges on one table and on single columns of it."""

    privileges: frozenset[str] = frozenset()
    columns: Mapping[str, frozenset[str]] = field(default_factory=dict)

    @property
    def words(self) -> list[str]:
        """The privileges as GRANT writes them, sorted: ``SELECT``, ``UPDATE (state, note)``."""
        by_privilege: dict[str, list[str]] = {}
        for column, privileges in self.columns.items():
            for privilege in privileges - self.privileges:
                by_privilege.setdefault(privilege, []).append(column)
        on_columns = (f"{privilege} ({', '.join(sorted(columns))})" for privilege, columns in by_privilege.items())
        return sorted([*self.privileges, *on_columns])

    def may_select(self, column: str) -> bool:
        return "SELECT" in self.privileges or "SELECT" in self.columns.get(column, ())

    def __or__(self, other: "TableAccess") -> "TableAccess":
        """The union of both."""
        columns = dict(self.columns)
        for column, privileges in other.columns.items():
            columns[column] = columns.get(column, frozenset()) | privileges
        return TableAccess(self.privileges | other.privileges, columns)


@dataclass(frozen=True)
class LoginLimits:
    """Limits of a module's login. Timeouts are in milliseconds."""

    connection_limit: int
    statement_timeout: int
    idle_in_transaction_timeout: int
    search_path: tuple[str, ...]


@dataclass(frozen=True)
class TenantRule:
    """How a table's rows are assigned to tenants: by its own tenant column, or by the parent row with the same ``column``."""

    column: str
    parent: str | None = None


@dataclass(frozen=True)
class SchemaAccess:
    """Access to one schema. Tables created at run time are listed by their pattern.

    - ``owner``: the module that owns the schema.
    - ``grants``: module -> direct grants to its login. Modules without any are left out.
    - ``granted``: role -> table -> what the role is granted directly, for every role with USAGE on the schema. The tables
      include ``schema_migrations``.
    - ``functions``: function with argument types, like ``create_finding_tables(uuid)`` -> modules that may call it.
    - ``tenant_bypass``: the modules whose logins see the rows of every tenant.
    """

    name: str
    owner: str | None
    grants: Mapping[str, tuple[DirectGrant, ...]]
    granted: Mapping[str, Mapping[str, TableAccess]]
    append_only: tuple[str, ...]
    functions: Mapping[str, tuple[str, ...]]
    tenant_rules: Mapping[str, TenantRule]
    tenant_bypass: tuple[str, ...]

    @property
    def words(self) -> dict[str, dict[str, list[str]]]:
        """``granted`` in the syntax of GRANT: role -> table -> ``SELECT``, ``UPDATE (state, note)``."""
        return {
            role: {table: access.words for table, access in tables.items()} for role, tables in self.granted.items()
        }


@dataclass(frozen=True)
class LoginAccess:
    """Access of one module's login.

    - ``member_of``: its group roles, sorted, without the connect role.
    - ``grants``: its direct grants. Whole tables come first: a Grant resource on a whole table can revoke column privileges.
    - ``tables``: (schema, table) -> what it may do there, through group roles and direct grants.
    - ``functions``: the functions that it may call, like ``policy.evaluate(uuid)``.
    """

    module: str
    schemas: tuple[str, ...]
    member_of: tuple[GroupRole, ...]
    grants: tuple[DirectGrant, ...]
    tables: Mapping[tuple[str, str], TableAccess]
    functions: tuple[str, ...]
    limits: LoginLimits


def write_privileges(table: Table) -> frozenset[str]:
    """Privileges of a writer on a table. On append-only tables: read and add rows."""
    return APPEND if table.append_only else CHANGE


def schema_access(
    contents: Contents, name: str, grants: Mapping[str, tuple[DirectGrant, ...]], role_prefix: str
) -> SchemaAccess:
    """Derive the access to one schema. ``grants``: module -> all direct grants to its login."""
    definition = contents.postgres.schemas[name]
    in_schema = {module: tuple(grant for grant in own if grant.schema == name) for module, own in grants.items()}
    grants = {module: own for module, own in in_schema.items() if own}
    owners = (module for module, item in contents.modules.items() if name in item.postgres.owns)
    bypass = (
        module
        for module, item in contents.modules.items()
        if item.postgres.bypass_tenant_isolation and name in item.postgres.schemas
    )
    return SchemaAccess(
        name=name,
        owner=next(owners, None),
        grants=grants,
        granted=_group_access(name, definition, role_prefix)
        | {Login(module, role_prefix).name: _tables(own) for module, own in grants.items()},
        append_only=tuple(sorted(table for table, item in definition.all_tables.items() if item.append_only)),
        functions={
            f"{function}({', '.join(argument.canonical for argument in item.arguments)})": item.execute
            for function, item in definition.functions.items()
        },
        tenant_rules=_tenant_rules(definition),
        tenant_bypass=tuple(sorted(bypass)),
    )


def login_access(contents: Contents, module: str, grants: tuple[DirectGrant, ...], role_prefix: str) -> LoginAccess:
    """Derive the access of one module's login. ``grants`` are its direct grants."""
    access = contents.modules[module].postgres
    definitions = contents.postgres.schemas
    member_of = _member_of(access, role_prefix)
    tables: dict[tuple[str, str], TableAccess] = {}
    for schema in access.schemas:
        from_groups = [
            _group_access(schema, definitions[schema], role_prefix)[role.name]
            for role in member_of
            if role.schema == schema
        ]
        for source in (*from_groups, _tables(grant for grant in grants if grant.schema == schema)):
            for table, added in source.items():
                tables[schema, table] = tables.get((schema, table), TableAccess()) | added
    return LoginAccess(
        module=module,
        schemas=access.schemas,
        member_of=member_of,
        grants=grants,
        tables=tables,
        functions=tuple(
            f"{schema}.{name}({', '.join(argument.canonical for argument in function.arguments)})"
            for schema, definition in definitions.items()
            for name, function in definition.functions.items()
            if module in function.execute
        ),
        limits=_limits(access, contents.postgres),
    )


def direct_grants(access: PostgresAccess, schemas: Mapping[str, Schema]) -> tuple[DirectGrant, ...]:
    """Direct grants to a login: whole tables first, then for each table one grant per set of columns."""
    whole: dict[tuple[str, str], frozenset[str]] = {}
    columns: dict[tuple[str, str], dict[str, dict[str, None]]] = {}
    for verb, targets in (("writes", access.writes), ("reads", access.reads)):
        for target in targets:
            if target.table is None:
                continue
            table = target.schema, target.table
            privileges = (
                READ
                if verb == "reads"
                else _target_write_privileges(target, schemas[target.schema].tables[target.table])
            )
            if not target.columns:
                whole[table] = whole.get(table, frozenset()) | privileges
            for privilege in privileges if target.columns else ():
                columns.setdefault(table, {}).setdefault(privilege, {}).update(dict.fromkeys(target.columns))
    grants = [DirectGrant(*table, privileges) for table, privileges in whole.items()]
    for table, by_privilege in columns.items():
        sets: dict[tuple[str, ...], set[str]] = {}
        for privilege, names in by_privilege.items():
            if privilege not in whole.get(table, ()):
                sets.setdefault(tuple(names), set()).add(privilege)
        grants += [DirectGrant(*table, frozenset(privileges), names) for names, privileges in sets.items()]
    return tuple(grants)


def _target_write_privileges(target: AccessTarget, table: Table) -> frozenset[str]:
    return frozenset({"SELECT", "UPDATE"}) if target.columns else write_privileges(table)


def _member_of(access: PostgresAccess, prefix: str) -> tuple[GroupRole, ...]:
    roles = {GroupRole(schema, GroupKind.WRITER, prefix) for schema in access.owns}
    roles |= {GroupRole(target.schema, GroupKind.WRITER, prefix) for target in access.writes if target.table is None}
    roles |= {GroupRole(target.schema, GroupKind.READER, prefix) for target in access.reads if target.table is None}
    return tuple(sorted(roles, key=lambda role: role.name))


def _group_access(schema: str, definition: Schema, prefix: str) -> dict[str, Mapping[str, TableAccess]]:
    """Name of the schema's writer and reader role -> table -> what the role is granted."""
    version = {VERSION_TABLE: TableAccess(READ)}
    writer = {name: TableAccess(write_privileges(table)) for name, table in definition.all_tables.items()}
    reader = {name: TableAccess(READ) for name in definition.all_tables}
    return {
        GroupRole(schema, GroupKind.WRITER, prefix).name: writer | version,
        GroupRole(schema, GroupKind.READER, prefix).name: reader | version,
    }


def _table_access(grant: DirectGrant) -> TableAccess:
    if grant.columns:
        return TableAccess(columns=dict.fromkeys(grant.columns, grant.privileges))
    return TableAccess(grant.privileges)


def _tables(grants: Iterable[DirectGrant]) -> dict[str, TableAccess]:
    tables: dict[str, TableAccess] = {}
    for grant in grants:
        tables[grant.table] = tables.get(grant.table, TableAccess()) | _table_access(grant)
    return tables


def _limits(access: PostgresAccess, postgres: Postgres) -> LoginLimits:
    """The module's own limits, or the defaults."""
    defaults = postgres.defaults
    path = access.schemas if access.search_path is None else access.search_path
    extensions = (EXTENSIONS_SCHEMA,) if postgres.extensions else ()
    return LoginLimits(
        access.connection_limit or defaults.connection_limit,
        (access.statement_timeout or defaults.statement_timeout).milliseconds,
        (access.idle_in_transaction_timeout or defaults.idle_in_transaction_timeout).milliseconds,
        # Never empty: without a search_path of its own, the login would search "$user" and public.
        (*path, *extensions) or ("pg_catalog",),
    )


def _tenant_rules(definition: Schema) -> dict[str, TenantRule]:
    """Table -> rule, for every table whose rows belong to tenants."""
    rules = {}
    for name, table in definition.all_tables.items():
        if TENANT_COLUMN in table.columns:
            rules[name] = TenantRule(TENANT_COLUMN)
        elif table.tenant and table.tenant.via:
            rules[name] = TenantRule(table.tenant.via, table.tenant.parent)
    return rules
