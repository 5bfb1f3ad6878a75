"""Nothing in a schema is everybody's: what PUBLIC has on an object, by default or by a grant, is taken away.

Default privileges see to functions that are made from now on; this sees to what is there already.
"""

from psycopg import sql

from components.postgres.session import Connection, Target

# Kind, as REVOKE names it -> the objects: name as SQL needs it, privilege. Row types are out of reach without their table.
_OBJECTS = """
  SELECT 'ROUTINE', pg_catalog.format('%I.%I(%s)', n.nspname, p.proname, pg_catalog.pg_get_function_identity_arguments(p.oid)),
         a.privilege_type
  FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace,
       pg_catalog.aclexplode(coalesce(p.proacl, pg_catalog.acldefault('f', p.proowner))) a
  WHERE n.nspname = %(schema)s AND a.grantee = 0
UNION ALL
  SELECT CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, pg_catalog.format('%I.%I', n.nspname, c.relname),
         a.privilege_type
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace,
       pg_catalog.aclexplode(c.relacl) a
  WHERE n.nspname = %(schema)s AND a.grantee = 0 AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
UNION ALL
  SELECT 'TABLE', pg_catalog.format('%I.%I', n.nspname, c.relname), a.privilege_type || ' of column ' || t.attname
  FROM pg_catalog.pg_attribute t JOIN pg_catalog.pg_class c ON c.oid = t.attrelid
       JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace, pg_catalog.aclexplode(t.attacl) a
  WHERE n.nspname = %(schema)s AND a.grantee = 0 AND NOT t.attisdropped
UNION ALL
  SELECT 'TYPE', pg_catalog.format('%I.%I', n.nspname, t.typname), a.privilege_type
  FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace,
       pg_catalog.aclexplode(coalesce(t.typacl, pg_catalog.acldefault('T', t.typowner))) a
  WHERE n.nspname = %(schema)s AND a.grantee = 0 AND t.typelem = 0 AND (t.typrelid = 0 OR EXISTS (
    SELECT FROM pg_catalog.pg_class c WHERE c.oid = t.typrelid AND c.relkind = 'c'))
ORDER BY 1, 2, 3
"""


def _open_objects(connection: Connection, schema: str) -> list[tuple[str, str, str]]:
    query = _OBJECTS.replace("%I", "%%I").replace("(%s)", "(%%s)")
    return [(kind, name, what) for kind, name, what in connection.execute(query.encode(), {"schema": schema})]


def drift(connection: Connection, schema: str) -> list[str]:
    """What PUBLIC may do in the schema, a sentence each, sorted. Reads the catalog only."""
    found = _open_objects(connection, schema)
    return sorted(f"PUBLIC may {what} on {kind.lower()} {name}: not in the mapping" for kind, name, what in found)


def reconcile(connection: Connection, target: Target) -> list[str]:
    """Take it away; call it in a transaction as the owner. Returns what it did."""
    done = []
    for kind, name in dict.fromkeys((kind, name) for kind, name, _ in _open_objects(connection, target.schema)):
        # The name comes quoted from the server. Privileges on columns go with those on the table.
        connection.execute(sql.SQL("REVOKE ALL ON {} {} FROM PUBLIC").format(sql.SQL(kind), sql.SQL(name)))
        done.append(f"revoked what PUBLIC had on {kind.lower()} {name}")
    return done
