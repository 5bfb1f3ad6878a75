"""Compare access control lists of the database, schemas, tables, columns, functions and types, and default privileges.

A list that is NULL stands for PostgreSQL's defaults, which include PUBLIC's, hence ``acldefault``. Privileges of an
object's owner are not compared. Together with memberships (``roles``) these are all effective privileges.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from provider.difference import BY_UP, Difference
from provider.postgres import public_access
from provider.postgres.relation_privileges import (
    PUBLIC,
    RelationPrivilege,
    current_privileges,
    expected_privileges,
    relations_of,
)
from provider.postgres.target import SchemaTarget
from tools.operations.drift_postgres.catalog import EXTRA, MISSING, Catalog, Differences, who

# Role (None is PUBLIC), privilege, GRANT OPTION, who granted it.
_GRANTEE = (
    "CASE WHEN a.grantee <> 0 THEN pg_catalog.pg_get_userbyid(a.grantee)::text END, a.privilege_type, a.is_grantable,"
    " pg_catalog.pg_get_userbyid(a.grantor)::text"
)
_NEW = {"r": "tables", "S": "sequences", "f": "functions", "T": "types", "n": "schemas", "L": "large objects"}


@dataclass(frozen=True)
class Entry:
    """One entry of an access control list.

    ``where`` names its object for a reader. ``target`` is the object as REVOKE has it, like ``SCHEMA vex``; empty if a run
    with ``--refresh`` corrects the list. ``grantor`` granted the entry; ``owner`` owns the object.
    """

    where: str
    role: str | None
    privilege: str
    grantable: bool
    grantor: str = ""
    owner: str = ""
    target: str = ""

    def revoke(self, catalog: Catalog, option: str = "") -> str:
        """Return the statement that revokes the privilege or, with ``option``, only the right to grant it to others."""
        if not self.target:
            return BY_UP
        cascade = " CASCADE" if self.grantable else ""
        statement = f"REVOKE {option}{self.privilege} ON {self.target} FROM {catalog.grantee(self.role)}{cascade}"
        if self.grantor == self.owner:
            return catalog.allowed_for(self.owner, statement)
        return catalog.as_role(self.grantor, statement)


def differences(catalog: Catalog) -> Differences:
    """Yield every difference."""
    yield from _database(catalog)
    yield from _schemas(catalog)
    yield from _relations(catalog)
    yield from _functions(catalog)
    yield from _types(catalog)
    yield from _defaults(catalog)
    yield from _system_objects(catalog)


def _by_up(grantable: bool, is_granted: bool, target: str) -> str:
    """Return the target of an entry: empty if a run corrects it, because it grants the role privileges on the object. A run
    leaves a GRANT OPTION."""
    return "" if is_granted and not grantable else target


def _compare(
    catalog: Catalog, found: Collection[Entry], wanted: Mapping[str, Mapping[str, Collection[str]]]
) -> Differences:
    """Yield each additional or missing privilege. ``wanted``: where -> role -> privileges; a run grants what is missing."""
    for entry in found:
        holder = who(entry.role)
        if entry.privilege not in wanted.get(entry.where, {}).get(entry.role or "", ()):
            yield Difference(f"{holder} may {entry.privilege} {entry.where}: {EXTRA}", entry.revoke(catalog))
        if entry.grantable:
            sentence = f"{holder} may grant {entry.privilege} {entry.where} to others (GRANT OPTION): {EXTRA}"
            yield Difference(sentence, entry.revoke(catalog, "GRANT OPTION FOR "))
    has = {(entry.where, entry.role, entry.privilege) for entry in found}
    for where, roles in wanted.items():
        for role, privileges in roles.items():
            for privilege in privileges:
                if (where, role, privilege) not in has:
                    yield Difference(f"role {role} may not {privilege} {where}: {MISSING}")


def _database(catalog: Catalog) -> Differences:
    rows = catalog.rows(
        f"""SELECT {_GRANTEE}, pg_catalog.pg_get_userbyid(d.datdba) FROM pg_catalog.pg_database d,
              pg_catalog.aclexplode(coalesce(d.datacl, pg_catalog.acldefault('d', d.datdba))) a
            WHERE d.datname = pg_catalog.current_database() AND a.grantee <> d.datdba"""
    )
    where, target = f"on database {catalog.database}", f"DATABASE {catalog.quote(catalog.database)}"
    # A run corrects the privileges of the roles that it grants any.
    found = [
        Entry(
            where,
            role,
            privilege,
            grantable,
            grantor,
            owner,
            _by_up(grantable, role in (None, catalog.connect), target),
        )
        for role, privilege, grantable, grantor, owner in rows
    ]
    yield from _compare(catalog, found, {where: {catalog.connect: {"CONNECT"}}})


def _schemas(catalog: Catalog) -> Differences:
    rows = catalog.rows(
        f"""SELECT n.nspname, 'SCHEMA ' || pg_catalog.quote_ident(n.nspname), {_GRANTEE}, pg_catalog.pg_get_userbyid(n.nspowner)
            FROM pg_catalog.pg_namespace n,
              pg_catalog.aclexplode(coalesce(n.nspacl, pg_catalog.acldefault('n', n.nspowner))) a
            WHERE (n.nspname = ANY (%(schemas)s) OR n.nspname = ANY (%(others)s)) AND a.grantee <> n.nspowner""",
        others=["public", *catalog.extensions_schema],
    )
    wanted: dict[str, dict[str, tuple[str, ...]]] = {
        f"on schema {schema}": dict.fromkeys(catalog.wanted[schema].granted, ("USAGE",)) for schema in catalog.schemas
    }
    owners = [catalog.mapping.access.owner(schema) for schema in catalog.schemas]
    for schema in catalog.extensions_schema:
        wanted[f"on schema {schema}"] = dict.fromkeys((catalog.connect, *owners), ("USAGE",))
    granted = {f"on schema {schema}": {PUBLIC.lower()} for schema in ("public",)}
    granted |= {where: set(roles) for where, roles in wanted.items()}
    found = []
    for schema, target, role, privilege, grantable, grantor, owner in rows:
        where = f"on schema {schema}"
        is_granted = (role or PUBLIC.lower()) in granted.get(where, ())
        entry = Entry(where, role, privilege, grantable, grantor, owner, _by_up(grantable, is_granted, target))
        found.append(entry)
    yield from _compare(catalog, found, wanted)


def _relations(catalog: Catalog) -> Differences:
    """Compare privileges on tables, views and sequences, and on columns. A run corrects all of them."""
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
        yield from _compare(catalog, found, wanted)


def _functions(catalog: Catalog) -> Differences:
    rows = catalog.rows(
        f"""SELECT n.nspname || '.' || p.proname || '(' || pg_catalog.oidvectortypes(p.proargtypes) || ')', {_GRANTEE},
              pg_catalog.pg_get_userbyid(p.proowner), 'ROUTINE ' || p.oid::pg_catalog.regprocedure
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
    found = [
        # A run revokes what PUBLIC has.
        Entry(where, role, privilege, grantable, grantor, owner, _by_up(grantable, role is None, target))
        for where, role, privilege, grantable, grantor, owner, target in rows
        if privilege is not None
    ]
    yield from _compare(catalog, found, wanted)


def _types(catalog: Catalog) -> Differences:
    for schema in sorted(catalog.schemas):
        target = SchemaTarget(schema, catalog.mapping.access.owner(schema))
        yield from map(Difference, public_access.drift(catalog.connection, target, kinds=("TYPE",)))


def _defaults(catalog: Catalog) -> Differences:
    """Compare default privileges. The mapping has none; PostgreSQL grants EXECUTE on new functions to PUBLIC unless it is
    revoked for each owner."""
    owners = [catalog.mapping.access.owner(schema) for schema in catalog.mapping.postgres.schemas]
    rows = catalog.rows(
        """SELECT r.rolname, coalesce(n.nspname, ''), d.defaclobjtype::text,
              CASE WHEN a.grantee <> 0 THEN pg_catalog.pg_get_userbyid(a.grantee)::text END, a.privilege_type, a.is_grantable
            FROM pg_catalog.pg_default_acl d JOIN pg_catalog.pg_roles r ON r.oid = d.defaclrole
            LEFT JOIN pg_catalog.pg_namespace n ON n.oid = d.defaclnamespace, pg_catalog.aclexplode(d.defaclacl) a
            WHERE a.grantee <> d.defaclrole AND (r.rolname = ANY (%(roles)s) OR n.nspname = ANY (%(schemas)s)
              OR pg_catalog.pg_get_userbyid(a.grantee) = ANY (%(roles)s))
            UNION ALL
            SELECT r.rolname, '', 'f', NULL, 'EXECUTE', false FROM pg_catalog.pg_roles r
            WHERE r.rolname = ANY (%(owners)s) AND NOT EXISTS (SELECT FROM pg_catalog.pg_default_acl d
              WHERE d.defaclrole = r.oid AND d.defaclnamespace = 0 AND d.defaclobjtype = 'f')""",
        owners=owners,
    )
    for owner, schema, kind, role, privilege, grantable in rows:
        where = f" in schema {schema}" if schema else ""
        option = " WITH GRANT OPTION" if grantable else ""
        yield Difference(
            f"default privileges of role {owner}{where} grant {privilege} on new {_NEW.get(kind, kind)} to {who(role)}"
            f"{option}: {EXTRA}",
            # A run corrects PUBLIC's privileges on the functions that the owner of a schema creates.
            BY_UP
            if (kind, role, schema) == ("f", None, "") and owner in owners
            else catalog.allowed_for(
                owner,
                f"ALTER DEFAULT PRIVILEGES FOR ROLE {catalog.quote(owner)}"
                f"{' IN SCHEMA ' + catalog.quote(schema) if schema else ''} REVOKE {privilege} ON"
                f" {_NEW.get(kind, kind).upper()} FROM {catalog.grantee(role)}",
            ),
        )


def _system_objects(catalog: Catalog) -> Differences:
    """Find privileges of PUBLIC that initdb and extensions did not grant: on system tables and functions, and on what
    belongs to no schema."""
    rows = catalog.rows(
        """WITH objects (classid, oid, acl, usual, keyword) AS (
             SELECT 'pg_catalog.pg_class'::pg_catalog.regclass, c.oid, c.relacl, pg_catalog.acldefault('r', c.relowner), 'TABLE'
             FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
             WHERE n.nspname = 'pg_catalog'
             UNION ALL
             SELECT 'pg_catalog.pg_proc'::pg_catalog.regclass, p.oid, p.proacl, pg_catalog.acldefault('f', p.proowner), 'ROUTINE'
             FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
             WHERE n.nspname = 'pg_catalog'
             UNION ALL
             SELECT 'pg_catalog.pg_language'::pg_catalog.regclass, oid, lanacl, pg_catalog.acldefault('l', lanowner), 'LANGUAGE'
             FROM pg_catalog.pg_language
             UNION ALL
             SELECT 'pg_catalog.pg_tablespace'::pg_catalog.regclass, oid, spcacl, pg_catalog.acldefault('t', spcowner),
               'TABLESPACE' FROM pg_catalog.pg_tablespace
             UNION ALL
             SELECT 'pg_catalog.pg_parameter_acl'::pg_catalog.regclass, oid, paracl,
               pg_catalog.acldefault('p', 10), 'PARAMETER'
             FROM pg_catalog.pg_parameter_acl
             UNION ALL
             SELECT 'pg_catalog.pg_foreign_data_wrapper'::pg_catalog.regclass, oid, fdwacl,
               pg_catalog.acldefault('F', fdwowner), 'FOREIGN DATA WRAPPER' FROM pg_catalog.pg_foreign_data_wrapper
             UNION ALL
             SELECT 'pg_catalog.pg_foreign_server'::pg_catalog.regclass, oid, srvacl, pg_catalog.acldefault('S', srvowner),
               'FOREIGN SERVER' FROM pg_catalog.pg_foreign_server
             UNION ALL
             SELECT 'pg_catalog.pg_largeobject'::pg_catalog.regclass, oid, lomacl, pg_catalog.acldefault('L', lomowner),
               'LARGE OBJECT' FROM pg_catalog.pg_largeobject_metadata)
           SELECT pg_catalog.pg_describe_object(o.classid, o.oid, 0), a.privilege_type,
             o.keyword || ' ' || (pg_catalog.pg_identify_object(o.classid, o.oid, 0)).identity
           FROM objects o
           LEFT JOIN pg_catalog.pg_init_privs i ON i.classoid = o.classid AND i.objoid = o.oid AND i.objsubid = 0,
           pg_catalog.aclexplode(o.acl) a
           WHERE a.grantee = 0 AND NOT EXISTS (SELECT FROM pg_catalog.aclexplode(coalesce(i.initprivs, o.usual)) u
             WHERE u.grantee = 0 AND u.privilege_type = a.privilege_type)"""
    )
    for name, privilege, target in rows:
        yield Difference(
            f"PUBLIC may {privilege} {name}: PostgreSQL does not grant it by default{catalog.by_superuser}",
            f"REVOKE {privilege} ON {target} FROM PUBLIC",
        )
