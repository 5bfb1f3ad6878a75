"""Compare access control lists of the database, schemas, tables, columns and functions.

A list that is NULL stands for PostgreSQL's defaults, which include PUBLIC's, hence ``acldefault``. Privileges of an
object's owner are not compared. Together with memberships (``roles``) these are all effective privileges.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator

from provider.postgres.relation_privileges import (
    PUBLIC,
    RelationPrivilege,
    current_privileges,
    expected_privileges,
    relations_of,
)
from provider.postgres.target import SchemaTarget
from tools.operations.drift_postgres.catalog import EXTRA, Catalog, Entry, compare, who

_GRANTEE = (
    "CASE WHEN a.grantee <> 0 THEN pg_catalog.pg_get_userbyid(a.grantee)::text END, a.privilege_type, a.is_grantable"
)
_NEW = {"r": "tables", "S": "sequences", "f": "functions", "T": "types", "n": "schemas", "L": "large objects"}


def differences(catalog: Catalog) -> Iterator[str]:
    """Yield a sentence for each difference."""
    yield from _database(catalog)
    yield from _schemas(catalog)
    yield from _relations(catalog)
    yield from _functions(catalog)
    yield from _defaults(catalog)
    yield from _system_objects(catalog)


def _database(catalog: Catalog) -> Iterator[str]:
    rows = catalog.rows(
        f"""SELECT {_GRANTEE} FROM pg_catalog.pg_database d,
              pg_catalog.aclexplode(coalesce(d.datacl, pg_catalog.acldefault('d', d.datdba))) a
            WHERE d.datname = pg_catalog.current_database() AND a.grantee <> d.datdba"""
    )
    where = f"on database {catalog.database}"
    yield from compare([Entry(where, *row) for row in rows], {where: {catalog.connect: {"CONNECT"}}})


def _schemas(catalog: Catalog) -> Iterator[str]:
    rows = catalog.rows(
        f"""SELECT n.nspname, {_GRANTEE} FROM pg_catalog.pg_namespace n,
              pg_catalog.aclexplode(coalesce(n.nspacl, pg_catalog.acldefault('n', n.nspowner))) a
            WHERE (n.nspname = ANY (%(schemas)s) OR n.nspname = ANY (%(others)s)) AND a.grantee <> n.nspowner""",
        others=["public", *catalog.extensions_schema],
    )
    found = [Entry(f"on schema {schema}", *rest) for schema, *rest in rows]
    wanted = {
        f"on schema {schema}": dict.fromkeys(catalog.wanted[schema].granted, ("USAGE",)) for schema in catalog.schemas
    }
    owners = (catalog.mapping.access.owner(schema) for schema in catalog.schemas)
    for schema in catalog.extensions_schema:
        wanted[f"on schema {schema}"] = dict.fromkeys((catalog.connect, *owners), ("USAGE",))
    yield from compare(found, wanted)


def _relations(catalog: Catalog) -> Iterator[str]:
    """Compare privileges on tables, views and sequences, and on columns."""
    for schema in sorted(catalog.schemas):
        target = SchemaTarget(schema, catalog.mapping.access.owner(schema))
        sequences = relations_of(catalog.connection, schema).sequences

        def where(item: RelationPrivilege, schema: str = schema, sequences: Collection[str] = sequences) -> str:
            name = f"{schema}.{item.relation}"
            if item.relation in sequences:
                return f"on sequence {name}"
            return f"{name}({item.column})" if item.column else name

        found = [
            Entry(where(item), None if item.role == PUBLIC else item.role, item.privilege, item.grantable)
            for item in sorted(current_privileges(catalog.connection, schema))
        ]
        wanted: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
        for item in expected_privileges(catalog.connection, target, catalog.wanted[schema].words):
            wanted[where(item)][item.role].add(item.privilege)
        yield from compare(found, wanted)


def _functions(catalog: Catalog) -> Iterator[str]:
    rows = catalog.rows(
        f"""SELECT n.nspname || '.' || p.proname || '(' || pg_catalog.oidvectortypes(p.proargtypes) || ')', {_GRANTEE}
            FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
            LEFT JOIN LATERAL pg_catalog.aclexplode(coalesce(p.proacl, pg_catalog.acldefault('f', p.proowner))) a
              ON a.grantee <> p.proowner
            WHERE n.nspname = ANY (%(schemas)s)"""
    )
    existing = {row[0] for row in rows}
    wanted = {
        f"{schema}.{name}": dict.fromkeys(map(catalog.mapping.access.login, modules), ("EXECUTE",))
        for schema in catalog.schemas
        for name, modules in catalog.wanted[schema].functions.items()
        if f"{schema}.{name}" in existing
    }
    yield from compare([Entry(*row) for row in rows if row[2] is not None], wanted)


def _defaults(catalog: Catalog) -> Iterator[str]:
    """Compare default privileges. The mapping has none; PostgreSQL grants EXECUTE on new functions to PUBLIC unless it is
    revoked for each owner."""
    rows = catalog.rows(
        f"""SELECT r.rolname, coalesce(n.nspname, ''), d.defaclobjtype::text, {_GRANTEE}
            FROM pg_catalog.pg_default_acl d JOIN pg_catalog.pg_roles r ON r.oid = d.defaclrole
            LEFT JOIN pg_catalog.pg_namespace n ON n.oid = d.defaclnamespace, pg_catalog.aclexplode(d.defaclacl) a
            WHERE a.grantee <> d.defaclrole AND (r.rolname = ANY (%(roles)s) OR n.nspname = ANY (%(schemas)s)
              OR pg_catalog.pg_get_userbyid(a.grantee) = ANY (%(roles)s))
            UNION ALL
            SELECT r.rolname, '', 'f', NULL, 'EXECUTE', false FROM pg_catalog.pg_roles r
            WHERE r.rolname = ANY (%(owners)s) AND NOT EXISTS (SELECT FROM pg_catalog.pg_default_acl d
              WHERE d.defaclrole = r.oid AND d.defaclnamespace = 0 AND d.defaclobjtype = 'f')""",
        owners=[catalog.mapping.access.owner(schema) for schema in catalog.mapping.postgres.schemas],
    )
    for owner, schema, kind, role, privilege, grantable in rows:
        where = f" in schema {schema}" if schema else ""
        option = " WITH GRANT OPTION" if grantable else ""
        yield f"default privileges of role {owner}{where} grant {privilege} on new {_NEW.get(kind, kind)} to {who(role)}{option}: {EXTRA}"


def _system_objects(catalog: Catalog) -> Iterator[str]:
    """Find privileges of PUBLIC on system tables and functions that initdb and extensions did not grant."""
    rows = catalog.rows(
        """SELECT pg_catalog.pg_describe_object(o.classid, o.oid, 0), a.privilege_type
           FROM (SELECT 'pg_catalog.pg_class'::pg_catalog.regclass, oid, relacl, relnamespace,
                        pg_catalog.acldefault('r', relowner) FROM pg_catalog.pg_class WHERE relacl IS NOT NULL
                 UNION ALL
                 SELECT 'pg_catalog.pg_proc'::pg_catalog.regclass, oid, proacl, pronamespace,
                        pg_catalog.acldefault('f', proowner) FROM pg_catalog.pg_proc WHERE proacl IS NOT NULL
                ) o (classid, oid, acl, namespace, usual)
           JOIN pg_catalog.pg_namespace n ON n.oid = o.namespace AND n.nspname = 'pg_catalog'
           LEFT JOIN pg_catalog.pg_init_privs i ON i.classoid = o.classid AND i.objoid = o.oid AND i.objsubid = 0,
           pg_catalog.aclexplode(o.acl) a
           WHERE a.grantee = 0 AND NOT EXISTS (SELECT FROM pg_catalog.aclexplode(coalesce(i.initprivs, o.usual)) u
             WHERE u.grantee = 0 AND u.privilege_type = a.privilege_type)"""
    )
    yield from (f"PUBLIC may {privilege} {name}: PostgreSQL does not grant it by default" for name, privilege in rows)
