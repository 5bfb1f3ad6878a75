"""Targets of a Grant: the objects in the catalog, their owners, and the SQL that names them."""

from typing import Any

from psycopg import sql

from provider.errors import ProviderError
from tools.offline_plugins.postgresql.privileges import GRANTED
from tools.offline_plugins.postgresql.session import Session

# Tables, partitioned tables, views, materialized views, foreign tables: GRANT calls all of them tables.
_RELATION_KINDS = {"table": "rpvmf", "column": "rpvmf", "sequence": "S"}
_ROUTINE_KINDS = {"function": "faw", "procedure": "p", "routine": "fawp"}


def current_privileges(session: Session, inputs: dict[str, Any], grantee: int) -> dict[str, set[str]]:
    """Return object name -> the grantee's privileges on it; a named object that is missing has none.

    For a Grant on columns: column name -> the Grant's privilege, if the grantee has it on that column.
    """
    type_ = inputs["objectType"]
    if type_ == "database":
        query = f"SELECT datname::text, {GRANTED.format(acl='datacl', kind='d', owner='datdba')} FROM pg_database WHERE datname = %s"
        rows = session.rows(query, grantee, inputs["database"])
    elif type_ == "schema":
        query = f"SELECT nspname::text, {GRANTED.format(acl='nspacl', kind='n', owner='nspowner')} FROM pg_namespace WHERE nspname = %s"
        rows = session.rows(query, grantee, inputs["schema"])
    elif type_ == "column":
        return _current_on_columns(session, inputs, grantee)
    elif type_ in _ROUTINE_KINDS:
        query = f"SELECT oid::text, {GRANTED.format(acl='proacl', kind='f', owner='proowner')} FROM pg_proc WHERE oid = ANY(%s)"
        names = {str(oid): name for oid, name in _routines(session, inputs).items()}
        missing = {name: set[str]() for name in inputs.get("objects") or [] if name not in names.values()}
        rows = session.rows(query, grantee, [int(oid) for oid in names])
        return missing | {names[oid]: set(words) for oid, words in rows}
    else:
        kind = "s" if type_ == "sequence" else "r"
        query = f"""SELECT relname::text, {GRANTED.format(acl="relacl", kind=kind, owner="relowner")} FROM pg_class
            WHERE relnamespace = %s AND relkind = ANY(%s) AND (%s OR relname = ANY(%s))"""
        objects = list(inputs.get("objects") or [])
        kinds = list(_RELATION_KINDS[type_])
        rows = session.rows(query, grantee, session.schema_oid(inputs["schema"]), kinds, not objects, objects)
        return {name: set[str]() for name in objects} | {name: set(words) for name, words in rows}
    return {name: set(words) for name, words in rows}


def _current_on_columns(session: Session, inputs: dict[str, Any], grantee: int) -> dict[str, set[str]]:
    query = """SELECT attname::text, ARRAY(SELECT privilege_type::text FROM aclexplode(attacl)
            WHERE grantee = %s AND privilege_type = ANY(%s))
        FROM pg_attribute JOIN pg_class c ON c.oid = attrelid
        WHERE relnamespace = %s AND relname = %s AND attname = ANY(%s) AND NOT attisdropped"""
    table = inputs["objects"][0]
    schema = session.schema_oid(inputs["schema"])
    rows = session.rows(query, grantee, list(inputs["privileges"]), schema, table, list(inputs["columns"]))
    return {name: set(words) for name, words in rows}


def present(session: Session, inputs: dict[str, Any]) -> dict[str, Any]:
    """Return ``inputs`` with only those objects and columns that still exist."""
    objects = list(inputs.get("objects") or [])
    if not objects:
        return inputs
    schema = session.schema_oid(inputs["schema"])
    if inputs["objectType"] in _ROUTINE_KINDS:
        return {**inputs, "objects": list(_routines(session, inputs).values())}
    query = "SELECT relname::text FROM pg_class WHERE relnamespace = %s AND relkind = ANY(%s) AND relname = ANY(%s)"
    rows = session.rows(query, schema, list(_RELATION_KINDS[inputs["objectType"]]), objects)
    remaining = {**inputs, "objects": [name for (name,) in rows]}
    if inputs["objectType"] == "column" and rows:
        query = """SELECT attname::text FROM pg_attribute JOIN pg_class c ON c.oid = attrelid
            WHERE relnamespace = %s AND relname = %s AND attname = ANY(%s) AND NOT attisdropped"""
        columns = session.rows(query, schema, objects[0], list(inputs["columns"]))
        remaining["columns"] = [name for (name,) in columns]
        remaining["objects"] = remaining["objects"] if columns else []
    return remaining


def owners(session: Session, inputs: dict[str, Any]) -> list[str]:
    """Return the roles whose privileges a GRANT needs: the owners of the schema and of its objects."""
    if inputs["objectType"] == "database":
        return [str(session.database_owner())]
    query = "SELECT pg_get_userbyid(nspowner)::text FROM pg_namespace WHERE nspname = %s"
    if inputs["objectType"] == "schema":
        return [name for (name,) in session.rows(query, inputs["schema"])]
    query += """ UNION SELECT pg_get_userbyid(relowner)::text FROM pg_class WHERE relnamespace = (
        SELECT oid FROM pg_namespace WHERE nspname = %s) AND relkind = ANY('{r,p,v,m,f,S}')"""
    query += " UNION SELECT pg_get_userbyid(proowner)::text FROM pg_proc WHERE oid = ANY(%s)"
    routines = list(_routines(session, inputs)) if inputs["objectType"] in _ROUTINE_KINDS else []
    return [name for (name,) in session.rows(query, inputs["schema"], inputs["schema"], routines)]


def clause(session: Session, inputs: dict[str, Any]) -> sql.Composable:
    """Return the part of GRANT or REVOKE after ON."""
    type_, schema = inputs["objectType"], inputs.get("schema") or ""
    if type_ in {"database", "schema"}:
        return sql.SQL("{} {}").format(sql.SQL(type_.upper()), sql.Identifier(inputs[type_]))
    keyword = "TABLE" if type_ == "column" else type_.upper()
    objects = inputs.get("objects")
    if not objects:
        plural = sql.SQL(f"ALL {keyword}S IN SCHEMA {{}}")
        return plural.format(sql.Identifier(schema))
    if type_ in _ROUTINE_KINDS:
        names: list[sql.Composable] = _signatures(session, inputs)
    else:
        names = [sql.Identifier(schema, name) for name in sorted(objects)]
    return sql.SQL("{} {}").format(sql.SQL(keyword), sql.SQL(", ").join(names))


def _routines(session: Session, inputs: dict[str, Any]) -> dict[int, str]:
    """Return OID -> name in the program, ``f`` or ``f(text, integer)``; without names, all routines of the schema."""
    schema, kinds = session.schema_oid(inputs["schema"]), list(_ROUTINE_KINDS[inputs["objectType"]])
    objects = inputs.get("objects")
    if not objects:
        query = "SELECT oid, oid::regprocedure::text FROM pg_proc WHERE pronamespace = %s AND prokind = ANY(%s)"
        return dict(session.rows(query, schema, kinds))
    found: dict[int, str] = {}
    for name in objects:
        plain, parenthesis, arguments = name.partition("(")
        if parenthesis:
            signature = sql.Identifier(inputs["schema"], plain).as_string(session.connection) + "(" + arguments
            rows = session.rows("SELECT to_regprocedure(%s)::oid", signature)
        else:
            query = "SELECT oid FROM pg_proc WHERE pronamespace = %s AND proname = %s AND prokind = ANY(%s)"
            rows = session.rows(query, schema, plain, kinds)
        if len(rows) > 1:
            raise ProviderError(
                f"there are {len(rows)} functions {name!r} in schema {inputs['schema']!r}; add argument types"
            )
        found.update({oid: name for (oid,) in rows if oid is not None})
    return found


def _signatures(session: Session, inputs: dict[str, Any]) -> list[sql.Composable]:
    found = _routines(session, inputs)
    missing = sorted(set(inputs["objects"]) - set(found.values()))
    if missing:
        raise ProviderError(f"there is no {inputs['objectType']} {', '.join(missing)} in schema {inputs['schema']!r}")
    rows = session.rows("SELECT oid::regprocedure::text FROM pg_proc WHERE oid = ANY(%s) ORDER BY 1", list(found))
    # The server returns the signatures quoted.
    return [sql.SQL(signature) for (signature,) in rows]
