"""Revoke every privilege that PUBLIC has on an object of a schema, by default or by a grant.

Default privileges cover functions that are created later; this module covers the objects that exist.
"""

from collections.abc import Collection

from psycopg import sql

from provider.postgres.problems import MigrationError, MigrationProblem
from provider.postgres.session import Connection
from provider.postgres.target import SchemaTarget

# Kind as REVOKE names it, quoted name, privilege; only for objects of the owner: ``ownership`` reports the others.
# Row types are left out: nobody can use them without their table.
_OBJECTS = """
  SELECT 'ROUTINE', pg_catalog.format('%I.%I(%s)', n.nspname, p.proname, pg_catalog.pg_get_function_identity_arguments(p.oid)),
         a.privilege_type
  FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace,
       pg_catalog.aclexplode(coalesce(p.proacl, pg_catalog.acldefault('f', p.proowner))) a
  WHERE n.nspname = %(schema)s AND a.grantee = 0 AND pg_catalog.pg_get_userbyid(p.proowner) = %(owner)s
UNION ALL
  SELECT CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, pg_catalog.format('%I.%I', n.nspname, c.relname),
         a.privilege_type
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace,
       pg_catalog.aclexplode(c.relacl) a
  WHERE n.nspname = %(schema)s AND a.grantee = 0 AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
    AND pg_catalog.pg_get_userbyid(c.relowner) = %(owner)s
UNION ALL
  SELECT 'TABLE', pg_catalog.format('%I.%I', n.nspname, c.relname), a.privilege_type || ' of column ' || t.attname
  FROM pg_catalog.pg_attribute t JOIN pg_catalog.pg_class c ON c.oid = t.attrelid
       JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace, pg_catalog.aclexplode(t.attacl) a
  WHERE n.nspname = %(schema)s AND a.grantee = 0 AND NOT t.attisdropped
    AND pg_catalog.pg_get_userbyid(c.relowner) = %(owner)s
UNION ALL
  SELECT 'TYPE', pg_catalog.format('%I.%I', n.nspname, t.typname), a.privilege_type
  FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace,
       pg_catalog.aclexplode(coalesce(t.typacl, pg_catalog.acldefault('T', t.typowner))) a
  WHERE n.nspname = %(schema)s AND a.grantee = 0 AND pg_catalog.pg_get_userbyid(t.typowner) = %(owner)s
    AND t.typelem = 0 AND (t.typrelid = 0 OR EXISTS (
      SELECT FROM pg_catalog.pg_class c WHERE c.oid = t.typrelid AND c.relkind = 'c'))
ORDER BY 1, 2, 3
"""


def _public_privileges(connection: Connection, target: SchemaTarget) -> list[tuple[str, str, str]]:
    parameters = {"schema": target.schema, "owner": target.owner}
    query = _OBJECTS.replace("%I", "%%I").replace("(%s)", "(%%s)")
    return [(kind, name, privilege) for kind, name, privilege in connection.execute(query.encode(), parameters)]


def drift(
    connection: Connection, target: SchemaTarget, kinds: Collection[str] = ("ROUTINE", "SEQUENCE", "TABLE", "TYPE")
) -> list[str]:
    """Return a sentence for each privilege of PUBLIC on objects of these kinds, sorted. Reads only the catalog."""
    return sorted(
        f"PUBLIC may {privilege} on {kind.lower()} {name}: not in the mapping"
        for kind, name, privilege in _public_privileges(connection, target)
        if kind in kinds
    )


def reconcile(connection: Connection, target: SchemaTarget) -> list[str]:
    """Revoke the privileges of PUBLIC; return a sentence for each object. Call it in a transaction as the owner.

    Raises ``MigrationError`` for a privilege that remains: a role with GRANT OPTION granted it, and only that role can
    revoke it.
    """
    changes = []
    for kind, name in dict.fromkeys((kind, name) for kind, name, _ in _public_privileges(connection, target)):
        # The server returns the name quoted. REVOKE on a table also revokes privileges on its columns.
        connection.execute(sql.SQL("REVOKE ALL ON {} {} FROM PUBLIC").format(sql.SQL(kind), sql.SQL(name)))
        changes.append(f"revoked the privileges of PUBLIC on {kind.lower()} {name}")
    remaining = _public_privileges(connection, target)
    if remaining:
        remedy = "find the role that granted it (psql: \\dp, \\df+) and revoke its GRANT OPTION with CASCADE"
        messages = (f"PUBLIC may {privilege} on {kind.lower()} {name}" for kind, name, privilege in remaining)
        raise MigrationError(*(MigrationProblem(target.schema, None, message, remedy) for message in messages))
    return changes
