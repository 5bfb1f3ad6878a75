"""Compare schemas, tables, columns and functions with the mapping."""

from collections.abc import Iterator

from components.mapping.access import EXTENSIONS_SCHEMA, VERSION_TABLE
from components.mapping.model import Table
from provider.postgres.run_time_tables import pattern_of
from provider.postgres.tables import read_columns
from tools.operations.drift_postgres.catalog import EXTRA, OBJECT_MISSING, Catalog

_KINDS = {"r": "table", "p": "table", "v": "view", "m": "materialized view", "f": "foreign table"}
_VIEWS = ("v", "m")
_NOT_OF_EXTENSION = """NOT EXISTS (SELECT FROM pg_catalog.pg_depend e
    WHERE e.classid = 'pg_catalog.{catalog}'::pg_catalog.regclass AND e.objid = {alias}.oid AND e.deptype = 'e')"""


def differences(catalog: Catalog) -> Iterator[str]:
    """Yield a sentence for each difference."""
    yield from _schemas(catalog)
    yield from _extensions(catalog)
    yield from _relations(catalog)
    yield from _functions(catalog)
    yield from _foreign_keys(catalog)
    yield from _event_triggers(catalog)


def _own(catalog: str, alias: str) -> str:
    return _NOT_OF_EXTENSION.format(catalog=catalog, alias=alias)


def _schemas(catalog: Catalog) -> Iterator[str]:
    for schema in sorted(catalog.mapping.postgres.schemas.keys() - catalog.schemas):
        yield f"schema {schema} does not exist: {OBJECT_MISSING}"
    rows = catalog.rows(
        f"""SELECT nspname FROM pg_catalog.pg_namespace n WHERE nspname <> ALL (%(schemas)s)
              AND nspname <> ALL (%(known)s) AND nspname !~ '^pg_' AND {_own("pg_namespace", "n")}""",
        known=["public", "information_schema", *catalog.extensions_schema],
    )
    yield from (f"schema {row[0]}: {EXTRA}" for row in rows)


def _extensions(catalog: Catalog) -> Iterator[str]:
    rows = catalog.rows(
        """SELECT e.extname, n.nspname FROM pg_catalog.pg_extension e
           JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace WHERE e.extname <> 'plpgsql'"""
    )
    installed = {str(name): str(schema) for name, schema in rows}
    wanted = catalog.mapping.postgres.extensions
    yield from (f"extension {name} is not installed: {OBJECT_MISSING}" for name in wanted if name not in installed)
    for name, schema in installed.items():
        if name not in wanted:
            yield f"extension {name}: {EXTRA}"
        elif schema not in (EXTENSIONS_SCHEMA, "pg_catalog"):
            yield f"extension {name} is in schema {schema}: the mapping has it in schema {EXTENSIONS_SCHEMA}"


def _relations(catalog: Catalog) -> Iterator[str]:
    rows = catalog.rows(
        f"""SELECT n.nspname, c.relname, c.relkind::text, c.relpersistence::text,
                   EXISTS (SELECT FROM pg_catalog.pg_inherits i WHERE i.inhrelid = c.oid)
            FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
            WHERE (n.nspname = ANY (%(schemas)s) OR n.nspname = 'public')
              AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND {_own("pg_class", "c")}"""
    )
    columns = {
        (schema, table): found
        for schema in catalog.schemas
        for table, found in read_columns(catalog.connection, schema).items()
    }
    seen = set()
    for schema, name, kind, persistence, is_child in rows:
        table = _definition(catalog, schema, name)
        if (table is None and name != VERSION_TABLE) or schema == "public":
            # A partition belongs to its table, and ``migrated`` compares views.
            if not is_child and kind not in _VIEWS:
                yield f"{_KINDS[kind]} {schema}.{name}: {EXTRA}"
            continue
        seen.add((schema, name))
        if _KINDS[kind] != "table":
            yield f"{schema}.{name} is a {_KINDS[kind]}: the mapping has a table"
            continue
        if persistence != "p":
            yield f"table {schema}.{name} is UNLOGGED (a crash empties it): {EXTRA}"
        if table is not None:
            yield from _compare_columns(f"{schema}.{name}", columns.get((schema, name), {}), table)
    for schema in catalog.schemas:
        for name in (*catalog.mapping.postgres.schemas[schema].tables, VERSION_TABLE):
            if (schema, name) not in seen:
                yield f"table {schema}.{name} does not exist: {OBJECT_MISSING}"


def _definition(catalog: Catalog, schema: str, name: str) -> Table | None:
    """Return the mapping's definition of a table, which may be one that is created at run time."""
    if schema not in catalog.mapping.postgres.schemas:
        return None
    definition = catalog.mapping.postgres.schemas[schema]
    pattern = pattern_of(definition.runtime_tables, name)
    return definition.tables.get(name) or (definition.runtime_tables[pattern] if pattern else None)


def _compare_columns(where: str, found: dict[str, str], table: Table) -> Iterator[str]:
    for column, type_ in table.columns.items():
        if column not in found:
            yield f"column {where}.{column} does not exist: {OBJECT_MISSING}"
        elif found[column] != type_.canonical:
            yield f"column {where}.{column} is {found[column]}: the mapping has {type_.canonical}"
    yield from (f"column {where}.{column}: {EXTRA}" for column in found if column not in table.columns)


def _functions(catalog: Catalog) -> Iterator[str]:
    rows = catalog.rows(
        """SELECT n.nspname, p.proname || '(' || pg_catalog.oidvectortypes(p.proargtypes) || ')'
           FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
           WHERE n.nspname = ANY (%(schemas)s)"""
    )
    wanted = {(schema, name) for schema in catalog.schemas for name in catalog.wanted[schema].functions}
    yield from (f"function {schema}.{name} does not exist: {OBJECT_MISSING}" for schema, name in wanted - set(rows))


def _foreign_keys(catalog: Catalog) -> Iterator[str]:
    """Find foreign keys that are not enforced."""
    rows = catalog.rows(
        """SELECT DISTINCT n.nspname, c.relname, k.conname FROM pg_catalog.pg_trigger t
           JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
           JOIN pg_catalog.pg_constraint k ON k.oid = t.tgconstraint
           WHERE n.nspname = ANY (%(schemas)s) AND t.tgisinternal AND t.tgenabled = 'D'"""
    )
    for schema, table, constraint in rows:
        yield f"foreign key {constraint} is not enforced on {schema}.{table}: its trigger is disabled"


def _event_triggers(catalog: Catalog) -> Iterator[str]:
    query = f"SELECT evtname FROM pg_catalog.pg_event_trigger v WHERE {_own('pg_event_trigger', 'v')}"
    yield from (f"event trigger {row[0]}: {EXTRA}" for row in catalog.rows(query))
