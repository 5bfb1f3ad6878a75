"""Compare roles: existence, attributes, settings, memberships, and what they own or hold privileges on elsewhere."""

import re

from components.mapping.roles import GroupRole, is_owner
from components.postgres.role_definitions import NO_LIMIT, RoleDefinition
from provider.difference import BY_UP, Difference
from provider.postgres.ownership import ALTER_KINDS
from tools.operations.drift_postgres.catalog import EXTRA, MISSING, OBJECT_MISSING, Catalog, Differences

# Column of pg_roles -> what it means for a role, the word that ends it.
_FORBIDDEN = {
    "rolsuper": ("is a superuser", "NOSUPERUSER"),
    "rolcreaterole": ("may create roles", "NOCREATEROLE"),
    "rolcreatedb": ("may create databases", "NOCREATEDB"),
    "rolreplication": ("may replicate", "NOREPLICATION"),
    "rolbypassrls": ("bypasses row-level security", "NOBYPASSRLS"),
}
_OF_REPLICATION = ("rolreplication", "rolbypassrls")
# Predefined roles whose members can read or change everything.
_POWERFUL = ("pg_read_all_data", "pg_write_all_data", "pg_read_server_files", "pg_write_server_files",
             "pg_execute_server_program")  # fmt: skip
_UNIT_MS = {"ms": 1, "s": 1000, "min": 60_000, "h": 3_600_000, "d": 86_400_000, "": 1}
# Kinds of objects in the mapping's schemas whose privileges ``privileges`` compares.
_COMPARED = ("table", "view", "materialized view", "foreign table", "sequence", "function", "procedure", "aggregate",
             "table column")  # fmt: skip
# Kind in pg_identify_object -> in GRANT, where they differ.
_KEYWORDS = {"parameter ACL": "PARAMETER", "view": "TABLE", "materialized view": "TABLE", "aggregate": "ROUTINE",
             "foreign table": "TABLE", "foreign-data wrapper": "FOREIGN DATA WRAPPER", "server": "FOREIGN SERVER",
             "procedure": "ROUTINE"}  # fmt: skip


def differences(catalog: Catalog) -> Differences:
    """Yield every difference."""
    yield from _attributes(catalog)
    yield from _surplus_backup_login(catalog)
    yield from _settings(catalog)
    yield from _memberships(catalog)
    yield from _holdings(catalog)
    yield from _strangers(catalog)


def _attributes(catalog: Catalog) -> Differences:
    found = catalog.rows(
        f"""SELECT rolname, rolcanlogin, rolinherit, rolconnlimit, nullif(rolvaliduntil, 'infinity')::text,
                   {", ".join(_FORBIDDEN)}
            FROM pg_catalog.pg_roles WHERE rolname = ANY (%(roles)s)"""
    )
    for role in sorted(catalog.roles.keys() - catalog.existing_roles):
        renamed = _renamed_owner(catalog, catalog.roles[role])
        sentence = f"role {role} does not exist: {OBJECT_MISSING}"
        if renamed:
            statement = f"ALTER ROLE {catalog.quote(renamed)} RENAME TO {catalog.quote(role)}"
            yield Difference(f"{sentence}; role {renamed} owns its schema", statement)
        else:
            yield Difference(sentence)
    for role, login, inherit, limit, until, *flags in found:
        definition = catalog.roles[role]
        yield from _flags(catalog, definition, dict(zip(_FORBIDDEN, flags, strict=True)))
        if login and not definition.login:
            yield Difference(f"role {role} may log in (LOGIN): {EXTRA}")
        if not login and definition.login:
            yield Difference(f"role {role} may not log in (NOLOGIN): {MISSING}")
        if not inherit:
            yield Difference(f"role {role} does not inherit privileges (NOINHERIT): the mapping needs INHERIT")
        wanted = definition.connection_limit
        if limit != wanted:
            yield Difference(
                f"role {role} may have {connections(limit)} (CONNECTION LIMIT): the mapping allows {connections(wanted)}"
            )
        if until is not None:
            yield Difference(f"role {role} may not log in after {until} (VALID UNTIL): {EXTRA}")


def _renamed_owner(catalog: Catalog, definition: RoleDefinition) -> str | None:
    """Return the role outside of the stack that owns the schema of a missing owner role: it is the same one under another
    name."""
    if not (isinstance(definition.role, GroupRole) and is_owner(definition.role)):
        return None
    rows = catalog.rows(
        """SELECT r.rolname FROM pg_catalog.pg_namespace n JOIN pg_catalog.pg_roles r ON r.oid = n.nspowner
           WHERE n.nspname = %(schema)s AND r.rolname <> ALL (%(roles)s) AND r.rolname <> %(admin)s AND NOT r.rolcanlogin
             AND r.rolname !~ '^pg_'""",
        schema=definition.role.schema,
    )
    return str(rows[0][0]) if rows else None


def _flags(catalog: Catalog, definition: RoleDefinition, flags: dict[str, bool]) -> Differences:
    for column, has in flags.items():
        words, ending = _FORBIDDEN[column]
        needs = bool(definition.replication) and column in _OF_REPLICATION
        if has and not needs:
            # Only a superuser may change these attributes of a role, so an admin that is none cannot run ``up``.
            remedy = BY_UP if catalog.is_superuser else f"ALTER ROLE {catalog.quote(definition.name)} {ending}"
            yield Difference(f"role {definition.name} {words}: {EXTRA}{catalog.by_superuser}", remedy)
        elif needs and not has:
            sentence = f"role {definition.name} has {ending}: backups need {ending.removeprefix('NO')}"
            yield Difference(sentence)


def connections(limit: int) -> str:
    """Return a connection limit as words."""
    return "any number of connections" if limit == NO_LIMIT else f"{limit} connection{'' if limit == 1 else 's'}"


def _surplus_backup_login(catalog: Catalog) -> Differences:
    """Find the login for backups on a stack without backups."""
    query = "SELECT FROM pg_catalog.pg_roles WHERE rolname = %(backup)s"
    if catalog.backup not in catalog.roles and catalog.rows(query, backup=catalog.backup):
        name = catalog.quote(catalog.backup)
        yield Difference(
            f"role {catalog.backup} exists, but the stack has no backups: {EXTRA}",
            f"DROP OWNED BY {name}; DROP ROLE {name}",
        )


def _settings(catalog: Catalog) -> Differences:
    rows = catalog.rows(
        """SELECT r.rolname, coalesce(d.datname, ''), pg_catalog.unnest(s.setconfig)
           FROM pg_catalog.pg_db_role_setting s JOIN pg_catalog.pg_roles r ON r.oid = s.setrole
           LEFT JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase
           WHERE r.rolname = ANY (%(roles)s)"""
    )
    found: dict[str, dict[str, str]] = {}
    for role, database, setting in rows:
        name, _, value = setting.partition("=")
        if database:
            yield Difference(
                f"role {role} has {setting} in database {database}: {EXTRA}",
                f"ALTER ROLE {catalog.quote(role)} IN DATABASE {catalog.quote(database)} RESET {_setting(catalog, name)}",
            )
        else:
            found.setdefault(role, {})[name] = value
    for role in sorted(catalog.existing_roles):
        has, wanted = found.get(role, {}), catalog.roles[role].settings
        for name, value in wanted.items():
            if name not in has:
                yield Difference(f"role {role} has no {name}: the mapping has {value}")
            elif _normal(name, has[name]) != _normal(name, value):
                yield Difference(f"role {role} has {name}={has[name]}: the mapping has {value}")
        for name in has.keys() - wanted.keys():
            yield Difference(
                f"role {role} has {name}={has[name]}: {EXTRA}",
                f"ALTER ROLE {catalog.quote(role)} RESET {_setting(catalog, name)}",
            )


def _setting(catalog: Catalog, name: str) -> str:
    return catalog.quote(*name.split("."))


def _normal(name: str, value: str) -> object:
    """Normalize a setting, so that two spellings of a value are equal."""
    if name == "search_path":
        return [part.strip().strip('"') for part in value.split(",")]
    match = re.fullmatch(r"(\d+)\s*([a-z]*)", value)
    return int(match[1]) * _UNIT_MS.get(match[2], 1) if match else value


def _memberships(catalog: Catalog) -> Differences:
    rows = catalog.rows(
        """SELECT g.rolname, m.rolname, pg_catalog.pg_get_userbyid(a.grantor)::text, a.grantor = 10,
                  a.admin_option, a.inherit_option, a.set_option
           FROM pg_catalog.pg_auth_members a JOIN pg_catalog.pg_roles g ON g.oid = a.roleid
           JOIN pg_catalog.pg_roles m ON m.oid = a.member
           WHERE (g.rolname = ANY (%(roles)s) OR m.rolname = ANY (%(roles)s)) AND m.rolname <> %(admin)s
           ORDER BY 1, 2, 3"""
    )
    wanted = {(group.name, definition.name) for definition in catalog.roles.values() for group in definition.member_of}
    found = {(group, member) for group, member, *_ in rows}
    for group, member in sorted(wanted - found):
        if {group, member} <= catalog.existing_roles:
            yield Difference(f"role {member} is not a member of {group}: {OBJECT_MISSING}")
    options = {(group, member): [False, False] for group, member in found}
    for group, member, _, _, _, inherit, can_set in rows:
        options[group, member][0] |= inherit
        options[group, member][1] |= can_set
    for group, member, grantor, by_bootstrap, admin, _, _ in rows:
        # PostgreSQL revokes only what this grantor granted.
        by = f" GRANTED BY {catalog.quote(grantor)}"
        names = f"{catalog.quote(group)} FROM {catalog.quote(member)}{by} CASCADE"
        if (group, member) not in wanted:
            sentence = f"role {member} is a member of {group}: {EXTRA}"
            granted_by_admin = grantor == catalog.admin or (by_bootstrap and catalog.is_superuser)
            # A run revokes memberships of the stack's own logins.
            by_up = member in catalog.roles and granted_by_admin and not admin
            yield Difference(sentence, BY_UP if by_up else f"REVOKE {names}")
        elif admin:
            sentence = f"role {member} may add members to {group} (ADMIN OPTION): {EXTRA}"
            yield Difference(sentence, f"REVOKE ADMIN OPTION FOR {names}")
    for (group, member), (inherits, can_set) in options.items():
        grant = f"GRANT {catalog.quote(group)} TO {catalog.quote(member)} WITH"
        if (group, member) in wanted and not inherits:
            sentence = (
                f"role {member} does not inherit the privileges of {group} (INHERIT FALSE): the mapping needs INHERIT"
            )
            yield Difference(sentence, f"{grant} INHERIT TRUE")
        if (group, member) in wanted and not can_set:
            yield Difference(f"role {member} may not SET ROLE {group} (SET FALSE): {MISSING}", f"{grant} SET TRUE")


def _holdings(catalog: Catalog) -> Differences:
    """Find objects outside the mapping's schemas that our roles own or hold privileges on.

    ``privileges`` compares privileges in the mapping's schemas and default privileges, ``check`` the owners there.
    """
    rows = catalog.rows(
        """SELECT r.rolname, d.deptype::text, coalesce(b.datname, ''), i.type, i.schema, i.identity,
                  CASE WHEN b.oid IS NULL OR b.datname = pg_catalog.current_database()
                    THEN pg_catalog.pg_describe_object(d.classid, d.objid, d.objsubid) END
           FROM pg_catalog.pg_shdepend d JOIN pg_catalog.pg_roles r ON r.oid = d.refobjid
           LEFT JOIN pg_catalog.pg_database b ON b.oid = d.dbid
           LEFT JOIN LATERAL pg_catalog.pg_identify_object(d.classid, d.objid, d.objsubid) i
             ON b.oid IS NULL OR b.datname = pg_catalog.current_database()
           WHERE d.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND d.deptype IN ('o', 'a')
             AND r.rolname = ANY (%(roles)s)
             AND d.classid <> ALL ('{pg_catalog.pg_default_acl, pg_catalog.pg_auth_members}'::pg_catalog.regclass[])"""
    )
    ours = {f"schema {schema}" for schema in (*catalog.schemas, "public", *catalog.extensions_schema)} | {
        f"database {catalog.database}"
    }
    for role, kind, database, type_, schema, identity, name in rows:
        does, holder = "owns" if kind == "o" else "holds privileges on", catalog.quote(role)
        if name is None:
            remedy = _release_elsewhere(catalog, holder, kind, database)
            yield Difference(f"role {role} {does} an object in database {database}: {EXTRA}", remedy)
            continue
        if (schema or identity).strip('"') in catalog.renamed_schemas.values():
            continue  # reported as a schema
        compared = kind == "o" or type_ in _COMPARED
        is_our_database = name == f"database {catalog.database}" and kind == "o"
        # The server quotes SQL keywords; no name in the mapping contains a quote.
        if not is_our_database and (name in ours or ((schema or "").strip('"') in catalog.schemas and compared)):
            continue
        yield Difference(f"role {role} {does} {name}: {EXTRA}", _release(catalog, holder, kind, type_, identity))


def _release_elsewhere(catalog: Catalog, holder: str, kind: str, database: str) -> str:
    """Return what releases the objects of a role in another database, and then returns to the stack's. ``holder`` is
    quoted."""
    if database.startswith(f"{catalog.database}_restored_"):
        return catalog.stack.command("restore", "--discard", database)
    release = f"DROP OWNED BY {holder}"
    if kind == "o":
        release = f"REASSIGN OWNED BY {holder} TO {catalog.quote(catalog.admin)}"
    # Without a backslash before it, psql would take the statement for a user's name.
    return f"\\connect {catalog.quote(database)} \\\\ {release}; \\connect {catalog.quote(catalog.database)}"


def _release(catalog: Catalog, holder: str, kind: str, type_: str, identity: str) -> str:
    """Return the statement that gives an object to the admin or revokes the role's privileges on it. ``holder`` is quoted."""
    if type_ == "user mapping":
        return f"DROP USER MAPPING IF EXISTS FOR {holder} SERVER {identity.partition(' on server ')[2]}"
    if kind == "o":
        keyword = ALTER_KINDS.get(type_, type_.upper())
        return f"ALTER {keyword} {identity} OWNER TO {catalog.quote(catalog.admin)}"
    if type_ == "table column":
        table, _, column = identity.rpartition(".")
        return f"REVOKE ALL ({column}) ON TABLE {table} FROM {holder} CASCADE"
    return f"REVOKE ALL ON {_KEYWORDS.get(type_, type_.upper())} {identity} FROM {holder} CASCADE"


def _strangers(catalog: Catalog) -> Differences:
    """Find roles outside of the stack that reach its data whatever is granted to them.

    Leaves out the role that initdb created, and the groups of the admin: on managed servers they belong to the provider.
    """
    rows = catalog.rows(
        """WITH RECURSIVE of_admin AS (
             SELECT oid FROM pg_catalog.pg_roles WHERE rolname = %(admin)s
             UNION SELECT m.roleid FROM pg_catalog.pg_auth_members m JOIN of_admin a ON a.oid = m.member)
           SELECT r.rolname, NULL, NULL FROM pg_catalog.pg_roles r WHERE r.rolsuper AND r.oid <> 10
             AND r.rolname <> ALL (%(known)s) AND r.oid NOT IN (SELECT oid FROM of_admin)
           UNION ALL
           SELECT r.rolname, g.rolname, pg_catalog.pg_get_userbyid(m.grantor) FROM pg_catalog.pg_auth_members m
           JOIN pg_catalog.pg_roles r ON r.oid = m.member JOIN pg_catalog.pg_roles g ON g.oid = m.roleid
           WHERE g.rolname = ANY (%(powerful)s) AND NOT r.rolsuper AND r.rolname <> ALL (%(known)s) AND r.rolname !~ '^pg_'
             AND r.oid NOT IN (SELECT oid FROM of_admin)""",
        powerful=list(_POWERFUL),
        known=[*catalog.roles, *catalog.stack.settings.postgres.trusted_roles],
    )
    for role, group, grantor in rows:
        name = catalog.quote(role)
        if group is None:
            sentence, remedy = f"role {role} is a superuser", f"ALTER ROLE {name} NOSUPERUSER"
        else:
            sentence = f"role {role} is a member of {group}"
            remedy = f"REVOKE {group} FROM {name} GRANTED BY {catalog.quote(grantor)} CASCADE"
        yield Difference(
            f"{sentence}, so it reaches the stack's data: not in the mapping, nor in postgres:trustedRoles{catalog.by_superuser}",
            remedy,
        )
