"""Check that everything in a schema belongs to its owner role.

Default privileges apply to objects that their role creates. Readers cannot read an object that another role created,
and the owner role cannot change it.
"""

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
_ALTER_KINDS = {"statistics object": "STATISTICS"}


def foreign_objects(connection: Connection, target: SchemaTarget) -> list[tuple[str, str]]:
    """Return (object, its owner) for everything that does not belong to the owner role, sorted.

    Includes the schema itself, but not members of extensions, which belong to the role that installed the extension.
    """
    queries: list[sql.Composable] = [
        sql.SQL(
            "SELECT pg_catalog.pg_describe_object({catalog}, o.oid, 0), pg_catalog.pg_get_userbyid(o.{owner})"
            " FROM pg_catalog.{name} o JOIN pg_catalog.pg_namespace n ON n.oid = o.{namespace}"
            " WHERE n.nspname = %(schema)s AND o.{owner} <> %(owner)s::pg_catalog.text::pg_catalog.regrole"
            " AND {condition} AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d"
            " WHERE d.classid = {catalog} AND d.objid = o.oid AND d.deptype = 'e')"
        ).format(**_catalog_names(catalog, owner, namespace, condition))
        for catalog, owner, namespace, condition in _CATALOGS
    ]
    queries.append(
        sql.SQL(
            "SELECT 'schema ' || n.nspname, pg_catalog.pg_get_userbyid(n.nspowner) FROM pg_catalog.pg_namespace n"
            " WHERE n.nspname = %(schema)s AND n.nspowner <> %(owner)s::pg_catalog.text::pg_catalog.regrole"
        )
    )
    query = sql.SQL(" UNION ALL ").join(queries)
    parameters = {"schema": target.schema, "owner": sql.Identifier(target.owner).as_string(connection)}
    return sorted((str(row[0]), str(row[1])) for row in connection.execute(query, parameters))


def owner_statements(connection: Connection, target: SchemaTarget, owner: str) -> list[sql.Composed]:
    """Return statements that give every object of ``owner`` in the schema to the target's owner.

    Call it in the transaction that runs them. Sequences of columns are left out: they follow their table.
    """
    queries = [
        sql.SQL(
            "SELECT k.type, k.identity FROM pg_catalog.{name} o JOIN pg_catalog.pg_namespace n ON n.oid = o.{namespace},"
            " LATERAL pg_catalog.pg_identify_object({catalog}, o.oid, 0) k"
            " WHERE n.nspname = %(schema)s AND o.{owner} = %(owner)s::pg_catalog.regrole AND {condition}"
            " AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = {catalog} AND d.objid = o.oid"
            " AND d.deptype IN ('e', 'a', 'i') AND (d.deptype = 'e' OR {sequence}))"
        ).format(
            sequence=sql.SQL("o.relkind = 'S'" if catalog == "pg_class" else "false"),
            **_catalog_names(catalog, owner_column, namespace, condition),
        )
        for catalog, owner_column, namespace, condition in _CATALOGS
    ]
    query = sql.SQL(" UNION ALL ").join(queries)
    parameters = {"schema": target.schema, "owner": sql.Identifier(owner).as_string(connection)}
    rows = connection.execute(query, parameters).fetchall()
    # The server returns the identity quoted.
    return [
        sql.SQL("ALTER {} {} OWNER TO {}").format(
            sql.SQL(_ALTER_KINDS.get(kind, str(kind))), sql.SQL(identity), sql.Identifier(target.owner)
        )
        for kind, identity in ((str(row[0]), str(row[1])) for row in rows)
    ]


def _catalog_names(catalog: str, owner: str, namespace: str, condition: str) -> dict[str, sql.Composable]:
    return {
        "catalog": sql.SQL("'pg_catalog.{}'::pg_catalog.regclass").format(sql.SQL(catalog)),
        "name": sql.SQL(catalog),
        "owner": sql.SQL(owner),
        "namespace": sql.SQL(namespace),
        "condition": sql.SQL(condition),
    }


def ownership_problems(connection: Connection, target: SchemaTarget) -> list[MigrationProblem]:
    """Return a problem for each object that does not belong to the owner role."""
    remedy = f"give it to {target.owner} with ALTER ... OWNER TO {target.owner}, or drop it"
    return [
        MigrationProblem(target.schema, None, f"{name} belongs to {owner}, not to {target.owner}", remedy)
        for name, owner in foreign_objects(connection, target)
    ]
