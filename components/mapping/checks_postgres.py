"""Cross-checks of the PostgreSQL part: types, owners, access targets, functions, and how rows are assigned to tenants."""

from collections.abc import Iterable, Iterator

from components.mapping.access import EXTENSIONS_SCHEMA, TENANT_COLUMN, TENANT_TYPE, TableAccess
from components.mapping.column_types import EXTENSION_TYPES, ColumnType, nearest, provided_by
from components.mapping.findings import Finding
from components.mapping.mapping import Mapping
from components.mapping.model import Schema, Table
from components.mapping.values import AccessTarget


def check(mapping: Mapping) -> list[Finding]:
    """All findings, in no particular order."""
    findings = [
        *_extensions(mapping),
        *_types(mapping),
        *_owners(mapping),
        *_postgres_targets(mapping),
        *_tenants(mapping),
    ]
    return [*findings, *([] if findings else _unreadable_tenants(mapping)), *_functions(mapping)]


def _extensions(mapping: Mapping) -> Iterator[Finding]:
    if mapping.postgres.extensions and EXTENSIONS_SCHEMA in mapping.postgres.schemas:
        message = f"schema {EXTENSIONS_SCHEMA!r} is reserved for postgres.extensions; choose another name"
        yield Finding(("postgres", "schemas", EXTENSIONS_SCHEMA), message)


def _types(mapping: Mapping) -> Iterator[Finding]:
    """Types that neither PostgreSQL, an installed extension nor the schema's own migrations can provide."""
    extensions = mapping.postgres.extensions
    for schema, definition in mapping.postgres.schemas.items():
        schema_path = ("postgres", "schemas", schema)
        places: list[tuple[tuple[str | int, ...], ColumnType]] = [
            ((*schema_path, "functions", name, "arguments", index), type_)
            for name, function in definition.functions.items()
            for index, type_ in enumerate(function.arguments)
        ]
        for kind, tables in (("tables", definition.tables), ("runtime_tables", definition.runtime_tables)):
            for name, table in tables.items():
                places += [
                    ((*schema_path, kind, name, "columns", column), type_) for column, type_ in table.columns.items()
                ]
        for path, type_ in places:
            is_of_extension = type_.schema == EXTENSIONS_SCHEMA or (type_.schema is None and not type_.is_builtin)
            if type_.schema not in (None, schema, EXTENSIONS_SCHEMA):
                message = (
                    f"{str(type_)!r} is a type of schema {type_.schema}; only types of {schema} itself can be used"
                )
                yield Finding(path, message)
            elif is_of_extension and not provided_by(extensions, type_.name):
                yield Finding(path, f"unknown type {str(type_)!r}{_remedy(type_, schema)}")


def _remedy(type_: ColumnType, schema: str) -> str:
    owners = [extension for extension, types in EXTENSION_TYPES.items() if type_.name in types]
    if owners:
        return f"; add {owners[0]} to postgres.extensions"
    close = nearest(type_.name)
    if close:
        return f'; did you mean "{close}"?'
    return f"; write {schema}.{type_.name} for a type that the schema's migrations create"


def _owners(mapping: Mapping) -> Iterator[Finding]:
    known = tuple(mapping.postgres.schemas)
    owners: dict[str, str] = {}
    for name, module in mapping.modules.items():
        for index, schema in enumerate(module.postgres.owns):
            path = ("modules", name, "postgres", "owns", index)
            if schema not in mapping.postgres.schemas:
                yield Finding(path, f"no schema {schema!r}", schema, known)
            elif owners.get(schema, name) != name:
                yield Finding(
                    path,
                    f"schema {schema!r} has two owners: {owners[schema]} and {name}; move it to writes for one of them",
                )
            else:
                owners[schema] = name
    for schema in mapping.postgres.schemas:
        if schema not in owners:
            yield Finding(
                ("postgres", "schemas", schema), f"schema {schema!r} has no owner; list it under owns of one module"
            )


def _postgres_targets(mapping: Mapping) -> Iterator[Finding]:
    schemas = mapping.postgres.schemas
    for name, module in mapping.modules.items():
        access = module.postgres
        covered = {*access.owns, *_whole_schemas(access.writes)}
        earlier: list[AccessTarget] = []
        for verb, targets in (("writes", access.writes), ("reads", access.reads)):
            if verb == "reads":
                covered |= _whole_schemas(access.reads)
            for index, target in enumerate(targets):
                path = ("modules", name, "postgres", verb, index)
                if target.schema not in schemas:
                    yield Finding(path, f"no schema {target.schema!r}", target.schema, tuple(schemas))
                    continue
                whole = target.table is None
                if (
                    (target.schema in access.owns)
                    or (not whole and target.schema in covered)
                    or _covered(target, earlier)
                ):
                    yield Finding(
                        path, f"{str(target)!r} is already covered by what {name} owns, writes or reads; remove it"
                    )
                    continue
                earlier.append(target)
                if target.table is not None:
                    yield from _table_target(schemas[target.schema], verb, target, path)
        for index, schema in enumerate(access.search_path or ()):
            if schema not in schemas:
                path = ("modules", name, "postgres", "search_path", index)
                yield Finding(path, f"no schema {schema!r}", schema, tuple(schemas))


def _whole_schemas(targets: Iterable[AccessTarget]) -> set[str]:
    return {target.schema for target in targets if target.table is None}


def _covered(target: AccessTarget, others: list[AccessTarget]) -> bool:
    """Whether one of the others is the same schema, or the same table with at least these columns."""
    return any(
        other.schema == target.schema
        and other.table == target.table
        and (not other.columns or (bool(target.columns) and set(target.columns) <= set(other.columns)))
        for other in others
    )


def _table_target(schema: Schema, verb: str, target: AccessTarget, path: tuple[str | int, ...]) -> Iterator[Finding]:
    assert target.table is not None
    where = f"{target.schema}.{target.table}"
    if target.table not in schema.tables:
        message = f"no table {target.table!r} in schema {target.schema}"
        yield Finding(path, message, target.table, tuple(schema.tables))
        return
    table = schema.tables[target.table]
    for column in target.columns:
        if column not in table.columns:
            yield Finding(path, f"no column {column!r} in {where}", column, tuple(table.columns))
        if target.columns.count(column) > 1:
            yield Finding(path, f"column {column!r} of {where} is listed more than once")
    if verb == "writes" and target.columns and table.append_only:
        message = "columns of an append-only table cannot be written to; its rows never change"
        yield Finding(path, f"{str(target)!r}: {message}")


def _functions(mapping: Mapping) -> Iterator[Finding]:
    for schema, definition in mapping.postgres.schemas.items():
        for name, function in definition.functions.items():
            for index, module in enumerate(function.execute):
                if module not in mapping.modules:
                    path = ("postgres", "schemas", schema, "functions", name, "execute", index)
                    yield Finding(path, f"no module {module!r}", module, tuple(mapping.modules))


def _tenants(mapping: Mapping) -> Iterator[Finding]:
    """Tables that do not assign their rows to tenants in exactly one way, and bypasses of tenant isolation without effect."""
    for schema, definition in mapping.postgres.schemas.items():
        for kind, tables in (("tables", definition.tables), ("runtime_tables", definition.runtime_tables)):
            for name, table in tables.items():
                table_path = ("postgres", "schemas", schema, kind, name)
                yield from _tenant(mapping, schema, table, table_path)
    for name, module in mapping.modules.items():
        access = module.postgres
        if access.bypass_tenant_isolation and not access.schemas:
            path = ("modules", name, "postgres", "bypass_tenant_isolation")
            yield Finding(path, f"{name} uses no schema, so this has no effect; remove it")


def _tenant(mapping: Mapping, schema: str, table: Table, table_path: tuple[str, ...]) -> Iterator[Finding]:
    tenant_path = (*table_path, "tenant")
    if TENANT_COLUMN in table.columns:
        if table.tenant is not None:
            yield Finding(
                tenant_path, f"column {TENANT_COLUMN} already assigns the table's rows to tenants; remove tenant"
            )
        if table.columns[TENANT_COLUMN] != TENANT_TYPE:
            yield Finding((*table_path, "columns", TENANT_COLUMN), f"{TENANT_COLUMN} must be {TENANT_TYPE}")
        return
    if table.tenant is None:
        yield Finding(
            table_path,
            f"the table has no {TENANT_COLUMN}: assign its rows to tenants with tenant: {{via: COLUMN, parent: TABLE}}"
            " or tenant: {shared: REASON}",
        )
        return
    via, parent = table.tenant.via, table.tenant.parent
    if via is None or parent is None:
        return
    tables = mapping.postgres.schemas[schema].tables
    if via not in table.columns:
        yield Finding((*tenant_path, "via"), f"the table has no column {via!r}", via, tuple(table.columns))
    if parent not in tables:
        yield Finding((*tenant_path, "parent"), f"no table {parent!r} in schema {schema}", parent, tuple(tables))
        return
    missing = [column for column in (via, TENANT_COLUMN) if column not in tables[parent].columns]
    if missing:
        yield Finding((*tenant_path, "parent"), f"{schema}.{parent} has no column {' and no '.join(missing)}")


def _unreadable_tenants(mapping: Mapping) -> Iterator[Finding]:
    """Modules that cannot read the parent table that records a table's tenant, and so would see no rows.

    All access targets in the mapping must exist.
    """
    for name, module in mapping.modules.items():
        if module.postgres.bypass_tenant_isolation:
            continue
        access = mapping.access.logins[name].tables
        for schema, table in access:
            rule = mapping.access.schemas[schema].tenant_rules.get(table)
            if rule is None or rule.parent is None:
                continue
            parent = access.get((schema, rule.parent), TableAccess())
            if not all(parent.may_select(column) for column in (rule.column, TENANT_COLUMN)):
                yield Finding(
                    ("modules", name, "postgres"),
                    f"{name} uses {schema}.{table}, whose tenant is recorded in {schema}.{rule.parent}; "
                    f"add {schema}.{rule.parent}({rule.column}, {TENANT_COLUMN}) to its reads",
                )
