"""``postgresql:index/schema:Schema``: CREATE, ALTER and DROP SCHEMA."""

from typing import Any

from psycopg import sql

from provider.base.plugin import FoundResource
from provider.errors import ProviderError
from tools.offline_plugins.postgresql.connections import Connections, UnknownDatabaseError
from tools.offline_plugins.postgresql.session import Session


def create(server: Connections, inputs: dict[str, Any]) -> FoundResource:
    database, name, owner = inputs.get("database") or server.settings.database, inputs["name"], inputs.get("owner")

    def work(session: Session) -> FoundResource:
        exists = session.schema_oid(name) is not None
        if exists and not inputs["ifNotExists"]:
            raise ProviderError(f"schema {name!r} exists already in database {database!r}, and ifNotExists is false")
        if exists:
            if owner:
                _change_owner(session, name, owner)
            return _describe(session, database, name, inputs)
        # Without CREATE on the database, act as its owner. AUTHORIZATION also needs membership in the new owner.
        acting = (
            []
            if session.value("SELECT has_database_privilege(current_database(), 'CREATE')")
            else [str(session.database_owner())]
        )
        with session.acting_as([*acting, owner] if owner else acting):
            authorization = sql.SQL(" AUTHORIZATION {}").format(sql.Identifier(owner)) if owner else sql.SQL("")
            session.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(name)) + authorization)
        return _describe(session, database, name, inputs)

    return server.run(f"could not create schema {name!r} in database {database!r}", work, database)


def read(server: Connections, id_: str, state: dict[str, Any]) -> FoundResource | None:
    database, name = server.place_of("a schema", id_, state)

    def work(session: Session) -> FoundResource | None:
        return _describe(session, database, name, state) if session.schema_oid(name) is not None else None

    try:
        return server.run(f"could not read schema {name!r} in database {database!r}", work, database)
    except UnknownDatabaseError:
        return None


def update(server: Connections, id_: str, state: dict[str, Any], inputs: dict[str, Any]) -> FoundResource:
    database, old = server.place_of("a schema", id_, state)
    name = inputs["name"]

    def work(session: Session) -> FoundResource:
        if old != name and session.schema_oid(old) is not None:
            with session.acting_as([_owner(session, old), str(session.database_owner())]):
                session.execute("ALTER SCHEMA {} RENAME TO {}", old, name)
        if inputs.get("owner"):
            _change_owner(session, name, inputs["owner"])
        return _describe(session, database, name, inputs)

    return server.run(f"could not update schema {old!r} in database {database!r}", work, database)


def delete(server: Connections, id_: str, state: dict[str, Any]) -> None:
    database, name = server.place_of("a schema", id_, state)

    def work(session: Session) -> None:
        if session.schema_oid(name) is None:
            return
        mode = "CASCADE" if state.get("dropCascade") else "RESTRICT"
        with session.acting_as([_owner(session, name)]):
            session.execute(sql.SQL("DROP SCHEMA {} {}").format(sql.Identifier(name), sql.SQL(mode)))

    try:
        server.run(f"could not delete schema {name!r} of database {database!r}", work, database)
    except UnknownDatabaseError:
        return


def _owner(session: Session, name: str) -> str:
    owner = session.value("SELECT pg_get_userbyid(nspowner) FROM pg_namespace WHERE nspname = %s", name)
    if owner is None:
        raise ProviderError(f"schema {name!r} does not exist")
    return str(owner)


def _change_owner(session: Session, name: str, owner: str) -> None:
    current = _owner(session, name)
    if current != owner:
        with session.acting_as([current, owner, str(session.database_owner())]):
            session.execute("ALTER SCHEMA {} OWNER TO {}", name, owner)


def _describe(session: Session, database: str, name: str, known: dict[str, Any]) -> FoundResource:
    outputs = {
        "name": name,
        "database": database,
        "owner": _owner(session, name),
        "ifNotExists": known.get("ifNotExists", True),
        "dropCascade": known.get("dropCascade", False),
    }
    return FoundResource(f"{database}.{name}", outputs)
