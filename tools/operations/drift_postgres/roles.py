"""Compare roles: existence, attributes, settings, memberships, and what they own or hold privileges on."""

import re
from collections.abc import Iterator

from tools.operations.drift_postgres.catalog import EXTRA, MISSING, OBJECT_MISSING, Catalog

NO_LIMIT = -1
_FORBIDDEN = {
    "rolsuper": "is a superuser",
    "rolcreaterole": "may create roles",
    "rolcreatedb": "may create databases",
    "rolreplication": "may replicate",
    "rolbypassrls": "bypasses row-level security",
}
_UNIT_MS = {"ms": 1, "s": 1000, "min": 60_000, "h": 3_600_000, "d": 86_400_000, "": 1}
# Settings of the whole database that change what a session may do or read; others are tuning.
_SESSION_SETTINGS = ("session_replication_role", "row_security", "search_path", "role", "app.tenant_id")


def differences(catalog: Catalog) -> Iterator[str]:
    """Yield a sentence for each difference."""
    yield from _attributes(catalog)
    yield from _settings(catalog)
    yield from _memberships(catalog)
    yield from _holdings(catalog)


def _attributes(catalog: Catalog) -> Iterator[str]:
    found = catalog.rows(
        f"""SELECT rolname, rolcanlogin, rolinherit, rolconnlimit, nullif(rolvaliduntil, 'infinity')::text,
                   {", ".join(_FORBIDDEN)}
            FROM pg_catalog.pg_roles WHERE rolname = ANY (%(roles)s)"""
    )
    access = catalog.mapping.access
    logins = {access.login(module): login for module, login in access.logins.items()}
    for role in sorted(catalog.managed - {row[0] for row in found}):
        yield f"role {role} does not exist: {OBJECT_MISSING}"
    for role, login, inherit, limit, until, *flags in found:
        yield from (
            f"role {role} {words}: {EXTRA}" for words, flag in zip(_FORBIDDEN.values(), flags, strict=True) if flag
        )
        is_group = role in catalog.roles.groups
        if login and is_group:
            yield f"role {role} may log in: {EXTRA}"
        if not login and not is_group:
            yield f"role {role} may not log in: {MISSING}"
        if not inherit:
            yield f"role {role} does not inherit privileges (NOINHERIT): the mapping needs INHERIT"
        wanted = NO_LIMIT if is_group else logins[role].limits.connection_limit
        if limit != wanted:
            yield f"role {role} may have {_connections(limit)}: the mapping allows {_connections(wanted)}"
        if until is not None:
            yield f"role {role} may not log in after {until} (VALID UNTIL): {EXTRA}"


def _connections(limit: int) -> str:
    return "any number of connections" if limit == NO_LIMIT else f"{limit} connections"


def _settings(catalog: Catalog) -> Iterator[str]:
    rows = catalog.rows(
        """SELECT coalesce(r.rolname, ''), coalesce(d.datname, ''), pg_catalog.unnest(s.setconfig)
           FROM pg_catalog.pg_db_role_setting s LEFT JOIN pg_catalog.pg_roles r ON r.oid = s.setrole
           LEFT JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase
           WHERE r.rolname = ANY (%(roles)s) OR (s.setrole = 0 AND d.datname = pg_catalog.current_database())"""
    )
    found: dict[tuple[str, str], str] = {}
    for role, database, setting in rows:
        name, _, value = setting.partition("=")
        if role and not database:
            found[role, name] = value
        elif role:
            yield f"role {role} has {setting} in database {database}: {EXTRA}"
        elif name in _SESSION_SETTINGS:
            yield f"database {database} has {setting}: {EXTRA}"
    existing = {
        row[0] for row in catalog.rows("SELECT rolname FROM pg_catalog.pg_roles WHERE rolname = ANY (%(roles)s)")
    }
    for module, login in catalog.mapping.access.logins.items():
        role, limits = catalog.mapping.access.login(module), login.limits
        if role not in existing:
            continue
        wanted = {
            "search_path": ", ".join(limits.search_path),
            "statement_timeout": str(limits.statement_timeout),
            "idle_in_transaction_session_timeout": str(limits.idle_in_transaction_timeout),
        }
        for name, value in wanted.items():
            has = found.pop((role, name), None)
            if has is None:
                yield f"role {role} has no {name}: the mapping has {value}"
            elif _normal(name, has) != _normal(name, value):
                yield f"role {role} has {name}={has}: the mapping has {value}"
    yield from (f"role {role} has {name}={value}: {EXTRA}" for (role, name), value in found.items())


def _normal(name: str, value: str) -> object:
    """Normalize a setting, so that two spellings of a value are equal."""
    if name == "search_path":
        return [part.strip().strip('"') for part in value.split(",")]
    match = re.fullmatch(r"(\d+)\s*([a-z]*)", value)
    return int(match[1]) * _UNIT_MS.get(match[2], 1) if match else value


def _memberships(catalog: Catalog) -> Iterator[str]:
    rows = catalog.rows(
        """SELECT g.rolname, m.rolname, pg_catalog.bool_or(a.admin_option), pg_catalog.bool_or(a.inherit_option),
                  pg_catalog.bool_or(a.set_option)
           FROM pg_catalog.pg_auth_members a JOIN pg_catalog.pg_roles g ON g.oid = a.roleid
           JOIN pg_catalog.pg_roles m ON m.oid = a.member
           WHERE (g.rolname = ANY (%(roles)s) OR m.rolname = ANY (%(roles)s)) AND m.rolname <> %(admin)s
           GROUP BY 1, 2""",
        admin=catalog.admin,
    )
    found = {(group, member): options for group, member, *options in rows}
    access, connect = catalog.mapping.access, catalog.connect
    wanted = {
        (group, access.login(module))
        for module, login in access.logins.items()
        for group in (connect, *(role.name for role in login.member_of))
    }
    # The backup login is a member of every reader group.
    readers = {connect, *(access.reader(schema) for schema in catalog.mapping.postgres.schemas)}
    wanted |= {(group, member) for group, member in found if member == catalog.backup and group in readers}
    existing = {
        row[0] for row in catalog.rows("SELECT rolname FROM pg_catalog.pg_roles WHERE rolname = ANY (%(roles)s)")
    }
    for group, member in sorted(wanted - found.keys()):
        if {group, member} <= existing:
            yield f"role {member} is not a member of {group}: {OBJECT_MISSING}"
    for (group, member), (admin, inherit, can_set) in found.items():
        if (group, member) not in wanted:
            yield f"role {member} is a member of {group}: {EXTRA}"
            continue
        if not inherit:
            yield f"role {member} does not inherit the privileges of {group}: the mapping needs INHERIT"
        if not can_set:
            yield f"role {member} may not SET ROLE {group}: {MISSING}"
        if admin:
            yield f"role {member} may add members to {group} (ADMIN OPTION): {EXTRA}"


def _holdings(catalog: Catalog) -> Iterator[str]:
    """Find objects outside the mapping's schemas that our roles own or hold privileges on.

    ``privileges`` compares privileges in the mapping's schemas, ``check`` the owners there.
    """
    rows = catalog.rows(
        """SELECT r.rolname, d.deptype::text, coalesce(b.datname, ''), i.type, i.schema,
                  CASE WHEN b.oid IS NULL OR b.datname = pg_catalog.current_database()
                    THEN pg_catalog.pg_describe_object(d.classid, d.objid, d.objsubid) END
           FROM pg_catalog.pg_shdepend d JOIN pg_catalog.pg_roles r ON r.oid = d.refobjid
           LEFT JOIN pg_catalog.pg_database b ON b.oid = d.dbid
           LEFT JOIN LATERAL pg_catalog.pg_identify_object(d.classid, d.objid, d.objsubid) i
             ON b.oid IS NULL OR b.datname = pg_catalog.current_database()
           WHERE d.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND d.deptype IN ('o', 'a')
             AND r.rolname = ANY (%(roles)s)
             AND d.classid <> 'pg_catalog.pg_default_acl'::pg_catalog.regclass"""
    )
    ours = {f"schema {schema}" for schema in (*catalog.schemas, "public", *catalog.extensions_schema)} | {
        f"database {catalog.database}"
    }
    for role, kind, database, type_, schema, name in rows:
        does = "owns" if kind == "o" else "holds privileges on"
        if name is None:
            yield f"role {role} {does} an object in database {database}: {EXTRA}"
            continue
        compared = kind == "o" or type_ in ("table", "view", "materialized view", "foreign table", "sequence", "function",
                                            "procedure", "aggregate", "table column")  # fmt: skip
        # The server quotes SQL keywords; no name in the mapping contains a quote.
        if name == f"database {catalog.database}" and kind == "o":
            yield f"role {role} owns {name}: {EXTRA}; run: ALTER DATABASE {catalog.database} OWNER TO {catalog.admin}"
            continue
        if name in ours or ((schema or "").strip('"') in catalog.schemas and compared):
            continue
        yield f"role {role} {does} {name}: {EXTRA}"
