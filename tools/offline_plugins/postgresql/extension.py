"""``postgresql:index/extension:Extension``: CREATE, ALTER and DROP EXTENSION."""

from typing import Any

from psycopg import sql

from provider.base.plugin import FoundResource
from tools.offline_plugins.postgresql.connections import Connections, UnknownDatabaseError
from tools.offline_plugins.postgresql.session import Session


def create(server: Connections, inputs: dict[str, Any]) -> FoundResource:
    database, name = inputs.get("database") or server.settings.database, inputs["name"]

    def work(session: Session) -> FoundResource:
        parts = [sql.SQL("CREATE EXTENSION IF NOT EXISTS {}").format(sql.Identifier(name))]
        if inputs.get("schema"):
            parts.append(sql.SQL("SCHEMA {}").format(sql.Identifier(inputs["schema"])))
        if inputs.get("version"):
            parts.append(sql.SQL("VERSION {}").format(sql.Identifier(inputs["version"])))
        cascade = sql.SQL(" CASCADE" if inputs["createCascade"] else "")
        session.execute(sql.SQL(" ").join(parts) + cascade)
        return _describe(session, database, name, inputs)

    return server.run(f"could not create extension {name!r} in database {database!r}", work, database)


def read(server: Connections, id_: str, state: dict[str, Any]) -> FoundResource | None:
    database, name = server.place_of("an extension", id_, state)

    def work(session: Session) -> FoundResource | None:
        return _describe(session, database, name, state) if _current(session, name) else None

    try:
        return server.run(f"could not read extension {name!r} in database {database!r}", work, database)
    except UnknownDatabaseError:
        return None


def update(server: Connections, id_: str, state: dict[str, Any], inputs: dict[str, Any]) -> FoundResource:
    database, name = server.place_of("an extension", id_, state)

    def work(session: Session) -> FoundResource:
        schema, version = _current(session, name) or ("", "")
        if inputs.get("schema", schema) != schema:
            session.execute("ALTER EXTENSION {} SET SCHEMA {}", name, inputs["schema"])
        if inputs.get("version", version) != version:
            session.execute("ALTER EXTENSION {} UPDATE TO {}", name, inputs["version"])
        return _describe(session, database, name, inputs)

    return server.run(f"could not update extension {name!r} in database {database!r}", work, database)


def delete(server: Connections, id_: str, state: dict[str, Any]) -> None:
    database, name = server.place_of("an extension", id_, state)

    def work(session: Session) -> None:
        mode = "CASCADE" if state.get("dropCascade") else "RESTRICT"
        session.execute(sql.SQL("DROP EXTENSION IF EXISTS {} {}").format(sql.Identifier(name), sql.SQL(mode)))

    try:
        server.run(f"could not delete extension {name!r} of database {database!r}", work, database)
    except UnknownDatabaseError:
        return


def _current(session: Session, name: str) -> tuple[str, str] | None:
    """Schema and version of an installed extension."""
    query = """SELECT n.nspname, e.extversion FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
               WHERE e.extname = %s"""
    row = session.row(query, name)
    return (str(row[0]), str(row[1])) if row else None


def _describe(session: Session, database: str, name: str, known: dict[str, Any]) -> FoundResource:
    schema, version = _current(session, name) or ("", "")
    outputs = {
        "name": name,
        "database": database,
        "schema": schema,
        "version": version,
        "createCascade": known.get("createCascade", False),
        "dropCascade": known.get("dropCascade", False),
    }
    return FoundResource(f"{database}.{name}", outputs)
