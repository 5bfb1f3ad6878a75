"""Cross-checks of PostgreSQL's part: owners, targets, functions, and whose the rows of each table are."""

from collections.abc import Iterable, Iterator

from components.mapping.access import EXTENSIONS_SCHEMA, TENANT_COLUMN, TENANT_TYPE, TableAccess
from components.mapping.column_types import EXTENSION_TYPES, ColumnType, nearest, provided_by
from components.mapping.findings import Finding
from components.mapping.mapping import Mapping
from components.mapping.model import Schema, Table
from components.mapping.values import AccessTarget


def check(mapping: Mapping) -> list[Finding]:
    """All findings, in no order that matters."""
    first = [
        *_extensions(mapping),
        *_types(mapping),
        *_owners(mapping),
        *_postgres_targets(mapping),
        *_tenants(mapping),
    ]
    return [*first, *([] if first else _tenants_of_parents(mapping)), *_functions(mapping)]


def _extensions(mapping: Mapping) -> Iterator[Finding]:
    if mapping.postgres.extensions and EXTENSIONS_SCHEMA in mapping.postgres.schemas:
        message = f"schema {EXTENSIONS_SCHEMA!r} is where postgres.extensions are installed; choose another name"
        yield Finding(("postgres", "schemas", EXTENSIONS_SCHEMA), message)


def _types(mapping: Mapping) -> Iterator[Finding]:
    """Each type is PostgreSQL's, an extension's, or one that the schema's migrations make."""
    extensions = mapping.postgres.extensions
    for schema, definition in mapping.postgres.schemas.items():
        here = ("postgres", "schemas", schema)
        places: list[tuple[tuple[str | int, ...], ColumnType]] = [
            ((*here, "functions", name, "arguments", index), type_)
            for name, function in definition.functions.items()
            for index, type_ in enumerate(function.arguments)
        ]
        for kind, tables in (("tables", definition.tables), ("runtime_tables", definition.runtime_tables)):
            for name, table in tables.items():
                places += [((*here, kind, name, "columns", column), type_) for column, type_ in table.columns.items()]
        for path, type_ in places:
            if type_.schema not in (None, schema):
                message = (
                    f"{str(type_)!r} is a type of schema {type_.schema}; only types of {schema} itself can be used"
                )
                yield Finding(path, message)
            elif type_.schema is None and not type_.is_builtin and not provided_by(extensions, type_.name):
                yield Finding(path, f"unknown type {str(type_)!r}{_remedy(type_, schema)}")


def _remedy(type_: ColumnType, schema: str) -> str:
    owners = [extension for extension, types in EXTENSION_TYPES.items() if type_.name in types]
    if owners:
        return f"; add {owners[0]} to postgres.extensions"
    close = nearest(type_.name)
    if close:
        return f'; did you mean "{close}"?'
    return f"; write {schema}.{type_.name} for a type that the schema's migrations make"


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
                    path, f"schema {schema!r} has two owners: {owners[schema]} and {name}; one may only write"
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
        seen: list[AccessTarget] = []
        for verb, targets in (("writes", access.writes), ("reads", access.reads)):
            if verb == "reads":
                covered |= _whole_schemas(access.reads)
            for index, target in enumerate(targets):
                path = ("modules", name, "postgres", verb, index)
                if target.schema not in schemas:
                    yield Finding(path, f"no schema {target.schema!r}", target.schema, tuple(schemas))
                    continue
                whole = target.table is None
                if (target.schema in access.owns) or (not whole and target.schema in covered) or _covered(target, seen):
                    yield Finding(
                        path, f"{str(target)!r} is already covered by what {name} owns, writes or reads; remove it"
                    )
                    continue
                seen.append(target)
                if target.table is not None:
                    yield from _table_target(schemas[target.schema], verb, target, path)
        for index, schema in enumerate(access.search_path or ()):
            if schema not in schemas:
                path = ("modules", name, "postgres", "search_path", index)
                yield Finding(path, f"no schema {schema!r}", schema, tuple(schemas))


def _whole_schemas(targets: Iterable[AccessTarget]) -> set[str]:
    return {target.schema for target in targets if target.table is None}


def _covered(target: AccessTarget, others: list[AccessTarget]) -> bool:
    """Whether one of the others is the same schema, or the same table with no fewer columns."""
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
    """Each table assigns its rows to tenants in exactly one way, and its users may read the column that does."""
    for schema, definition in mapping.postgres.schemas.items():
        for kind, tables in (("tables", definition.tables), ("runtime_tables", definition.runtime_tables)):
            for name, table in tables.items():
                here = ("postgres", "schemas", schema, kind, name)
                yield from _tenant(mapping, schema, table, here)
    for name, module in mapping.modules.items():
        access = module.postgres
        if access.bypass_tenant_isolation and not access.schemas:
            path = ("modules", name, "postgres", "bypass_tenant_isolation")
            yield Finding(path, f"{name} uses no schema, so it sees no rows of any tenant; remove it")


def _tenant(mapping: Mapping, schema: str, table: Table, here: tuple[str, ...]) -> Iterator[Finding]:
    place = (*here, "tenant")
    if TENANT_COLUMN in table.columns:
        if table.tenant is not None:
            yield Finding(place, f"the table has {TENANT_COLUMN}, which assigns its rows to tenants; remove tenant")
        if table.columns[TENANT_COLUMN] != TENANT_TYPE:
            yield Finding((*here, "columns", TENANT_COLUMN), f"{TENANT_COLUMN} must be {TENANT_TYPE}")
        return
    if table.tenant is None:
        yield Finding(
            here,
            f"the table has no {TENANT_COLUMN}: assign its rows to tenants with tenant: {{via: COLUMN, parent: TABLE}}"
            " or tenant: {shared: REASON}",
        )
        return
    via, parent = table.tenant.via, table.tenant.parent
    if via is None or parent is None:
        return
    tables = mapping.postgres.schemas[schema].tables
    if via not in table.columns:
        yield Finding((*place, "via"), f"the table has no column {via!r}", via, tuple(table.columns))
    if parent not in tables:
        yield Finding((*place, "parent"), f"no table {parent!r} in schema {schema}", parent, tuple(tables))
        return
    missing = [column for column in (via, TENANT_COLUMN) if column not in tables[parent].columns]
    if missing:
        yield Finding((*place, "parent"), f"{schema}.{parent} has no column {' and no '.join(missing)}")
        return


def _tenants_of_parents(mapping: Mapping) -> Iterator[Finding]:
    """A module sees no rows of a table whose tenant is recorded in another table that it may not read.

    Needs a mapping whose targets exist.
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
                    f"{name} uses {schema}.{table}, whose tenant is recorded in {schema}.{rule.parent}: "
                    f"let it read {schema}.{rule.parent}({rule.column}, {TENANT_COLUMN})",
                )
