"""Grants and default privileges of the offline postgresql plugin. Neither can be imported, as with the official one."""

from typing import Any, ClassVar
from zlib import crc32

from local.plugins.base import PluginError, ResourceType
from local.plugins.postgres_server import Server, acting_for, who
from local.plugins.schema import Property, Schema
from local.plugins.values import Props

# What ALL means, by kind of object.
ALL = {
    "database": {"CREATE", "CONNECT", "TEMPORARY"},
    "schema": {"CREATE", "USAGE"},
    "table": {"SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER", "MAINTAIN"},
    "column": {"SELECT", "INSERT", "UPDATE", "REFERENCES"},
    "sequence": {"USAGE", "SELECT", "UPDATE"},
    "function": {"EXECUTE"},
    "procedure": {"EXECUTE"},
    "routine": {"EXECUTE"},
    "type": {"USAGE"},
}
_KINDS = {"table": ("r", "p", "v", "m"), "sequence": ("S",)}


def _set_order(values: list[str]) -> list[str]:
    """A set in the order in which the official plugin writes it: by the text of each element's checksum."""
    return sorted(values, key=lambda value: str(crc32(value.encode())))


class Grant(ResourceType):
    schema: ClassVar[Schema] = Schema(
        {
            "role": Property("string", required=True, force_new=True),
            "database": Property("string", required=True, force_new=True),
            "schema": Property("string", force_new=True),
            "objectType": Property("string", required=True, force_new=True),
            "objects": Property("set", force_new=True),
            "columns": Property("set", force_new=True),
            "privileges": Property("set", required=True),
            "withGrantOption": Property("bool", default=False, force_new=True),
        },
        delete_before_replace=True,
    )

    def invalid(self, inputs: Props) -> str | None:
        kind, objects, columns = inputs["objectType"], inputs.get("objects") or [], inputs.get("columns") or []
        if kind not in ALL or kind == "type":
            return f"objectType {kind!r} is not one of {', '.join(sorted(set(ALL) - {'type'}))}"
        if kind != "database" and not inputs.get("schema"):
            return "schema is required unless objectType is database"
        if kind in ("database", "schema") and objects:
            return f"objects cannot be given when objectType is {kind}"
        if (kind == "column") != bool(columns):
            return "columns are given when, and only when, objectType is column"
        if kind == "column" and (len(objects) != 1 or len(inputs["privileges"]) != 1):
            return "a grant on columns takes exactly one table in objects and exactly one privilege"
        wrong = [item for item in inputs["privileges"] if isinstance(item, str) and item not in {*ALL[kind], "ALL"}]
        return f"privilege {wrong[0]!r} does not exist on a {kind}" if wrong else None

    def identify(self, outputs: Props) -> str:
        parts = [outputs["role"], outputs["database"]]
        if outputs["objectType"] != "database":
            parts.append(outputs["schema"])
        parts.append(outputs["objectType"])
        parts += _set_order(outputs.get("objects") or []) + _set_order(outputs.get("columns") or [])
        return "_".join(parts)

    def create(self, config: Server, inputs: Props) -> Props:
        config.change(
            inputs["database"], lambda connection: self._apply(connection, config, inputs, inputs["privileges"])
        )
        return self._must_read(config, inputs)

    def update(self, config: Server, id_: str, olds: Props, news: Props) -> Props:
        return self.create(config, news)

    def delete(self, config: Server, id_: str, state: Props) -> None:
        def revoke(connection: Any) -> None:
            if self._targets_exist(connection, state):
                self._apply(connection, config, state, [])

        if _exists(config, state["database"]):
            config.change(state["database"], revoke)

    def _apply(self, connection: Any, config: Server, inputs: Props, privileges: list[str]) -> None:
        from psycopg import sql

        target, role = _target(inputs), who(inputs["role"])
        columns = inputs.get("columns") or []
        with acting_for(connection, config, _owners(connection, inputs)):
            # Only what this grant speaks of: on columns, other privileges belong to other grants.
            taken = [sql.SQL("ALL")] if not columns else [_on_columns(name, columns) for name in inputs["privileges"]]
            connection.execute(sql.SQL("REVOKE {} ON {} FROM {}").format(sql.SQL(", ").join(taken), target, role))
            if privileges:
                given = [_on_columns(name, columns) if columns else sql.SQL(name) for name in privileges]
                statement = sql.SQL("GRANT {} ON {} TO {}").format(sql.SQL(", ").join(given), target, role)
                option = sql.SQL(" WITH GRANT OPTION" if inputs.get("withGrantOption") else "")
                connection.execute(statement + option)

    def read(self, config: Server, id_: str, state: Props) -> Props | None:
        if not state:
            raise PluginError(
                f"a postgresql Grant cannot be imported; create it, which is harmless when it is there ({id_})"
            )
        if not _exists(config, state["database"]):
            return None
        with config.connection(state["database"]) as connection:
            if not self._targets_exist(connection, state):
                return None
            role = state["role"]
            known = "SELECT FROM pg_catalog.pg_roles WHERE rolname = %s"
            if role.lower() != "public" and connection.execute(known, (role,)).fetchone() is None:
                return None
            privileges = _granted(connection, state)
        if "ALL" in state["privileges"] and ALL[state["objectType"]] - {"MAINTAIN"} <= set(privileges):
            privileges = ["ALL"]
        return {**state, "privileges": privileges}

    def _must_read(self, config: Server, inputs: Props) -> Props:
        outputs = self.read(config, self.identify(inputs), {"withGrantOption": False, **inputs})
        assert outputs is not None
        return outputs

    def _targets_exist(self, connection: Any, state: Props) -> bool:
        if state["objectType"] == "database":
            return True
        query = "SELECT FROM pg_catalog.pg_namespace WHERE nspname = %s"
        if connection.execute(query, (state["schema"],)).fetchone() is None:
            return False
        role = state["role"]
        if role.lower() != "public":
            query = "SELECT FROM pg_catalog.pg_roles WHERE rolname = %s"
            if connection.execute(query, (role,)).fetchone() is None:
                return False
        objects = state.get("objects") or []
        if state["objectType"] not in ("table", "column") or not objects:
            return True
        query = """SELECT count(*) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
                   WHERE n.nspname = %s AND c.relname = ANY(%s)"""
        row = connection.execute(query, (state["schema"], objects)).fetchone()
        return bool(row[0] == len(set(objects)))


def _on_columns(privilege: str, columns: list[str]) -> Any:
    from psycopg import sql

    return sql.SQL("{} ({})").format(sql.SQL(privilege), sql.SQL(", ").join(map(sql.Identifier, columns)))


def _target(inputs: Props) -> Any:
    """What stands behind ON: ``DATABASE x``, ``SCHEMA s``, ``TABLE s.a, s.b``, ``ALL TABLES IN SCHEMA s``."""
    from psycopg import sql

    kind, objects = inputs["objectType"], inputs.get("objects") or []
    if kind == "database":
        return sql.SQL("DATABASE {}").format(sql.Identifier(inputs["database"]))
    schema = sql.Identifier(inputs["schema"])
    if kind == "schema":
        return sql.SQL("SCHEMA {}").format(schema)
    word = "TABLE" if kind == "column" else kind.upper()
    if not objects:
        return sql.SQL("ALL {}S IN SCHEMA {}").format(sql.SQL(word), schema)
    names = sql.SQL(", ").join(sql.Identifier(inputs["schema"], name) for name in objects)
    return sql.SQL("{} {}").format(sql.SQL(word), names)


def _owners(connection: Any, inputs: Props) -> list[str]:
    """Who owns what is granted on; an admin without SUPERUSER acts for them."""
    if inputs["objectType"] == "database":
        query, values = (
            "SELECT pg_catalog.pg_get_userbyid(datdba) FROM pg_catalog.pg_database WHERE datname = %s",
            (inputs["database"],),
        )
    else:
        query = """SELECT pg_catalog.pg_get_userbyid(nspowner) FROM pg_catalog.pg_namespace WHERE nspname = %s"""
        values = (inputs["schema"],)
    return [row[0] for row in connection.execute(query, values).fetchall() if row[0] != "pg_database_owner"]


def _granted(connection: Any, state: Props) -> list[str]:
    """The privileges that the role has on every one of the objects, sorted; a privilege on some of them only is left
    out when it is wanted, and shown when it is not, so that either shows as a difference."""
    rows = connection.execute(*_acl_query(state)).fetchall()
    per_object: dict[str, set[str]] = {}
    for name, privilege, grantable in rows:
        found = per_object.setdefault(name, set())
        if privilege is not None and (grantable or not state.get("withGrantOption")):
            found.add(privilege)
    wanted = set(state["privileges"])
    everywhere = set.intersection(*per_object.values()) if per_object else set()
    somewhere = set.union(*per_object.values()) if per_object else set()
    return sorted((everywhere & wanted) | (somewhere - wanted) if "ALL" not in wanted else everywhere)


def _acl_query(state: Props) -> tuple[str, tuple[Any, ...]]:
    """Rows (object, privilege or null, grantable) of the role, one for each object at least."""
    kind, role, objects = state["objectType"], state["role"], state.get("objects") or []
    grantee = "a.grantee = coalesce((SELECT oid FROM pg_catalog.pg_roles WHERE rolname = %s AND %s <> 'public'), 0)"
    who_ = (role, role.lower())
    if kind == "database":
        return (
            f"""SELECT d.datname, a.privilege_type, a.is_grantable FROM pg_catalog.pg_database d LEFT JOIN LATERAL
                pg_catalog.aclexplode(coalesce(d.datacl, pg_catalog.acldefault('d', d.datdba))) a ON {grantee}
                WHERE d.datname = %s""",
            (*who_, state["database"]),
        )
    if kind == "schema":
        return (
            f"""SELECT n.nspname, a.privilege_type, a.is_grantable FROM pg_catalog.pg_namespace n LEFT JOIN LATERAL
                pg_catalog.aclexplode(n.nspacl) a ON {grantee} WHERE n.nspname = %s""",
            (*who_, state["schema"]),
        )
    if kind == "column":
        return (
            f"""SELECT t.attname, a.privilege_type, a.is_grantable FROM pg_catalog.pg_attribute t
                JOIN pg_catalog.pg_class c ON c.oid = t.attrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
                LEFT JOIN LATERAL pg_catalog.aclexplode(t.attacl) a ON {grantee} AND a.privilege_type = ANY(%s)
                WHERE n.nspname = %s AND c.relname = ANY(%s) AND t.attname = ANY(%s) AND NOT t.attisdropped""",
            (*who_, state["privileges"], state["schema"], objects, state["columns"]),
        )
    if kind in _KINDS:
        chosen = "AND c.relname = ANY(%s)" if objects else "AND %s::text[] = '{}'"
        return (
            f"""SELECT c.relname, a.privilege_type, a.is_grantable FROM pg_catalog.pg_class c
                JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
                LEFT JOIN LATERAL pg_catalog.aclexplode(c.relacl) a ON {grantee}
                WHERE c.relkind = ANY(%s) AND n.nspname = %s {chosen}""",
            (*who_, list(_KINDS[kind]), state["schema"], objects),
        )
    chosen = "AND p.proname = ANY(%s)" if objects else "AND %s::text[] = '{}'"
    return (
        f"""SELECT p.oid::text, a.privilege_type, a.is_grantable FROM pg_catalog.pg_proc p
            JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
            LEFT JOIN LATERAL pg_catalog.aclexplode(p.proacl) a ON {grantee} WHERE n.nspname = %s {chosen}""",
        (*who_, state["schema"], objects),
    )


def _exists(config: Server, database: str) -> bool:
    with config.connection() as connection:
        query = "SELECT FROM pg_catalog.pg_database WHERE datname = %s"
        return connection.execute(query, (database,)).fetchone() is not None


_DEFAULT_KINDS = {"table": "r", "sequence": "S", "function": "f", "type": "T", "schema": "n"}


class DefaultPrivileges(ResourceType):
    schema: ClassVar[Schema] = Schema(
        {
            "role": Property("string", required=True, force_new=True),
            "database": Property("string", required=True, force_new=True),
            "owner": Property("string", required=True, force_new=True),
            "schema": Property("string", force_new=True),
            "objectType": Property("string", required=True, force_new=True),
            "privileges": Property("set", required=True),
            "withGrantOption": Property("bool", default=False, force_new=True),
        }
    )

    def invalid(self, inputs: Props) -> str | None:
        kind = inputs["objectType"]
        if kind not in _DEFAULT_KINDS:
            return f"objectType {kind!r} is not one of {', '.join(_DEFAULT_KINDS)}"
        wrong = [item for item in inputs["privileges"] if isinstance(item, str) and item not in {*ALL[kind], "ALL"}]
        return f"privilege {wrong[0]!r} does not exist on a {kind}" if wrong else None

    def identify(self, outputs: Props) -> str:
        schema = outputs.get("schema") or "noschema"
        return "_".join([outputs["role"], outputs["database"], schema, outputs["owner"], outputs["objectType"]])

    def create(self, config: Server, inputs: Props) -> Props:
        config.change(
            inputs["database"], lambda connection: self._apply(connection, config, inputs, inputs["privileges"])
        )
        outputs = self.read(config, "", {"withGrantOption": False, **inputs})
        assert outputs is not None
        return outputs

    def update(self, config: Server, id_: str, olds: Props, news: Props) -> Props:
        return self.create(config, news)

    def delete(self, config: Server, id_: str, state: Props) -> None:
        def revoke(connection: Any) -> None:
            query = "SELECT FROM pg_catalog.pg_roles WHERE rolname = %s"
            if connection.execute(query, (state["owner"],)).fetchone() is not None:
                self._apply(connection, config, state, [])

        if _exists(config, state["database"]):
            config.change(state["database"], revoke)

    def _apply(self, connection: Any, config: Server, inputs: Props, privileges: list[str]) -> None:
        from psycopg import sql

        within = (
            sql.SQL(" IN SCHEMA {}").format(sql.Identifier(inputs["schema"])) if inputs.get("schema") else sql.SQL("")
        )
        start = sql.SQL("ALTER DEFAULT PRIVILEGES FOR ROLE {}{}").format(sql.Identifier(inputs["owner"]), within)
        kind, role = sql.SQL(f"{inputs['objectType'].upper()}S"), who(inputs["role"])
        with acting_for(connection, config, [inputs["owner"]]):
            connection.execute(sql.SQL("{} REVOKE ALL ON {} FROM {}").format(start, kind, role))
            if privileges:
                given = sql.SQL(", ").join(map(sql.SQL, privileges))
                option = sql.SQL(" WITH GRANT OPTION" if inputs.get("withGrantOption") else "")
                connection.execute(sql.SQL("{} GRANT {} ON {} TO {}").format(start, given, kind, role) + option)

    def read(self, config: Server, id_: str, state: Props) -> Props | None:
        if not state:
            raise PluginError(
                f"postgresql DefaultPrivileges cannot be imported; create them, which is harmless ({id_})"
            )
        if not _exists(config, state["database"]):
            return None
        kind, role = _DEFAULT_KINDS[state["objectType"]], state["role"]
        with config.connection(state["database"]) as connection:
            query = "SELECT oid FROM pg_catalog.pg_roles WHERE rolname = %s"
            owner = connection.execute(query, (state["owner"],)).fetchone()
            if owner is None:
                return None
            # What PostgreSQL gives by itself, to PUBLIC above all, holds where no row says otherwise.
            rows = connection.execute(
                """SELECT DISTINCT a.privilege_type FROM pg_catalog.aclexplode(coalesce(
                     (SELECT defaclacl FROM pg_catalog.pg_default_acl
                      WHERE defaclrole = %(owner)s AND defaclobjtype = %(kind)s AND defaclnamespace = coalesce(
                        (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = %(schema)s), 0)),
                     CASE WHEN %(schema)s = '' THEN pg_catalog.acldefault(%(kind)s, %(owner)s) END)) a
                   WHERE a.grantee = coalesce((SELECT oid FROM pg_catalog.pg_roles WHERE rolname = %(role)s), 0)""",
                {"owner": owner[0], "kind": kind, "schema": state.get("schema") or "", "role": role},
            ).fetchall()
        return {**state, "privileges": sorted(row[0] for row in rows)}
