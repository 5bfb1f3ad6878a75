"""The offline postgresql plugin: databases, roles, schemas, grants and default privileges on psycopg.

Inputs, outputs and ids are those of the official plugin 3.18, so that either can go on with the other's state.
Grants and default privileges are in ``postgresql_grants``.
"""

from typing import Any, ClassVar

from local.plugins.base import Plugin, PluginError, ResourceType, serve
from local.plugins.postgres_server import Server, acting_for
from local.plugins.postgresql_grants import DefaultPrivileges, Grant
from local.plugins.schema import Property, Schema
from local.plugins.values import Props

VERSION = "3.18.2"


class Database(ResourceType):
    schema: ClassVar[Schema] = Schema(
        {
            "name": Property("string", required=True),
            "owner": Property("string", computed=True),
            "template": Property("string", computed=True, force_new=True),
            "encoding": Property("string", computed=True, force_new=True),
            "lcCollate": Property("string", computed=True, force_new=True),
            "lcCtype": Property("string", computed=True, force_new=True),
            "tablespaceName": Property("string", computed=True),
            "connectionLimit": Property("int", default=-1),
            "allowConnections": Property("bool", default=True),
            "isTemplate": Property("bool", computed=True),
            "alterObjectOwnership": Property("bool", default=False),
        }
    )

    def identify(self, outputs: Props) -> str:
        return str(outputs["name"])

    def create(self, config: Server, inputs: Props) -> Props:
        from psycopg import sql

        name = inputs["name"]
        texts = {"TEMPLATE": inputs.get("template", "template0"), "ENCODING": inputs.get("encoding", "UTF8")}
        texts |= {"LC_COLLATE": inputs.get("lcCollate", "C"), "LC_CTYPE": inputs.get("lcCtype", "C")}
        parts: list[sql.Composable] = [sql.SQL("CREATE DATABASE {} WITH").format(sql.Identifier(name))]
        for keyword, value in texts.items():
            literal = sql.Identifier(value) if keyword == "TEMPLATE" else sql.Literal(value)
            parts.append(sql.SQL(keyword) + sql.SQL(" ") + literal)
        if inputs.get("owner"):
            parts.append(sql.SQL("OWNER {}").format(sql.Identifier(inputs["owner"])))
        if inputs.get("tablespaceName"):
            parts.append(sql.SQL("TABLESPACE {}").format(sql.Identifier(inputs["tablespaceName"])))
        parts.append(sql.SQL("ALLOW_CONNECTIONS {}").format(sql.SQL(str(inputs.get("allowConnections", True)))))
        parts.append(sql.SQL("CONNECTION LIMIT {}").format(sql.Literal(inputs.get("connectionLimit", -1))))
        parts.append(sql.SQL("IS_TEMPLATE {}").format(sql.SQL(str(inputs.get("isTemplate", False)))))
        with config.connection() as connection:
            connection.execute(sql.SQL(" ").join(parts))
        return self._must_read(config, name, inputs)

    def read(self, config: Server, id_: str, state: Props) -> Props | None:
        with config.connection() as connection:
            row = connection.execute(
                """SELECT d.datname, pg_catalog.pg_get_userbyid(d.datdba), pg_catalog.pg_encoding_to_char(d.encoding),
                          d.datcollate, d.datctype, t.spcname, d.datconnlimit, d.datallowconn, d.datistemplate
                   FROM pg_catalog.pg_database d JOIN pg_catalog.pg_tablespace t ON t.oid = d.dattablespace
                   WHERE d.datname = %s""",
                (id_,),
            ).fetchone()
        if row is None:
            return None
        names = ("name", "owner", "encoding", "lcCollate", "lcCtype", "tablespaceName", "connectionLimit")
        outputs = dict(zip((*names, "allowConnections", "isTemplate"), row, strict=True))
        # Not kept by the server.
        outputs["template"] = state.get("template", "template0")
        outputs["alterObjectOwnership"] = state.get("alterObjectOwnership", False)
        return outputs

    def update(self, config: Server, id_: str, olds: Props, news: Props) -> Props:
        from psycopg import sql

        old, name = sql.Identifier(id_), sql.Identifier(news["name"])
        with config.connection() as connection:
            if news["name"] != id_:
                connection.execute(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(old, name))
            if news.get("owner") and news["owner"] != olds.get("owner"):
                connection.execute(sql.SQL("ALTER DATABASE {} OWNER TO {}").format(name, sql.Identifier(news["owner"])))
            limit, allow = news.get("connectionLimit", -1), news.get("allowConnections", True)
            connection.execute(
                sql.SQL("ALTER DATABASE {} WITH ALLOW_CONNECTIONS {} CONNECTION LIMIT {}").format(
                    name, sql.SQL(str(allow)), sql.Literal(limit)
                )
            )
        return self._must_read(config, news["name"], news)

    def delete(self, config: Server, id_: str, state: Props) -> None:
        from psycopg import sql

        config.drop_connections(id_)
        with config.connection() as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(id_)))

    def _must_read(self, config: Server, name: str, inputs: Props) -> Props:
        outputs = self.read(config, name, inputs)
        assert outputs is not None
        return outputs


class DatabaseSchema(ResourceType):
    schema: ClassVar[Schema] = Schema(
        {
            "name": Property("string", required=True),
            "database": Property("string", computed=True, force_new=True),
            "owner": Property("string", computed=True),
            "ifNotExists": Property("bool", default=True),
            "dropCascade": Property("bool", default=False),
        }
    )

    def identify(self, outputs: Props) -> str:
        return f"{outputs['database']}.{outputs['name']}"

    def create(self, config: Server, inputs: Props) -> Props:
        from psycopg import sql

        database, owner = inputs.get("database") or config.database, inputs.get("owner")
        words = "CREATE SCHEMA IF NOT EXISTS {}" if inputs.get("ifNotExists", True) else "CREATE SCHEMA {}"

        def create(connection: Any) -> None:
            with acting_for(connection, config, [owner or ""]):
                connection.execute(sql.SQL(words).format(sql.Identifier(inputs["name"])))
                if owner:
                    alter = sql.SQL("ALTER SCHEMA {} OWNER TO {}")
                    connection.execute(alter.format(sql.Identifier(inputs["name"]), sql.Identifier(owner)))

        config.change(database, create)
        return self._must_read(config, f"{database}.{inputs['name']}", inputs)

    def read(self, config: Server, id_: str, state: Props) -> Props | None:
        database, _, name = id_.partition(".")
        if not _database_exists(config, database):
            return None
        with config.connection(database) as connection:
            row = connection.execute(
                "SELECT pg_catalog.pg_get_userbyid(nspowner) FROM pg_catalog.pg_namespace WHERE nspname = %s", (name,)
            ).fetchone()
        if row is None:
            return None
        return {
            "name": name,
            "database": database,
            "owner": row[0],
            "ifNotExists": state.get("ifNotExists", True),
            "dropCascade": state.get("dropCascade", False),
        }

    def update(self, config: Server, id_: str, olds: Props, news: Props) -> Props:
        from psycopg import sql

        database, _, old = id_.partition(".")

        def update(connection: Any) -> None:
            with acting_for(connection, config, [olds.get("owner") or "", news.get("owner") or ""]):
                if news["name"] != old:
                    rename = sql.SQL("ALTER SCHEMA {} RENAME TO {}")
                    connection.execute(rename.format(sql.Identifier(old), sql.Identifier(news["name"])))
                if news.get("owner") and news["owner"] != olds.get("owner"):
                    alter = sql.SQL("ALTER SCHEMA {} OWNER TO {}")
                    connection.execute(alter.format(sql.Identifier(news["name"]), sql.Identifier(news["owner"])))

        config.change(database, update)
        return self._must_read(config, f"{database}.{news['name']}", news)

    def delete(self, config: Server, id_: str, state: Props) -> None:
        from psycopg import sql

        database, _, name = id_.partition(".")
        if not _database_exists(config, database):
            return
        words = "DROP SCHEMA IF EXISTS {} CASCADE" if state.get("dropCascade") else "DROP SCHEMA IF EXISTS {} RESTRICT"

        def drop(connection: Any) -> None:
            with acting_for(connection, config, [state.get("owner") or ""]):
                connection.execute(sql.SQL(words).format(sql.Identifier(name)))

        config.change(database, drop)

    def _must_read(self, config: Server, id_: str, inputs: Props) -> Props:
        outputs = self.read(config, id_, inputs)
        assert outputs is not None
        return outputs


# Wire name -> keyword of CREATE ROLE, which takes a NO before it for false.
_FLAGS = {
    "superuser": "SUPERUSER",
    "createDatabase": "CREATEDB",
    "createRole": "CREATEROLE",
    "inherit": "INHERIT",
    "login": "LOGIN",
    "replication": "REPLICATION",
    "bypassRowLevelSecurity": "BYPASSRLS",
}
# Wire name -> setting of the role, in milliseconds.
_TIMEOUTS = {
    "statementTimeout": "statement_timeout",
    "idleInTransactionSessionTimeout": "idle_in_transaction_session_timeout",
}
_UNIT_MS = {"ms": 1, "s": 1000, "min": 60_000, "h": 3_600_000, "d": 86_400_000}


class Role(ResourceType):
    schema: ClassVar[Schema] = Schema(
        {
            "name": Property("string", required=True),
            "password": Property("string", secret=True),
            "encryptedPassword": Property("bool", default=True),
            "login": Property("bool", default=False),
            "superuser": Property("bool", default=False),
            "createDatabase": Property("bool", default=False),
            "createRole": Property("bool", default=False),
            "inherit": Property("bool", default=True),
            "replication": Property("bool", default=False),
            "bypassRowLevelSecurity": Property("bool", default=False),
            "connectionLimit": Property("int", default=-1),
            "validUntil": Property("string", default="infinity"),
            "roles": Property("set"),
            "searchPaths": Property("list"),
            "statementTimeout": Property("int"),
            "idleInTransactionSessionTimeout": Property("int"),
            "assumeRole": Property("string"),
            "skipDropRole": Property("bool", default=False),
            "skipReassignOwned": Property("bool", default=False),
        }
    )

    def identify(self, outputs: Props) -> str:
        return str(outputs["name"])

    def create(self, config: Server, inputs: Props) -> Props:
        from psycopg import sql

        def create(connection: Any) -> None:
            statement = sql.SQL("CREATE ROLE {} WITH {}").format(sql.Identifier(inputs["name"]), _options(inputs, {}))
            connection.execute(statement)
            _set_role(connection, inputs, {})

        config.change(None, create)
        return self._must_read(config, inputs["name"], inputs)

    def read(self, config: Server, id_: str, state: Props) -> Props | None:
        with config.connection() as connection:
            row = connection.execute(
                """SELECT r.rolsuper, r.rolcreatedb, r.rolcreaterole, r.rolinherit, r.rolcanlogin, r.rolreplication,
                          r.rolbypassrls, r.rolconnlimit, coalesce(r.rolvaliduntil::text, 'infinity'), coalesce(r.rolconfig, '{}'),
                          array(SELECT g.rolname::text FROM pg_catalog.pg_auth_members m
                                JOIN pg_catalog.pg_roles g ON g.oid = m.roleid WHERE m.member = r.oid GROUP BY 1 ORDER BY 1)
                   FROM pg_catalog.pg_roles r WHERE r.rolname = %s""",
                (id_,),
            ).fetchone()
            if row is None:
                return None
            password = self._password(connection, config, id_, state)
        flags = (
            "superuser",
            "createDatabase",
            "createRole",
            "inherit",
            "login",
            "replication",
            "bypassRowLevelSecurity",
        )
        outputs: Props = {"name": id_, **dict(zip(flags, row, strict=False))}
        outputs |= {"connectionLimit": row[7], "validUntil": row[8], "roles": list(row[10])}
        settings = dict(item.split("=", 1) for item in row[9])
        outputs["searchPaths"] = _names(settings.get("search_path", ""))
        outputs["assumeRole"] = settings.get("role", "")
        for name, setting in _TIMEOUTS.items():
            outputs[name] = _milliseconds(settings.get(setting, "0"))
        if password is not None:
            outputs["password"] = password
        # Not kept by the server.
        kept = {"encryptedPassword": True, "skipDropRole": False, "skipReassignOwned": False}
        return {**outputs, **{name: state.get(name, value) for name, value in kept.items()}}

    def _password(self, connection: Any, config: Server, name: str, state: Props) -> str | None:
        """The password as the state has it, unless the server's verifier shows that it is another one."""
        known: str | None = state.get("password")
        if not config.superuser:
            return known
        row = connection.execute("SELECT rolpassword FROM pg_catalog.pg_authid WHERE rolname = %s", (name,)).fetchone()
        stored: str | None = row[0] if row else None
        if known and not known.startswith(("md5", "SCRAM-SHA-256")) and stored:
            return known
        return stored

    def update(self, config: Server, id_: str, olds: Props, news: Props) -> Props:
        from psycopg import sql

        def update(connection: Any) -> None:
            if news["name"] != id_:
                rename = sql.SQL("ALTER ROLE {} RENAME TO {}")
                connection.execute(rename.format(sql.Identifier(id_), sql.Identifier(news["name"])))
            options = _options(news, olds)
            if options.as_string(connection):
                connection.execute(sql.SQL("ALTER ROLE {} WITH {}").format(sql.Identifier(news["name"]), options))
            _set_role(connection, news, olds)

        config.change(None, update)
        return self._must_read(config, news["name"], news)

    def delete(self, config: Server, id_: str, state: Props) -> None:
        from psycopg import sql

        if state.get("skipDropRole"):
            return

        def drop(connection: Any) -> None:
            if connection.execute("SELECT FROM pg_catalog.pg_roles WHERE rolname = %s", (id_,)).fetchone() is None:
                return
            name = sql.Identifier(id_)
            if not state.get("skipReassignOwned"):
                with acting_for(connection, config, [id_]):
                    connection.execute(sql.SQL("REASSIGN OWNED BY {} TO CURRENT_USER").format(name))
                    connection.execute(sql.SQL("DROP OWNED BY {}").format(name))
            connection.execute(sql.SQL("DROP ROLE {}").format(name))

        config.change(None, drop)

    def _must_read(self, config: Server, name: str, inputs: Props) -> Props:
        outputs = self.read(config, name, inputs)
        assert outputs is not None
        return outputs


def _options(news: Props, olds: Props) -> Any:
    """The attributes of CREATE or ALTER ROLE that differ from ``olds``; all of them when that is empty.

    Only what differs: an admin without SUPERUSER may not even repeat NOSUPERUSER on some of them.
    """
    from psycopg import sql

    parts: list[sql.Composable] = []
    for name, keyword in _FLAGS.items():
        wanted = bool(news.get(name, name == "inherit"))
        if wanted != bool(olds.get(name, name == "inherit")):
            parts.append(sql.SQL(keyword if wanted else f"NO{keyword}"))
    if news.get("connectionLimit", -1) != olds.get("connectionLimit", -1):
        parts.append(sql.SQL("CONNECTION LIMIT {}").format(sql.Literal(news.get("connectionLimit", -1))))
    if news.get("validUntil", "infinity") != olds.get("validUntil", "infinity"):
        parts.append(sql.SQL("VALID UNTIL {}").format(sql.Literal(news.get("validUntil", "infinity"))))
    if news.get("password") != olds.get("password"):
        parts.append(sql.SQL("PASSWORD {}").format(sql.Literal(news.get("password"))))
    if not parts and not olds:
        parts.append(sql.SQL("NOLOGIN"))
    return sql.SQL(" ").join(parts)


def _set_role(connection: Any, news: Props, olds: Props) -> None:
    """Memberships and settings: those that went are taken away, new ones given, the rest left alone."""
    from psycopg import sql

    name = sql.Identifier(news["name"])
    wanted, had = set(news.get("roles") or []), set(olds.get("roles") or [])
    for group in sorted(had - wanted):
        connection.execute(sql.SQL("REVOKE {} FROM {}").format(sql.Identifier(group), name))
    for group in sorted(wanted - had):
        connection.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(group), name))

    settings: dict[str, sql.Composable | None] = {}
    if (news.get("searchPaths") or []) != (olds.get("searchPaths") or []):
        path = [sql.Identifier(item) for item in news.get("searchPaths") or []]
        settings["search_path"] = sql.SQL(", ").join(path) if path else None
    for key, setting in _TIMEOUTS.items():
        if (news.get(key) or 0) != (olds.get(key) or 0):
            settings[setting] = sql.Literal(news[key]) if news.get(key) else None
    if (news.get("assumeRole") or "") != (olds.get("assumeRole") or ""):
        settings["role"] = sql.Identifier(news["assumeRole"]) if news.get("assumeRole") else None
    for setting, value in settings.items():
        target = sql.SQL("ALTER ROLE {} ").format(name)
        change = sql.SQL("RESET {}").format(sql.Identifier(setting))
        if value is not None:
            change = sql.SQL("SET {} = {}").format(sql.Identifier(setting), value)
        connection.execute(target + change)


def _names(text: str) -> list[str]:
    """The names of a search_path as PostgreSQL writes it."""
    return [
        part.strip().replace('""', '"').removeprefix('"').removesuffix('"') for part in text.split(",") if part.strip()
    ]


def _milliseconds(text: str) -> int:
    digits = text.rstrip("abcdefghijklmnopqrstuvwxyz ")
    unit = text[len(digits) :].strip() or "ms"
    return int(digits) * _UNIT_MS[unit]


def _database_exists(config: Server, database: str) -> bool:
    with config.connection() as connection:
        query = "SELECT FROM pg_catalog.pg_database WHERE datname = %s"
        return connection.execute(query, (database,)).fetchone() is not None


_TEXTS = (
    "scheme",
    "host",
    "database",
    "username",
    "password",
    "databaseUsername",
    "sslmode",
    "sslMode",
    "sslrootcert",
    "expectedVersion",
)


class Postgresql(Plugin):
    name = "postgresql"
    config_schema = Schema(
        {
            **{name: Property("string", secret=name == "password") for name in _TEXTS},
            "port": Property("int"),
            "connectTimeout": Property("int"),
            "maxConnections": Property("int"),
            "superuser": Property("bool"),
        }
    )
    _types: ClassVar[dict[str, ResourceType]] = {
        "postgresql:index/database:Database": Database(),
        "postgresql:index/role:Role": Role(),
        "postgresql:index/schema:Schema": DatabaseSchema(),
        "postgresql:index/grant:Grant": Grant(),
        "postgresql:index/defaultPrivileges:DefaultPrivileges": DefaultPrivileges(),
    }

    def type(self, token: str) -> ResourceType | None:
        return self._types.get(token)

    def configure(self, config: Props) -> Server:
        if config.get("scheme", "postgres") != "postgres":
            raise PluginError(f"scheme {config['scheme']!r} needs the official postgresql plugin")
        return Server(
            host=config.get("host", "localhost"),
            port=int(config.get("port", 5432)),
            user=config.get("username", "postgres"),
            password=config.get("password", ""),
            database=config.get("database", "postgres"),
            sslmode=str(config.get("sslmode") or config.get("sslMode") or "require"),
            superuser=config.get("superuser", True),
        )


if __name__ == "__main__":
    serve(Postgresql, VERSION)
