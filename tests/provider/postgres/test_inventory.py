"""Logins that leave: disabled, and their sessions ended, by an admin with and without SUPERUSER."""

import uuid
from typing import Any

import psycopg
import pytest
from psycopg import sql
from pulumi.dynamic import Config, ConfigureRequest

from provider.postgres.inventory import DROPPED, KEPT, InventoryProvider
from tests.provider.postgres.test_migrations_resource import settings
from tools.local.servers.postgres import Postgres


def provider(server: Postgres, **changes: str) -> InventoryProvider:
    made = InventoryProvider()
    values = settings(server, postgresDatabase="postgres", **changes)
    made.configure(ConfigureRequest(Config(values, "stellaops-storage")))
    return made


def inputs(*logins: str, drop: tuple[str, ...] = (), **schemas: str) -> dict[str, Any]:
    return {"logins": {name: name.title() for name in logins}, "schemas": schemas, "drop_schemas": list(drop)}


@pytest.fixture
def admin(postgres_server: Postgres) -> dict[str, str]:
    """An admin as a cloud gives it: CREATEROLE, no SUPERUSER."""
    name = f"admin_{uuid.uuid4().hex[:8]}"
    with postgres_server.connect() as connection:
        connection.execute(f"CREATE ROLE {name} LOGIN CREATEROLE PASSWORD 'secret'".encode())
    return {"user": name, "password": "secret"}


def login(server: Postgres, **admin: str) -> str:
    name = f"module_{uuid.uuid4().hex[:8]}"
    with server.connect(**admin) as connection:
        statement = sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'secret'").format(sql.Identifier(name))
        connection.execute(statement)
    return name


def opened(server: Postgres, name: str) -> "psycopg.Connection[Any]":
    return server.connect(user=name, password="secret")


def is_alive(connection: "psycopg.Connection[Any]") -> bool:
    try:
        connection.execute("SELECT 1")
    except psycopg.OperationalError:
        return False
    return True


@pytest.mark.parametrize("superuser", [True, False], ids=["superuser", "no superuser"])
def test_a_login_that_leaves_is_put_out_and_stays_out(
    postgres_server: Postgres, admin: dict[str, str], superuser: bool
) -> None:
    maker = {} if superuser else admin
    account = {} if superuser else {"postgresAdminUser": admin["user"], "postgresAdminPassword": "secret"}
    goes, stays = login(postgres_server, **maker), login(postgres_server, **maker)
    with (
        opened(postgres_server, goes) as first,
        opened(postgres_server, goes) as second,
        opened(postgres_server, stays) as other,
    ):
        provider(postgres_server, **account).update("id", inputs(goes, stays), inputs(stays))
        assert (is_alive(first), is_alive(second)) == (False, False), "it would go on as a role that is being dropped"
        assert is_alive(other), "a module that stays was put out"
    with pytest.raises(psycopg.OperationalError, match="not permitted to log in"):
        opened(postgres_server, goes)
    opened(postgres_server, stays).close()


def test_a_destroy_puts_everybody_out_and_tolerates_who_is_gone(postgres_server: Postgres) -> None:
    one, two = login(postgres_server), login(postgres_server)
    with opened(postgres_server, one) as first, opened(postgres_server, two) as second:
        provider(postgres_server).delete("id", inputs(one, two, "nobody_there"))
        assert not is_alive(first) and not is_alive(second)


def test_a_database_that_is_gone_is_no_reason_to_stop(postgres_server: Postgres) -> None:
    made = InventoryProvider()
    values = settings(postgres_server, postgresDatabase="gone")
    made.configure(ConfigureRequest(Config(values, "stellaops-storage")))
    made.delete("id", inputs("nobody_there"))


def test_creating_it_and_adding_a_login_ask_no_server(postgres_server: Postgres) -> None:
    away = provider(postgres_server, postgresPort="1")
    created = away.create(inputs("a"))
    assert created.outs == inputs("a")
    assert away.update("id", inputs("a"), inputs("a", "b")).outs == inputs("a", "b")


def test_only_a_change_is_a_change() -> None:
    made = InventoryProvider()
    assert not made.diff("id", inputs("a", vex=KEPT), inputs("a", vex=KEPT)).changes
    for news in (inputs(vex=KEPT), inputs("a"), inputs("a", vex=DROPPED), inputs("a", drop=("vex",), vex=KEPT)):
        assert made.diff("id", inputs("a", vex=KEPT), news).changes


@pytest.mark.parametrize(
    ("olds", "news", "refused"),
    [
        (inputs(vex=KEPT), inputs(drop=("vex",)), True),
        (inputs(vex=KEPT), inputs(drop=("*",)), True),
        (inputs(vex=KEPT), inputs(), False),
        (inputs(vex=DROPPED), inputs(drop=("vex",)), False),
        (inputs(vex=KEPT), inputs(drop=("vex",), vex=DROPPED), False),
        ({}, inputs(drop=("vex",)), False),
    ],
    ids=["named too late", "all named too late", "kept", "named before", "named and still there", "new stack"],
)
def test_a_schema_is_not_dropped_by_naming_it_when_it_has_left(
    olds: dict[str, Any], news: dict[str, Any], refused: bool
) -> None:
    failures = InventoryProvider().check(olds, news).failures
    assert [bool("put it back into the mapping" in failure.reason) for failure in failures] == [True] * refused
