"""``postgresql:index/defaultPrivileges:DefaultPrivileges``: privileges of a role on future objects of another."""

# ruff: noqa: ARG001 - all types have the same functions

from collections.abc import Iterable
from typing import Any

from psycopg import sql

from provider.base.plugin import FoundResource
from provider.errors import ProviderError
from tools.offline_plugins.postgresql.connections import Connections, UnknownDatabaseError
from tools.offline_plugins.postgresql.privileges import expand, grantee, words
from tools.offline_plugins.postgresql.session import Session

# Letters of pg_default_acl.defaclobjtype and of acldefault().
_LETTERS = {
    "table": ("r", "r"),
    "sequence": ("S", "s"),
    "function": ("f", "f"),
    "routine": ("f", "f"),
    "type": ("T", "T"),
    "schema": ("n", "n"),
}


def create(server: Connections, inputs: dict[str, Any]) -> FoundResource:
    def work(session: Session) -> FoundResource:
        wanted = expand(inputs["objectType"], inputs["privileges"], session.version)
        session.lock_roles(inputs["owner"])
        with session.acting_as([inputs["owner"]]):
            surplus = _current(session, inputs) - wanted
            if surplus:
                _alter(session, "REVOKE", surplus, inputs)
            if wanted:
                _alter(session, "GRANT", inputs["privileges"], inputs)
        current = _current(session, inputs)
        if current != wanted:
            raise ProviderError(
                f"{_failure('set', inputs)}: {inputs['role']!r} still has {', '.join(sorted(current)) or 'none'}"
            )
        return _describe(session, inputs)

    return server.run(_failure("set", inputs), work, inputs["database"])


def update(server: Connections, id_: str, state: dict[str, Any], inputs: dict[str, Any]) -> FoundResource:
    # Only the privileges can differ; any other change replaces the resource.
    return create(server, inputs)


def read(server: Connections, id_: str, state: dict[str, Any]) -> FoundResource | None:
    if not state.get("role"):
        raise ProviderError(f"DefaultPrivileges cannot be imported; 'pulumi up' creates {id_!r}")

    def work(session: Session) -> FoundResource | None:
        if not _exists(session, state):
            return None
        # Without privileges the resource is gone, unless the program sets an empty list.
        if state["privileges"] and not _current(session, state):
            return None
        return _describe(session, state)

    try:
        return server.run(_failure("read", state), work, state["database"])
    except UnknownDatabaseError:
        return None


def delete(server: Connections, id_: str, state: dict[str, Any]) -> None:
    def work(session: Session) -> None:
        if not _exists(session, state):
            return
        session.lock_roles(state["owner"])
        with session.acting_as([state["owner"]]):
            _alter(session, "REVOKE", ["ALL"], state)

    try:
        server.run(_failure("revoke", state), work, state["database"])
    except UnknownDatabaseError:
        return


def _failure(verb: str, inputs: dict[str, Any]) -> str:
    return (
        f"could not {verb} default privileges of {inputs['role']!r} on {inputs['objectType']}s of {inputs['owner']!r}"
    )


def _exists(session: Session, state: dict[str, Any]) -> bool:
    """Whether the role, the owner and the schema are still there."""
    schema = state.get("schema")
    roles = (session.role_oid(state["role"]), session.role_oid(state["owner"]))
    return None not in roles and (not schema or session.schema_oid(schema) is not None)


def _alter(session: Session, verb: str, privileges: Iterable[str], inputs: dict[str, Any]) -> None:
    schema = inputs.get("schema")
    statement = sql.SQL("ALTER DEFAULT PRIVILEGES FOR ROLE {} {} {} {} ON {} {} {}").format(
        sql.Identifier(inputs["owner"]),
        sql.SQL("IN SCHEMA {}").format(sql.Identifier(schema)) if schema else sql.SQL(""),
        sql.SQL(verb),
        words(privileges),
        sql.SQL(f"{inputs['objectType'].upper()}S"),
        sql.SQL("TO" if verb == "GRANT" else "FROM"),
        grantee(inputs["role"]),
    )
    if verb == "GRANT" and inputs.get("withGrantOption"):
        statement += sql.SQL(" WITH GRANT OPTION")
    session.execute(statement)


def _current(session: Session, inputs: dict[str, Any]) -> set[str]:
    """Read the privileges from the catalog. Without a schema they include built-in ones, such as EXECUTE for PUBLIC."""
    owner, role, schema = (session.role_oid(inputs["owner"]), session.role_oid(inputs["role"]), inputs.get("schema"))
    for name, oid in ((inputs["owner"], owner), (inputs["role"], role)):
        if oid is None:
            raise ProviderError(f"{_failure('set', inputs)}: role {name!r} does not exist")
    namespace = session.schema_oid(schema) if schema else 0
    stored, built_in = _LETTERS[inputs["objectType"]]
    query = """SELECT DISTINCT privilege_type::text FROM aclexplode(coalesce(
            (SELECT defaclacl FROM pg_default_acl
                WHERE defaclrole = %s AND defaclnamespace = %s AND defaclobjtype = %s::"char"),
            CASE WHEN %s THEN NULL ELSE acldefault(%s::"char", %s::oid) END))
        WHERE grantee = %s"""
    rows = session.rows(query, owner, namespace, stored, bool(schema), built_in, owner, role)
    return {word for (word,) in rows}


def _describe(session: Session, known: dict[str, Any]) -> FoundResource:
    names = ("role", "database", "owner", "schema", "objectType", "withGrantOption")
    outputs = {name: known[name] for name in names if known.get(name) is not None}
    current, wanted = _current(session, known), expand(known["objectType"], known["privileges"], session.version)
    outputs["privileges"] = sorted(known["privileges"] if current == wanted else current)
    place = known.get("schema") or "noschema"
    parts = (known["role"], known["database"], place, known["owner"], known["objectType"])
    return FoundResource("_".join(parts), outputs)
