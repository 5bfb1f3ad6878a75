"""Modules and schemas that leave the mapping: what a preview says, what is kept, who is put out, and coming back.

The Postgres component with two modules of these tests' own, under the engine, by an admin without SUPERUSER.
"""

import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.support.stack import PROJECT
from tests.tools.offline_plugins.test_engine import Project
from tools.local.engine.tools import Engine
from tools.local.servers.postgres import LocalPostgres

PROGRAM = f"""
import json
from pathlib import Path

import pulumi

from components.mapping import load
from components.mapping.model import Module, Postgres as Schemas, Schema, Table
from components.postgres.component import PostgresArgs, PostgresComponent
from components.config.model import PostgresSettings
from components.resources.credentials import Credential
from components.resources.provider import Provider

s = json.load(open("settings.json"))
mapping = load(Path({str(PROJECT / "schema-mapping.yaml")!r}))
tables = {{"things": Table(purpose="Things", columns={{"id": "integer"}})}}
schemas = {{name: Schema(purpose=name, tables=tables) for name in s["names"]}}
modules = {{name: Module(name=name.title(), purpose=name, postgres={{"owns": [name]}}) for name in s["names"]}}
postgres = Schemas(defaults=mapping.postgres.defaults, schemas=schemas)
mapping = mapping.model_copy(update={{"modules": modules, "postgres": postgres}}).with_role_prefix(s["prefix"])
settings = PostgresSettings(
    host=s["host"], port=s["port"], admin_user=s["user"], admin_password=pulumi.Output.secret(s["password"]),
    database=s["database"], maintenance_database="postgres", ssl_mode="disable", superuser=False,
    drop_schemas=frozenset(s["drop"]), adopt_database=s["adopt"], role_prefix=s["prefix"],
)
none = dict.fromkeys(("valkey_host", "valkey_admin_user", "valkey_admin_password", "object_store_endpoint",
                      "object_store_region", "object_store_access_key", "object_store_secret_key"), "none")
provider = Provider(
    "stellaops", postgres_host=s["host"], postgres_port=s["port"], postgres_ssl_mode="disable",
    postgres_admin_user=s["user"], postgres_admin_password=s["password"], postgres_database=s["database"],
    postgres_maintenance_database="postgres", valkey_port=1, valkey_tls=False, **none,
)
opts = pulumi.ResourceOptions(provider=provider)
credentials = {{name: Credential(name, user=name, rotate=1, opts=opts) for name in modules}}
PostgresComponent("postgres", PostgresArgs(mapping, settings, credentials, provider, protect=False, sql_directory=Path("sql")))
for name, credential in credentials.items():
    pulumi.export(name, credential.postgres_password)
"""


class Stack:
    """A database with a schema and a module of each of two names; roles are the whole server's, so names are unique."""

    def __init__(self, directory: Path, engine: Engine, server: LocalPostgres, like: "Stack | None" = None) -> None:
        suffix = secrets.token_hex(3)
        self.stays: str = like.stays if like else f"stays_{suffix}"
        self.leaves: str = like.leaves if like else f"leaves_{suffix}"
        self.database = f"d_{suffix}"
        self.server = server
        user, password = f"admin_{suffix}", "secret"
        with server.connect() as connection:
            # As a cloud gives it.
            connection.execute(f"CREATE ROLE {user} LOGIN CREATEROLE CREATEDB PASSWORD '{password}'".encode())
            connection.execute(f"ALTER ROLE {user} SET createrole_self_grant = 'set, inherit'".encode())
        for name in (self.stays, self.leaves):
            files = directory / "sql" / name
            files.mkdir(parents=True)
            files.joinpath("0001_things.sql.j2").write_text("CREATE TABLE {{ schema }}.things (id int PRIMARY KEY);\n")
        settings = {
            "host": server.host, "port": server.port, "user": user, "password": password, "database": self.database,
            "names": [self.stays, self.leaves], "drop": [], "adopt": False, "prefix": "",
        }  # fmt: skip
        self.project = Project(directory, engine, settings, PROGRAM)

    def up(self) -> str:
        return self.project.must("up", "--yes", "--skip-preview")

    def login(self, module: str, database: str = "") -> "psycopg.Connection[Any]":
        password = self.project.must("stack", "output", "--show-secrets", module).strip()
        user = self.project.settings["prefix"] + module
        return self.server.connect(database or self.database, user=user, password=password)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with self.server.connect(self.database) as connection:
            return connection.execute(query.encode()).fetchall()

    def roles(self) -> set[str]:
        return {row[0] for row in self.rows(f"SELECT rolname FROM pg_roles WHERE rolname LIKE '{self.leaves}%'")}


@pytest.fixture
def stack(tmp_path: Path, engine: Engine, postgres_server: LocalPostgres) -> Iterator[Stack]:
    made = Stack(tmp_path, engine, postgres_server)
    made.up()
    with made.login(made.leaves) as module:
        module.execute(f"INSERT INTO {made.leaves}.things VALUES (7)".encode())
    yield made
    with postgres_server.connect() as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {made.database} WITH (FORCE)".encode())


def test_a_module_and_its_schema_leave_and_come_back_with_all_that_was_in_it(stack: Stack) -> None:
    name = stack.leaves
    session, other = stack.login(name), stack.login(stack.stays)
    stack.project.write(names=[stack.stays])
    preview = stack.project.must("preview", "--diff")
    assert re.search(rf'- {name} *: "{name.title()}"', preview), "a reviewer must see which login goes"
    assert re.search(rf'- {name} *: "kept with its tables', preview), "a reviewer must see what becomes of the data"
    assert "postgresql:index/schema:Schema: (delete[retain])" in preview
    assert session.execute("SELECT 1").fetchone() == (1,), "a preview ends no session"

    shown = stack.up()
    ended, dropped = (
        shown.index(words) for words in (f"{name}: disabled; ending 1 session", f"index:Role {name} deleting")
    )
    assert ended < dropped, "a session would go on as a role that is being dropped"
    with pytest.raises(psycopg.OperationalError):
        session.execute("SELECT 1")
    assert stack.roles() == set()
    assert stack.rows(f"SELECT id FROM {name}.things") == [(7,)], "data of a schema that nobody named was dropped"
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        other.execute(f"SELECT * FROM {name}.things".encode())
    assert other.execute(f"SELECT count(*) FROM {stack.stays}.things".encode()).fetchone() == (0,)
    other.close()

    stack.project.write(names=[stack.stays, name])
    assert f"{name}: found kept tables and returned them to {name}_owner" in stack.up()
    with stack.login(name) as module:
        assert module.execute(f"UPDATE {name}.things SET id = 8 RETURNING id".encode()).fetchall() == [(8,)]
    assert stack.project.nothing_to_do()
    stack.project.must("refresh", "--yes", "--skip-preview")
    assert stack.project.nothing_to_do(), "something still belongs to the admin"


def test_a_schema_goes_with_its_tables_only_when_it_was_named_before_it_left(stack: Stack) -> None:
    name = stack.leaves
    stack.project.write(names=[stack.stays], drop=[name])
    refused = stack.project.run("up", "--yes", "--skip-preview")
    said = refused.stdout + refused.stderr
    assert (
        refused.exit_code != 0
        and f"schema {name} leaves the mapping in the same run in which dropSchemas first names it" in said
    )
    assert "Traceback" not in said
    assert stack.rows(f"SELECT id FROM {name}.things") == [(7,)]

    stack.project.write(names=[stack.stays, name])
    stack.up()
    stack.project.write(names=[stack.stays])
    preview = stack.project.must("preview", "--diff")
    assert re.search(rf'- {name} *: "dropped with its tables', preview)
    assert "postgresql:index/schema:Schema: (delete)" in preview
    stack.up()
    assert stack.rows(f"SELECT to_regnamespace('{name}') IS NULL") == [(True,)]
    assert stack.roles() == set()
    assert stack.rows(f"SELECT count(*) FROM {stack.stays}.things") == [(0,)]


def test_a_destroyed_stack_keeps_its_data_and_takes_the_database_over_when_it_is_made_again(stack: Stack) -> None:
    session = stack.login(stack.leaves)
    stack.project.must("destroy", "--yes", "--skip-preview")
    with pytest.raises(psycopg.OperationalError):
        session.execute("SELECT 1")
    assert stack.roles() == set()
    assert stack.rows(f"SELECT id FROM {stack.leaves}.things") == [(7,)], "destroy dropped what nobody named"

    remedy = "pulumi config set stellaops-storage:adoptDatabase true"
    assert remedy in stack.project.must("preview"), "with the official plugin, up names no remedy"
    refused = stack.project.run("up", "--yes", "--skip-preview")
    said = refused.stdout + refused.stderr
    assert refused.exit_code != 0 and remedy in said, said
    assert stack.roles() == set(), "a refused run must leave nothing behind"
    stack.project.write(adopt=True)
    assert remedy not in stack.project.must("preview")
    stack.up()
    with stack.login(stack.leaves) as module:
        assert module.execute(f"SELECT id FROM {stack.leaves}.things".encode()).fetchall() == [(7,)]
    assert stack.project.nothing_to_do()
    stack.project.write(adopt=False)
    assert stack.project.nothing_to_do(), "taking over is asked for once"


@pytest.mark.parametrize("held", ["{}", "{}_owner", "{}_writer"])
def test_a_destroy_that_failed_at_a_role_leaves_a_stack_that_up_makes_whole(stack: Stack, held: str) -> None:
    role, other = held.format(stack.leaves), f"other_{stack.database}"
    with stack.server.connect() as connection:
        connection.execute(f"CREATE DATABASE {other}".encode())
    with stack.server.connect(other) as connection:
        connection.execute(f"CREATE SCHEMA held AUTHORIZATION {role}".encode())
    refused = stack.project.run("destroy", "--yes", "--skip-preview")
    said = refused.stdout + refused.stderr
    assert refused.exit_code != 0 and role in said and f"database {other}" in said, said
    stack.up()
    for name in (stack.stays, stack.leaves):
        with stack.login(name) as module:
            module.execute(f"SELECT id FROM {name}.things".encode())
    assert stack.rows(f"SELECT id FROM {stack.leaves}.things") == [(7,)]
    stack.project.must("refresh", "--yes", "--skip-preview")
    assert stack.project.nothing_to_do()

    with stack.server.connect() as connection:
        connection.execute(f"DROP DATABASE {other}".encode())
    stack.project.must("destroy", "--yes", "--skip-preview")
    assert stack.roles() == set()


REMEDY = re.compile(r"in database (\S+) it [^\n]*?; as a superuser in database \1, run: ([^\n]*?)(?:\. Examine|\n)")


def test_a_preview_names_what_holds_a_role_in_any_database_and_the_printed_commands_free_it(stack: Stack) -> None:
    name, other = stack.leaves, f"other_{stack.database}"
    with stack.server.connect() as superuser:
        superuser.execute(f"CREATE DATABASE {other}".encode())
    try:
        held = {
            other: (
                "CREATE SCHEMA reports AUTHORIZATION {0}",
                "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO {0}",
            ),
            stack.database: (
                "GRANT CREATE ON DATABASE {2} TO {0}",
                "GRANT EXECUTE ON FUNCTION pg_read_file(text) TO {0}",
                "CREATE SCHEMA legacy",
                "GRANT USAGE ON SCHEMA legacy TO {1}",
                "CREATE TABLE legacy.passed_on (id int)",
                "GRANT SELECT ON legacy.passed_on TO {1} WITH GRANT OPTION",
                "SET ROLE {1}",
                "GRANT SELECT ON legacy.passed_on TO {0}",
            ),
        }
        for database, statements in held.items():
            with stack.server.connect(database) as superuser:
                for statement in statements:
                    superuser.execute(statement.format(name, stack.stays, other).encode())
        stack.project.write(names=[stack.stays])
        for command in (("preview",), ("up", "--yes", "--skip-preview")):
            refused = stack.project.run(*command)
            said = refused.stdout + refused.stderr
            assert refused.exit_code != 0 and f"role {name} cannot be dropped" in said and "Traceback" not in said, said
        remedies = dict(REMEDY.findall(said))
        assert remedies.keys() == held.keys(), said
        with stack.login(name) as module:
            assert module.execute(f"SELECT id FROM {name}.things".encode()).fetchall() == [(7,)], "nothing was changed"
        for database, statements in remedies.items():
            with stack.server.connect(database) as superuser:
                superuser.execute(statements.encode())
        with stack.login(name, other) as session:
            session.execute("CREATE TEMP TABLE scratch (id int)")
            stack.project.must("preview")
            stack.up()
            with pytest.raises(psycopg.OperationalError):
                session.execute("SELECT 1")
        assert stack.roles() == set()
    finally:
        with stack.server.connect() as superuser:
            superuser.execute(f"DROP DATABASE {other} WITH (FORCE)".encode())


def test_what_a_login_made_in_the_database_does_not_hold_it_and_nothing_is_lost(stack: Stack) -> None:
    name = stack.leaves
    with stack.login(name) as module:
        module.execute(b"SELECT lo_from_bytea(4712, 'kept')")
    stack.project.write(names=[stack.stays])
    stack.up()
    assert stack.roles() == set()
    assert stack.rows("SELECT lo_get(4712)") == [(b"kept",)], "the large object must pass to the admin"
