"""``postgresql:index/grant:Grant``: privileges of one role on a database, a schema or objects of a schema."""

# ruff: noqa: ARG001 - all types have the same functions

import zlib
from collections.abc import Iterable
from typing import Any

from psycopg import sql

from provider.base.plugin import FoundResource
from provider.errors import ProviderError
from tools.offline_plugins.postgresql import grant_targets
from tools.offline_plugins.postgresql.connections import Connections, UnknownDatabaseError
from tools.offline_plugins.postgresql.privileges import expand, grantee, words
from tools.offline_plugins.postgresql.session import Session


def create(server: Connections, inputs: dict[str, Any]) -> FoundResource:
    _complete(inputs)

    def work(session: Session) -> FoundResource:
        _lock(session, inputs)
        with session.acting_as(grant_targets.owners(session, inputs)):
            _reconcile(session, inputs)
        return _describe(session, inputs)

    return server.run(_failure("grant", inputs), work, inputs["database"])


def update(server: Connections, id_: str, state: dict[str, Any], inputs: dict[str, Any]) -> FoundResource:
    # Only the privileges can differ; any other change replaces the grant.
    return create(server, inputs)


def read(server: Connections, id_: str, state: dict[str, Any]) -> FoundResource | None:
    if not state.get("role"):
        raise ProviderError(
            f"a Grant cannot be imported; 'pulumi up' creates {id_!r} and changes only privileges that differ"
        )

    def work(session: Session) -> FoundResource | None:
        schema = state.get("schema")
        if session.role_oid(state["role"]) is None or (schema and session.schema_oid(schema) is None):
            return None
        return _describe(session, state)

    try:
        return server.run(_failure("read privileges", state), work, state["database"])
    except UnknownDatabaseError:
        return None


def delete(server: Connections, id_: str, state: dict[str, Any]) -> None:
    def work(session: Session) -> None:
        schema = state.get("schema")
        if session.role_oid(state["role"]) is None or (schema and session.schema_oid(schema) is None):
            return
        _lock(session, state)
        present = grant_targets.present(session, state)
        with session.acting_as(grant_targets.owners(session, state)):
            if state.get("objects") and not present.get("objects"):
                return
            listed = state["privileges"] if state.get("objects") else ["ALL"]
            if listed:
                _statement(session, "REVOKE", listed, present)

    try:
        server.run(_failure("revoke", state), work, state["database"])
    except UnknownDatabaseError:
        return


def _failure(verb: str, inputs: dict[str, Any]) -> str:
    place = inputs.get("schema") or inputs["database"]
    objects = ", ".join(sorted(inputs.get("objects") or []))
    on = f"{inputs['objectType']} {objects} in {place!r}" if objects else f"{inputs['objectType']} in {place!r}"
    return f"could not {verb} on {on} for {inputs['role']!r}"


def _complete(inputs: dict[str, Any]) -> None:
    """Raise for rules that Check skips while a property is unknown, with the official plugin's message."""
    if inputs["objectType"] != "database" and not inputs.get("schema"):
        raise ProviderError("parameter 'schema' is mandatory for a Grant on anything but a database")
    if inputs["objectType"] == "column" and not (inputs.get("objects") and inputs.get("columns")):
        raise ProviderError("a Grant on columns needs one table in 'objects', and 'columns'")


def _lock(session: Session, inputs: dict[str, Any]) -> None:
    session.lock_roles(inputs["role"])
    if inputs["objectType"] == "database":
        session.lock_database(inputs["database"])
    else:
        session.lock_schema(inputs["schema"])


def _reconcile(session: Session, inputs: dict[str, Any]) -> None:
    wanted = expand(inputs["objectType"], inputs["privileges"], session.version)
    before = _current(session, inputs)
    if inputs["objectType"] == "column":
        _statement(session, "GRANT", inputs["privileges"], inputs)
        return
    everywhere = inputs["objectType"] not in {"database", "schema"} and not inputs.get("objects")
    surplus = {word for granted in before.values() for word in granted} - wanted
    if everywhere and (surplus or not wanted):
        _statement(session, "REVOKE", ["ALL"], inputs)
    elif not wanted and inputs.get("objects"):
        # An empty list also revokes column privileges.
        _statement(session, "REVOKE", ["ALL"], inputs)
    elif surplus:
        _statement(session, "REVOKE", surplus, inputs)
    if wanted:
        _statement(session, "GRANT", inputs["privileges"], inputs)
    for name, current in _current(session, inputs).items():
        if current != wanted:
            # A REVOKE of a privilege that another role granted has no effect and raises no error.
            missing, left = ", ".join(sorted(wanted - current)), ", ".join(sorted(current - wanted))
            differs = f"still has {left}, granted by another role" if left else f"did not get {missing}"
            raise ProviderError(
                f"{_failure('grant', inputs)}: on {name!r} it {differs}; grant or revoke that as the owner"
            )


def _statement(session: Session, verb: str, privileges: Iterable[str], inputs: dict[str, Any]) -> None:
    listed: sql.Composable = words(privileges)
    if inputs["objectType"] == "column":
        columns = sql.SQL(", ").join(map(sql.Identifier, sorted(inputs["columns"])))
        listed = sql.SQL("{} ({})").format(listed, columns)
    on = grant_targets.clause(session, inputs)
    direction = "TO" if verb == "GRANT" else "FROM"
    statement = sql.SQL("{} {} ON {} {} {}").format(
        sql.SQL(verb),
        listed,
        on,
        sql.SQL(direction),
        grantee(inputs["role"]),
    )
    if verb == "GRANT" and inputs.get("withGrantOption"):
        statement += sql.SQL(" WITH GRANT OPTION")
    session.execute(statement)


def _current(session: Session, inputs: dict[str, Any]) -> dict[str, set[str]]:
    oid = session.role_oid(inputs["role"])
    if oid is None:
        raise ProviderError(f"{_failure('grant', inputs)}: role {inputs['role']!r} does not exist")
    return grant_targets.current_privileges(session, inputs, oid)


def _describe(session: Session, known: dict[str, Any]) -> FoundResource:
    outputs: dict[str, Any] = {
        name: known.get(name)
        for name in ("role", "database", "schema", "objectType", "withGrantOption")
        if name in known
    }
    for name in ("objects", "columns"):
        if known.get(name):
            outputs[name] = sorted(known[name])
    outputs["privileges"] = sorted(known["privileges"])
    current = _current(session, known)
    if known["objectType"] == "column":
        # Only columns that still have the privilege: the others need a new grant.
        outputs["columns"] = sorted(column for column in known["columns"] if current.get(column))
    else:
        wanted = expand(known["objectType"], known["privileges"], session.version)
        for _, words_ in sorted(current.items()):
            if words_ != wanted:
                outputs["privileges"] = sorted(words_)
                break
    return FoundResource(_id(known), outputs)


def _id(known: dict[str, Any]) -> str:
    """Return the id in the official plugin's form: parts joined by underscores, sets sorted by hash."""
    parts = [known["role"], known["database"]]
    if known["objectType"] != "database":
        parts.append(known.get("schema") or "")
    parts.append(known["objectType"])
    for name in ("objects", "columns"):
        parts.extend(sorted(known.get(name) or [], key=lambda item: str(zlib.crc32(item.encode()))))
    return "_".join(parts)
