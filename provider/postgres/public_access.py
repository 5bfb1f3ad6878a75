"""Nothing in a schema is everybody's: what PUBLIC has on an object, by default or by a grant, is taken away.

Default privileges see to functions that are made from now on; this sees to what is there already.
"""

from psycopg import sql

from provider.postgres.problems import MigrationError, MigrationProblem
from provider.postgres.session import Connection
from provider.postgres.target import SchemaTarget

# Kind, as REVOKE names it; name as SQL needs it; privilege. Of what the owner owns: the rest is said by ``ownership``.
# Row types are out of reach without their table.
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


def _open_objects(connection: Connection, target: SchemaTarget) -> list[tuple[str, str, str]]:
    parameters = {"schema": target.schema, "owner": target.owner}
    query = _OBJECTS.replace("%I", "%%I").replace("(%s)", "(%%s)")
    return [(kind, name, what) for kind, name, what in connection.execute(query.encode(), parameters)]


def drift(connection: Connection, target: SchemaTarget) -> list[str]:
    """What PUBLIC may do in the schema, a sentence each, sorted. Reads the catalog only."""
    found = _open_objects(connection, target)
    return sorted(f"PUBLIC may {what} on {kind.lower()} {name}: not in the mapping" for kind, name, what in found)


def reconcile(connection: Connection, target: SchemaTarget) -> list[str]:
    """Take it away; call it in a transaction as the owner. Returns what it did.

    Raises ``MigrationError`` for what is left: a role that was given the right to grant has granted it, and a REVOKE by
    anybody else does nothing.
    """
    done = []
    for kind, name in dict.fromkeys((kind, name) for kind, name, _ in _open_objects(connection, target)):
        # The name comes quoted from the server. Privileges on columns go with those on the table.
        connection.execute(sql.SQL("REVOKE ALL ON {} {} FROM PUBLIC").format(sql.SQL(kind), sql.SQL(name)))
        done.append(f"revoked what PUBLIC had on {kind.lower()} {name}")
    left = _open_objects(connection, target)
    if left:
        todo = "take the GRANT OPTION away from who granted it, with CASCADE; psql's \\dp and \\df+ show who that is"
        what = (f"PUBLIC may {privilege} on {kind.lower()} {name}" for kind, name, privilege in left)
        raise MigrationError(*(MigrationProblem(target.schema, None, text, todo) for text in what))
    return done
