"""Check that everything in a schema belongs to its owner role.

Default privileges apply to objects that their role creates. Readers cannot read an object that another role created,
and the owner role cannot change it.
"""

from dataclasses import dataclass

from psycopg import sql

from provider.postgres.problems import MigrationProblem
from provider.postgres.session import Connection
from provider.postgres.target import SchemaTarget

# Catalog, owner, namespace, condition. Indexes, toast tables, row types and array types follow their table.
_CATALOGS = (
    ("pg_class", "relowner", "relnamespace", "o.relkind IN ('r', 'p', 'v', 'm', 'S', 'f')"),
    (
        "pg_type",
        "typowner",
        "typnamespace",
        """o.typelem = 0 AND (o.typrelid = 0 OR EXISTS (
             SELECT FROM pg_catalog.pg_class c WHERE c.oid = o.typrelid AND c.relkind = 'c'))""",
    ),
    ("pg_proc", "proowner", "pronamespace", "true"),
    ("pg_operator", "oprowner", "oprnamespace", "true"),
    ("pg_opclass", "opcowner", "opcnamespace", "true"),
    ("pg_opfamily", "opfowner", "opfnamespace", "true"),
    ("pg_collation", "collowner", "collnamespace", "true"),
    ("pg_conversion", "conowner", "connamespace", "true"),
    ("pg_statistic_ext", "stxowner", "stxnamespace", "true"),
    ("pg_ts_config", "cfgowner", "cfgnamespace", "true"),
    ("pg_ts_dict", "dictowner", "dictnamespace", "true"),
)

# Kinds that pg_identify_object and ALTER name differently.
ALTER_KINDS = {"statistics object": "STATISTICS", "foreign-data wrapper": "FOREIGN DATA WRAPPER"}


@dataclass(frozen=True, order=True)
class ForeignObject:
    """An object of the schema, or the schema itself, that belongs to another role than its owner role. ``statement`` gives
    it to the owner role; it is empty for a column's sequence, which follows its table."""

    name: str
    owner: str
    statement: str


def foreign_objects(connection: Connection, target: SchemaTarget) -> list[ForeignObject]:
    """Return everything that does not belong to the owner role, sorted.

    Leaves out members of extensions, which belong to the role that installed the extension.
    """
    queries: list[sql.Composable] = [
        sql.SQL(
            "SELECT pg_catalog.pg_describe_object({catalog}, o.oid, 0), pg_catalog.pg_get_userbyid(o.{owner}),"
            " k.type, k.identity, {sequence} AND EXISTS (SELECT FROM pg_catalog.pg_depend c WHERE c.classid = {catalog}"
            " AND c.objid = o.oid AND c.deptype IN ('a', 'i'))"
            " FROM pg_catalog.{name} o JOIN pg_catalog.pg_namespace n ON n.oid = o.{namespace},"
            " LATERAL pg_catalog.pg_identify_object({catalog}, o.oid, 0) k"
            " WHERE n.nspname = %(schema)s AND o.{owner} <> %(owner)s::pg_catalog.text::pg_catalog.regrole"
            " AND {condition} AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d"
            " WHERE d.classid = {catalog} AND d.objid = o.oid AND d.deptype = 'e')"
        ).format(
            sequence=sql.SQL("o.relkind = 'S'" if catalog == "pg_class" else "false"),
            **_catalog_names(catalog, owner_column, namespace, condition),
        )
        for catalog, owner_column, namespace, condition in _CATALOGS
    ]
    queries.append(
        sql.SQL(
            "SELECT 'schema ' || n.nspname, pg_catalog.pg_get_userbyid(n.nspowner), 'schema',"
            " pg_catalog.quote_ident(n.nspname), false FROM pg_catalog.pg_namespace n"
            " WHERE n.nspname = %(schema)s AND n.nspowner <> %(owner)s::pg_catalog.text::pg_catalog.regrole"
        )
    )
    query = sql.SQL(" UNION ALL ").join(queries)
    parameters = {"schema": target.schema, "owner": sql.Identifier(target.owner).as_string(connection)}
    found = []
    for name, role, kind, identity, follows_table in connection.execute(query, parameters):
        # The server returns the identity quoted.
        alter = sql.SQL("ALTER {} {} OWNER TO {}").format(
            sql.SQL(ALTER_KINDS.get(str(kind), str(kind).upper())),
            sql.SQL(str(identity)),
            sql.Identifier(target.owner),
        )
        found.append(ForeignObject(str(name), str(role), "" if follows_table else alter.as_string(connection)))
    return sorted(found)


def _catalog_names(catalog: str, owner: str, namespace: str, condition: str) -> dict[str, sql.Composable]:
    return {
        "catalog": sql.SQL("'pg_catalog.{}'::pg_catalog.regclass").format(sql.SQL(catalog)),
        "name": sql.SQL(catalog),
        "owner": sql.SQL(owner),
        "namespace": sql.SQL(namespace),
        "condition": sql.SQL(condition),
    }


def ownership_problems(connection: Connection, target: SchemaTarget) -> list[MigrationProblem]:
    """Return a problem with the remedy for each object that does not belong to the owner role."""
    return [
        MigrationProblem(
            target.schema,
            None,
            f"{item.name} belongs to {item.owner}, not to {target.owner}",
            f"as {item.owner} or a superuser, run: {item.statement}" if item.statement else "it follows its table",
        )
        for item in foreign_objects(connection, target)
    ]
