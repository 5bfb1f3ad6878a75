"""``Inventory``: which logins and schemas the stack answers for, so that a preview says who goes, and what is kept.

A login that leaves the mapping is disabled and its sessions are ended when this resource is updated; the engine drops
roles after all updates, so nobody is at work as a role that is being dropped. Schemas are only told of here: the
schema resource itself keeps or drops its tables.
"""

import time
from typing import Any

import pulumi
from psycopg import sql
from pulumi.dynamic import (
    CheckFailure,
    CheckResult,
    ConfigureRequest,
    CreateResult,
    DiffResult,
    Resource,
    ResourceProvider,
    UpdateResult,
)

from provider.errors import ProviderError, report_in_one_line
from provider.postgres.server import MissingDatabaseError, Server
from provider.postgres.session import Connection

KEPT = "kept with its tables when it leaves the mapping, as the admin's"
DROPPED = "dropped with its tables when it leaves the mapping"
SESSIONS_END_SECONDS = 30
_POLL_SECONDS = 0.1
_INPUTS = ("logins", "schemas", "drop_schemas")


class InventoryProvider(ResourceProvider):
    """Retires logins. Class and module are importable, so that state holds a reference and no code."""

    serialize_as_secret_always = False
    _server: Server

    def configure(self, req: ConfigureRequest) -> None:
        report_in_one_line()
        self._server = Server.configured(req)

    def check(self, _olds: dict[str, Any], news: dict[str, Any]) -> CheckResult:
        """A schema that the last ``up`` was told to keep is kept; naming it in the same breath comes too late."""
        named = news["drop_schemas"]
        failures = [
            CheckFailure(
                "drop_schemas",
                f"schema {schema} leaves the mapping and is named in dropSchemas at once, but the last up was told to "
                f"keep it; put it back into the mapping, run up, and then take it out; or keep it: take it out of "
                f"dropSchemas",
            )
            for schema, fate in (_olds.get("schemas") or {}).items()
            if schema not in news["schemas"] and fate == KEPT and ("*" in named or schema in named)
        ]
        return CheckResult(news, failures)

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        return DiffResult(changes=any(_olds.get(key) != _news[key] for key in _INPUTS), replaces=[])

    def create(self, props: dict[str, Any]) -> CreateResult:
        return CreateResult(f"{self._server.database}.inventory", _outs(props))

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        self._retire(sorted(set(_olds["logins"]) - set(_news["logins"])))
        return UpdateResult(_outs(_news))

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        self._retire(sorted(_props["logins"]))

    def _retire(self, logins: list[str]) -> None:
        if not logins:
            return
        try:
            with self._server.connected() as connection:
                for login in logins:
                    retire(connection, login)
        except MissingDatabaseError:
            # Whoever dropped it by hand left nothing to log in to.
            return


def retire(connection: Connection, login: str) -> None:
    """Let nobody log in as ``login`` any more, and end its sessions. A login that is gone is no error.

    Raises ``ProviderError`` when a session does not end in ``SESSIONS_END_SECONDS``.
    """
    if connection.execute("SELECT FROM pg_catalog.pg_roles WHERE rolname = %s", (login,)).fetchone() is None:
        return
    connection.execute(sql.SQL("ALTER ROLE {} NOLOGIN").format(sql.Identifier(login)))
    deadline = time.monotonic() + SESSIONS_END_SECONDS
    may_end = False
    while sessions := _sessions(connection, login):
        if not may_end:
            _make_able_to_end_sessions(connection, login)
            may_end = True
            print(f"{login}: disabled; ending {len(sessions)} session(s)", flush=True)
        if time.monotonic() > deadline:
            raise ProviderError(
                f"{len(sessions)} session(s) of {login} did not end within {SESSIONS_END_SECONDS} s; see "
                f"pg_stat_activity for server process(es) {', '.join(map(str, sessions))}, then run up again"
            )
        for pid in sessions:
            connection.execute("SELECT pg_catalog.pg_terminate_backend(%s)", (pid,))
        time.sleep(_POLL_SECONDS)


def _sessions(connection: Connection, login: str) -> list[int]:
    rows = connection.execute("SELECT pid FROM pg_catalog.pg_stat_activity WHERE usename = %s", (login,)).fetchall()
    return [int(row[0]) for row in rows]


def _make_able_to_end_sessions(connection: Connection, login: str) -> None:
    """An admin without SUPERUSER may end the sessions of roles whose privileges it has; this one is about to go."""
    row = connection.execute("SELECT pg_catalog.pg_has_role(%s, 'USAGE')", (login,)).fetchone()
    if not (row and row[0]):
        grant = sql.SQL("GRANT {} TO CURRENT_USER WITH INHERIT TRUE, SET FALSE")
        connection.execute(grant.format(sql.Identifier(login)))


class Inventory(Resource, module="storage", name="PostgresInventory"):
    """``logins``: module -> its display name. ``schemas``: schema -> ``KEPT`` or ``DROPPED``. ``drop_schemas``: as the
    stack's config names them. Make it depend on the logins' roles, so that a destroy ends their sessions first."""

    def __init__(
        self,
        name: str,
        *,
        logins: dict[str, str],
        schemas: dict[str, str],
        drop_schemas: list[str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        props = {"logins": logins, "schemas": schemas, "drop_schemas": drop_schemas}
        super().__init__(InventoryProvider(), name, props, opts)


def _outs(props: dict[str, Any]) -> dict[str, Any]:
    return {key: props[key] for key in _INPUTS}
