"""``postgresql:index/database:Database``: CREATE, ALTER and DROP DATABASE, outside transactions."""

from typing import Any

from psycopg import sql

from provider.base.plugin import FoundResource
from provider.errors import ProviderError
from tools.offline_plugins.postgresql.connections import Connections
from tools.offline_plugins.postgresql.session import Session

DEFAULT_TEMPLATE = "template0"
DROP_FORCED = 130000  # server version: DROP DATABASE ... WITH (FORCE)
_COMPARED = ("encoding", "lcCollate", "lcCtype", "tablespaceName", "connectionLimit", "allowConnections", "isTemplate")


def create(server: Connections, inputs: dict[str, Any]) -> FoundResource:
    name = inputs["name"]

    def work(session: Session) -> FoundResource:
        if _exists(session, name):
            return _adopt(server, session, name, inputs)
        owner = inputs.get("owner") or session.user
        with session.acting_as([owner]):
            session.execute(_create_statement(name, owner, inputs))
        return _describe(session, name, inputs)

    return server.run_anywhere(f"could not create database {name!r}", work, avoid=name, transaction=False)


def read(server: Connections, id_: str, state: dict[str, Any]) -> FoundResource | None:
    name = state.get("name") or id_

    def work(session: Session) -> FoundResource | None:
        return _describe(session, name, state) if _exists(session, name) else None

    return server.run_anywhere(f"could not read database {name!r}", work)


def update(server: Connections, id_: str, state: dict[str, Any], inputs: dict[str, Any]) -> FoundResource:
    old, name = state.get("name") or id_, inputs["name"]

    def work(session: Session) -> FoundResource:
        if old != name and _exists(session, old):
            server.close(old)
            session.execute("ALTER DATABASE {} RENAME TO {}", old, name)
        current = _attributes(session, name)
        _change_owner(server, session, name, current["owner"], inputs)
        identifier = sql.Identifier(name)
        tablespace = inputs.get("tablespaceName")
        if tablespace and tablespace.upper() != "DEFAULT" and tablespace != current["tablespaceName"]:
            session.execute("ALTER DATABASE {} SET TABLESPACE {}", name, tablespace)
        options = (("connectionLimit", "CONNECTION LIMIT"), ("allowConnections", "ALLOW_CONNECTIONS"))
        for property_, words in (*options, ("isTemplate", "IS_TEMPLATE")):
            wanted = inputs.get(property_)
            if wanted is not None and wanted != current[property_]:
                statement = sql.SQL("ALTER DATABASE {} WITH {} {}")
                session.execute(statement.format(identifier, sql.SQL(words), sql.Literal(wanted)))
        return _describe(session, name, {**state, **inputs})

    failure = f"could not update database {old!r}"
    return server.run_anywhere(failure, work, avoid=old, transaction=False)


def delete(server: Connections, id_: str, state: dict[str, Any]) -> None:
    name = state.get("name") or id_

    def work(session: Session) -> None:
        if not _exists(session, name):
            return
        server.close(name)
        with session.acting_as([str(session.database_owner(name))]):
            if _attributes(session, name)["isTemplate"]:
                session.execute("ALTER DATABASE {} WITH IS_TEMPLATE false", name)
            if session.version >= DROP_FORCED:
                session.execute("DROP DATABASE IF EXISTS {} WITH (FORCE)", name)
                return
            session.execute("ALTER DATABASE {} WITH ALLOW_CONNECTIONS false", name)
            session.rows("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", name)
            session.execute("DROP DATABASE IF EXISTS {}", name)

    server.run_anywhere(f"could not delete database {name!r}", work, avoid=name, transaction=False)


def _exists(session: Session, name: str) -> bool:
    return session.value("SELECT true FROM pg_database WHERE datname = %s", name) is not None


def _create_statement(name: str, owner: str, inputs: dict[str, Any]) -> sql.Composed:
    default = sql.SQL("DEFAULT")

    def word(
        property_: str, as_: type[sql.Identifier] | type[sql.Literal], otherwise: str = ""
    ) -> sql.Composable | None:
        value = inputs.get(property_) or otherwise
        if not value:
            return None
        return default if value.upper() == "DEFAULT" else as_(value)

    options: dict[str, sql.Composable | None] = {
        "OWNER": sql.Identifier(owner),
        "TEMPLATE": word("template", sql.Identifier, DEFAULT_TEMPLATE),
        "ENCODING": word("encoding", sql.Literal, "UTF8"),
        "LC_COLLATE": word("lcCollate", sql.Literal),
        "LC_CTYPE": word("lcCtype", sql.Literal),
        "TABLESPACE": word("tablespaceName", sql.Identifier),
        "ALLOW_CONNECTIONS": sql.Literal(inputs["allowConnections"]),
        "CONNECTION LIMIT": sql.Literal(inputs["connectionLimit"]),
        "IS_TEMPLATE": sql.Literal(bool(inputs.get("isTemplate"))),
    }
    clauses = [sql.SQL("{} {}").format(sql.SQL(key), value) for key, value in options.items() if value is not None]
    return sql.SQL("CREATE DATABASE {} {}").format(sql.Identifier(name), sql.SQL(" ").join(clauses))


def _change_owner(server: Connections, session: Session, name: str, current: str, inputs: dict[str, Any]) -> None:
    owner = inputs.get("owner")
    if not owner or owner == current:
        return
    with session.acting_as([owner, current]):
        session.execute("ALTER DATABASE {} OWNER TO {}", name, owner)
    if inputs.get("alterObjectOwnership"):

        def reassign(inside: Session) -> None:
            with inside.acting_as([owner, current]):
                inside.execute("REASSIGN OWNED BY {} TO {}", current, owner)

        server.run(f"could not change the owner of the objects in database {name!r} to {owner!r}", reassign, name)


def _attributes(session: Session, name: str) -> dict[str, Any]:
    row = session.row(
        """SELECT pg_get_userbyid(datdba), pg_encoding_to_char(encoding), datcollate, datctype, spcname, datconnlimit,
            datallowconn, datistemplate
            FROM pg_database d JOIN pg_tablespace t ON t.oid = d.dattablespace WHERE datname = %s""",
        name,
    )
    if row is None:
        raise ProviderError(f"database {name!r} does not exist")
    return dict(zip(("owner", *_COMPARED), row, strict=True))


def _describe(session: Session, name: str, known: dict[str, Any]) -> FoundResource:
    outputs = {
        "name": name,
        **_attributes(session, name),
        "template": known.get("template") or DEFAULT_TEMPLATE,
        "alterObjectOwnership": known.get("alterObjectOwnership", False),
    }
    return FoundResource(name, outputs)


def _adopt(server: Connections, session: Session, name: str, inputs: dict[str, Any]) -> FoundResource:
    """Adopt an existing database if it equals this resource and is empty.

    A run that was killed between CREATE DATABASE and the engine's record of it leaves such a database.
    """
    current = _attributes(session, name)
    wanted = {"owner": session.user, **inputs}
    reasons = [
        f"another {key}"
        for key in ("owner", *_COMPARED)
        if wanted.get(key) is not None and str(wanted[key]).upper() not in {"DEFAULT", str(current[key]).upper()}
    ]
    # OIDs below 16384 belong to objects that every database has from the start.
    content = "SELECT true FROM pg_class WHERE oid >= 16384 UNION SELECT true FROM pg_namespace WHERE oid >= 16384"
    if not reasons and server.run(f"could not read database {name!r}", lambda inside: inside.value(content), name):
        reasons.append("objects in it")
    if reasons:
        raise ProviderError(
            f"database {name!r} exists already and differs from this resource (it has {', '.join(reasons)}); "
            "to take it over with its data, run: pulumi config set stellaops-storage:adoptDatabase true, then run up again; "
            "otherwise set stellaops-storage:postgresDatabase to another name"
        )
    return _describe(session, name, inputs)
