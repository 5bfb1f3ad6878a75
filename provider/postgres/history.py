"""``schema_migrations``: the table that records a schema's applied migrations."""

from psycopg import sql

from components.mapping.access import VERSION_TABLE
from provider.postgres.applied import Applied
from provider.postgres.migration_files import Migration
from provider.postgres.session import Connection, as_owner
from provider.postgres.target import SchemaTarget

_COLUMNS = """(
  version INTEGER PRIMARY KEY,
  description TEXT,
  applied_at TIMESTAMPTZ,
  checksum VARCHAR(64)
)"""

# Column -> type, as format_type prints it.
VERSION_COLUMNS = {
    "version": "integer",
    "description": "text",
    "applied_at": "timestamp with time zone",
    "checksum": "character varying(64)",
}


def has_schema(connection: Connection, schema: str) -> bool:
    query = "SELECT FROM pg_catalog.pg_namespace WHERE nspname = %s"
    return connection.execute(query, (schema,)).fetchone() is not None


def is_managed(connection: Connection, target: SchemaTarget) -> bool:
    """Whether both the schema and its owner role exist."""
    query = "SELECT FROM pg_catalog.pg_roles WHERE rolname = %s"
    return has_schema(connection, target.schema) and connection.execute(query, (target.owner,)).fetchone() is not None


def schema_owner(connection: Connection, schema: str) -> str:
    """Return the role that owns an existing schema."""
    query = "SELECT pg_catalog.pg_get_userbyid(nspowner) FROM pg_catalog.pg_namespace WHERE nspname = %s"
    row = connection.execute(query, (schema,)).fetchone()
    assert row is not None
    return str(row[0])


def version_table_owner(connection: Connection, schema: str) -> str | None:
    """Return the owner of the schema's ``schema_migrations``, or None if the table does not exist."""
    row = connection.execute(
        """SELECT pg_catalog.pg_get_userbyid(c.relowner) FROM pg_catalog.pg_class c
           JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = %s AND c.relname = %s""",
        (schema, VERSION_TABLE),
    ).fetchone()
    return str(row[0]) if row else None


def read_applied(connection: Connection, target: SchemaTarget) -> tuple[Applied, ...]:
    """Return the rows of ``schema_migrations`` by version, or no rows if the table does not exist yet."""
    with as_owner(connection, target, read_only=True):
        return applied_rows(connection, target.schema)


def applied_rows(connection: Connection, schema: str) -> tuple[Applied, ...]:
    """Like ``read_applied``, inside a transaction of the caller as a role that may read the table."""
    if version_table_owner(connection, schema) is None:
        return ()
    table = sql.Identifier(schema, VERSION_TABLE)
    query = sql.SQL("SELECT version, description, applied_at, checksum FROM {} ORDER BY version").format(table)
    return tuple(Applied(*row) for row in connection.execute(query).fetchall())


def create_version_table(connection: Connection, target: SchemaTarget) -> None:
    """Create ``schema_migrations`` if it does not exist. Call it in a transaction as the owner."""
    # IF NOT EXISTS would need CREATE on the schema and warn in every run.
    if version_table_owner(connection, target.schema) is not None:
        return
    table = sql.Identifier(target.schema, VERSION_TABLE)
    connection.execute(sql.SQL("CREATE TABLE {} {}").format(table, sql.SQL(_COLUMNS)))
    comment = sql.Literal("Migrations applied to this schema; the migration runner writes it.")
    connection.execute(sql.SQL("COMMENT ON TABLE {} IS {}").format(table, comment))


def record(connection: Connection, target: SchemaTarget, migration: Migration) -> None:
    """Add the migration's row. Call it in a transaction as the owner."""
    insert = sql.SQL(
        "INSERT INTO {} (version, description, applied_at, checksum) VALUES (%s, %s, pg_catalog.now(), %s)"
    ).format(sql.Identifier(target.schema, VERSION_TABLE))
    connection.execute(insert, (migration.version, migration.description, migration.checksum))
