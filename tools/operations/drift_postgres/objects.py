"""Compare schemas, tables, columns and functions with the mapping."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from components.mapping.access import VERSION_TABLE
from components.mapping.model import Table
from provider.difference import Difference
from provider.postgres.history import VERSION_COLUMNS, has_schema
from provider.postgres.object_definitions import column_definition, create_table
from provider.postgres.run_time_tables import pattern_of
from provider.postgres.tables import read_columns
from tools.operations.drift_postgres.catalog import EXTRA, OBJECT_MISSING, PUBLIC_SCHEMA, Catalog, Differences, own
from tools.operations.drift_postgres.record import RecordedSchema

_KINDS = {"r": "table", "p": "table", "v": "view", "m": "materialized view", "f": "foreign table"}
_VIEWS = ("v", "m")
_LOST = "its rows are only in backups (docs/backups.md)"


@dataclass(frozen=True)
class _Found:
    """A relation in the catalog; ``parents`` have it as a partition or by INHERITS, quoted."""

    schema: str
    name: str
    kind: str
    persistence: str
    is_partition: bool
    parents: tuple[str, ...]
    owner: str
    columns: Mapping[str, str] = field(default_factory=dict, hash=False)

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}"


def differences(catalog: Catalog, recorded: Mapping[str, RecordedSchema]) -> Differences:
    """Yield every difference. ``recorded``: schema -> what its migrations made, empty without a state."""
    yield from _schemas(catalog)
    yield from _relations(catalog, recorded)
    if not recorded:  # a record has every function
        yield from _functions(catalog)
    yield from _foreign_keys(catalog)
    yield from _invalid_indexes(catalog)


def _schemas(catalog: Catalog) -> Differences:
    renamed = catalog.renamed_schemas
    for schema in sorted(catalog.mapping.postgres.schemas.keys() - catalog.schemas):
        sentence = f"schema {schema} does not exist: {OBJECT_MISSING}"
        if schema in renamed:
            yield Difference(f"{sentence}; schema {renamed[schema]} is its owner's", _rename_schema(catalog, schema))
        else:
            yield Difference(f"{sentence}; {_LOST}")
    if not has_schema(catalog.connection, PUBLIC_SCHEMA):
        create = f"CREATE SCHEMA {PUBLIC_SCHEMA} AUTHORIZATION pg_database_owner"
        remedy = _rename_schema(catalog, PUBLIC_SCHEMA) if PUBLIC_SCHEMA in renamed else create
        yield Difference(f"schema {PUBLIC_SCHEMA} does not exist, but every PostgreSQL database has it", remedy)
    back = {extra: schema for schema, extra in renamed.items()}
    for schema, owner, relations in catalog.extra_schemas:
        tables = f" (with tables or views: {relations})" if relations else ""
        drop = f"DROP SCHEMA {catalog.quote(schema)}{' CASCADE' if relations else ''}"
        remedy = _rename_schema(catalog, back[schema]) if schema in back else catalog.allowed_for(owner, drop)
        yield Difference(f"schema {schema}{tables}: {EXTRA}", remedy)


def _rename_schema(catalog: Catalog, schema: str) -> str:
    """Return the statement that gives a schema its name again."""
    return f"ALTER SCHEMA {catalog.quote(catalog.renamed_schemas[schema])} RENAME TO {catalog.quote(schema)}"


def _relations(catalog: Catalog, recorded: Mapping[str, RecordedSchema]) -> Differences:
    found = _read_relations(catalog)
    extra: dict[str, list[_Found]] = {}
    seen = set()
    for relation in found:
        table = _definition(catalog, relation.schema, relation.name)
        if relation.schema == "public" or (table is None and relation.name != VERSION_TABLE):
            record = recorded.get(relation.schema)
            made_by_migration = relation.is_partition or (record is not None and record.has(relation.name))
            # A partition or another child belongs to its table, and ``migrated`` compares views.
            if relation.kind not in _VIEWS and not (relation.parents and (made_by_migration or record is None)):
                extra.setdefault(relation.schema, []).append(relation)
            continue
        seen.add((relation.schema, relation.name))
        yield from _compare_relation(catalog, relation, table, recorded.get(relation.schema))
    renamed = {}
    for schema in sorted(catalog.schemas):
        for name in (*catalog.mapping.postgres.schemas[schema].tables, VERSION_TABLE):
            if (schema, name) not in seen:
                old = _renamed(catalog, schema, name, extra.get(schema, []))
                difference = _missing_table(catalog, schema, name, recorded.get(schema), old)
                if old:
                    renamed[old] = difference.remedy
                yield difference
    for relation in (relation for relations in extra.values() for relation in relations):
        drop = f"DROP {_KINDS[relation.kind].upper()} {catalog.quote(relation.schema, relation.name)}"
        child = f" (inherits from {', '.join(relation.parents)})" if relation.parents else ""
        remedy = renamed.get(relation) or catalog.allowed_for(relation.owner, drop)
        yield Difference(f"{_KINDS[relation.kind]} {relation}{child}: {EXTRA}", remedy)


def _read_relations(catalog: Catalog) -> list[_Found]:
    rows = catalog.rows(
        f"""SELECT n.nspname, c.relname, c.relkind::text, c.relpersistence::text, c.relispartition,
                   ARRAY(SELECT i.inhparent::pg_catalog.regclass::text FROM pg_catalog.pg_inherits i WHERE i.inhrelid = c.oid),
                   pg_catalog.pg_get_userbyid(c.relowner)
            FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
            WHERE (n.nspname = ANY (%(schemas)s) OR n.nspname = 'public')
              AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND {own("pg_class", "c")}"""
    )
    columns = {
        (schema, table): found
        for schema in catalog.schemas
        for table, found in read_columns(catalog.connection, schema).items()
    }
    return [
        _Found(schema, name, kind, persistence, is_partition, tuple(parents), owner, columns.get((schema, name), {}))
        for schema, name, kind, persistence, is_partition, parents, owner in rows
    ]


def _compare_relation(
    catalog: Catalog, relation: _Found, table: Table | None, record: RecordedSchema | None
) -> Differences:
    name = catalog.quote(relation.schema, relation.name)
    kind = _KINDS[relation.kind]
    if kind != "table":
        drop = catalog.allowed_for(relation.owner, f"DROP {kind.upper()} {name}")
        yield Difference(f"{relation} is a {kind}: the mapping has a table; {_LOST}", drop)
        return
    if relation.persistence != "p":
        logged = catalog.allowed_for(relation.owner, f"ALTER TABLE {name} SET LOGGED")
        yield Difference(f"table {relation} is UNLOGGED (a crash empties it): {EXTRA}", logged)
    is_named = table is not None and relation.name in catalog.mapping.postgres.schemas[relation.schema].tables
    if relation.parents and (is_named or table is None):
        # Its columns are compared once it has no parent.
        for parent in relation.parents:
            statement = (
                f"ALTER TABLE {parent} DETACH PARTITION {name}"
                if relation.is_partition
                else f"ALTER TABLE {name} NO INHERIT {parent}"
            )
            yield Difference(
                f"table {relation} is a child of {parent}, which shows its rows: {EXTRA}",
                catalog.allowed_for(relation.owner, statement),
            )
    elif not relation.parents:
        columns = {name: type_.canonical for name, type_ in table.columns.items()} if table else VERSION_COLUMNS
        yield from _compare_columns(catalog, relation, columns, record)


def _definition(catalog: Catalog, schema: str, name: str) -> Table | None:
    """Return the mapping's definition of a table, which may be one that is created at run time."""
    if schema not in catalog.mapping.postgres.schemas:
        return None
    definition = catalog.mapping.postgres.schemas[schema]
    pattern = pattern_of(definition.runtime_tables, name)
    return definition.tables.get(name) or (definition.runtime_tables[pattern] if pattern else None)


def _renamed(catalog: Catalog, schema: str, name: str, candidates: list[_Found]) -> _Found | None:
    """Return the only additional table with exactly the columns of the missing one, which then was renamed."""
    table = catalog.mapping.postgres.schemas[schema].tables.get(name)
    if table is None:
        return None
    columns = {column: type_.canonical for column, type_ in table.columns.items()}
    alike = [found for found in candidates if _KINDS[found.kind] == "table" and found.columns == columns]
    return alike[0] if len(alike) == 1 else None


def _missing_table(
    catalog: Catalog, schema: str, name: str, record: RecordedSchema | None, renamed: _Found | None
) -> Difference:
    sentence = f"table {schema}.{name} does not exist: {OBJECT_MISSING}"
    if renamed:
        old = catalog.quote(schema, renamed.name)
        rename = catalog.allowed_for(renamed.owner, f"ALTER TABLE {old} RENAME TO {catalog.quote(name)}")
        return Difference(f"{sentence}; {renamed} has its columns", rename)
    if name == VERSION_TABLE:
        return Difference(sentence, catalog.stack.command("migrations", "baseline", "--schema", schema))
    objects = record.objects_of(name) if record else {}
    if not objects:
        return Difference(f"{sentence}; {_LOST}", catalog.stack.command("restore", "--dump"))
    columns = catalog.mapping.postgres.schemas[schema].tables[name].columns
    types = {column: type_.canonical for column, type_ in columns.items()}
    create = catalog.as_role(catalog.mapping.access.owner(schema), *create_table(objects, types))
    return Difference(f"{sentence}; {_LOST}, and this creates it empty", create)


def _compare_columns(
    catalog: Catalog, relation: _Found, wanted: Mapping[str, str], record: RecordedSchema | None
) -> Differences:
    found = relation.columns
    name = catalog.quote(relation.schema, relation.name)
    missing, extra = [c for c in wanted if c not in found], [c for c in found if c not in wanted]

    def alter(*parts: str) -> str:
        return catalog.allowed_for(relation.owner, f"ALTER TABLE {name} {' '.join(parts)}")

    # A missing and an additional column of the same type, and no other of it: it was renamed.
    renamed = {}
    for column in missing:
        alike = [other for other in extra if found[other] == wanted[column]]
        if len(alike) == 1 and sum(wanted[other] == wanted[column] for other in missing) == 1:
            renamed[column] = alike[0]
    for column in missing:
        sentence = f"column {relation}.{column} does not exist: {OBJECT_MISSING}"
        quoted = catalog.quote(column)
        if column in renamed:
            yield Difference(sentence, alter("RENAME", catalog.quote(renamed[column]), "TO", quoted))
            continue
        statement = record.objects_of(relation.name).get(f"column {name}.{quoted}") if record else None
        definition = column_definition(statement, wanted[column]) if statement else f"{quoted} {wanted[column]}"
        yield Difference(f"{sentence}; its values are only in backups (docs/backups.md)", alter("ADD", definition))
    for column in wanted.keys() & found.keys():
        if found[column] != wanted[column]:
            yield Difference(
                f"column {relation}.{column} is {found[column]}: the mapping has {wanted[column]}",
                alter("ALTER", (quoted := catalog.quote(column)), "TYPE", wanted[column], "USING",
                      f"{quoted}::{wanted[column]}"),
            )  # fmt: skip
    back = {old: new for new, old in renamed.items()}
    for column in extra:
        quoted = catalog.quote(column)
        remedy = alter("RENAME", quoted, "TO", catalog.quote(back[column])) if column in back else alter("DROP", quoted)
        yield Difference(f"column {relation}.{column}: {EXTRA}", remedy)


def _functions(catalog: Catalog) -> Differences:
    rows = catalog.rows(
        """SELECT n.nspname, p.proname || '(' || pg_catalog.oidvectortypes(p.proargtypes) || ')'
           FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
           WHERE n.nspname = ANY (%(schemas)s)"""
    )
    wanted = {(schema, name) for schema in catalog.schemas for name in catalog.wanted[schema].functions}
    for schema, name in wanted - set(rows):
        restore = catalog.stack.command("restore", "--dump")
        yield Difference(f"function {schema}.{name} does not exist: {OBJECT_MISSING}", restore)


def _foreign_keys(catalog: Catalog) -> Differences:
    """Find foreign keys that are not enforced because their triggers do not fire."""
    rows = catalog.rows(
        """SELECT n.nspname, c.relname, k.conname, pg_catalog.string_agg(pg_catalog.format(
             'ALTER TABLE %%s ENABLE TRIGGER %%I', c.oid::pg_catalog.regclass, t.tgname), '; ' ORDER BY t.tgname)
           FROM pg_catalog.pg_trigger t
           JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
           JOIN pg_catalog.pg_constraint k ON k.oid = t.tgconstraint
           WHERE n.nspname = ANY (%(schemas)s) AND t.tgisinternal AND t.tgenabled IN ('D', 'R')
           GROUP BY 1, 2, 3"""
    )
    for schema, table, constraint, statements in rows:
        yield Difference(
            f"foreign key {constraint} is not enforced on {schema}.{table}: its trigger is disabled{catalog.by_superuser}",
            statements,
        )


def _invalid_indexes(catalog: Catalog) -> Differences:
    """Find indexes that PostgreSQL does not use. Leaves out those of partitioned tables: one may wait for its partitions."""
    rows = catalog.rows(
        """SELECT n.nspname, c.relname, pg_catalog.pg_get_userbyid(c.relowner) FROM pg_catalog.pg_index i
           JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
           WHERE n.nspname = ANY (%(schemas)s) AND NOT (i.indisvalid AND i.indisready AND i.indislive) AND c.relkind = 'i'"""
    )
    for schema, index, owner in rows:
        name = catalog.quote(schema, index)
        yield Difference(
            f"index {schema}.{index} is invalid, as after a failed CREATE INDEX CONCURRENTLY: no query uses it",
            catalog.allowed_for(owner, f"REINDEX INDEX {name}"),
        )
