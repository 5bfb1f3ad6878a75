"""What prevents a login from being dropped: named before anything is changed, with commands that work as printed.

On each supported PostgreSQL, by an admin with SUPERUSER and by one with CREATEROLE that inherits none of its roles.
"""

import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from tests.provider.base.harness import PluginClient, Resource, failure, plugin
from tests.provider.postgres.test_inventory import TOKEN, inputs, is_alive, kept, provider
from tests.support.other_postgres import RELEASES, OtherPostgres
from tools.local.servers.postgres import LocalPostgres

# On one worker, so that each server is started once.
pytestmark = pytest.mark.xdist_group("obstacles")
ROLE = "postgresql:index/role:Role"
REMEDY = re.compile(r"role (\S+) cannot be dropped: in database (\S+) it .*; as a superuser in database \2, run: (.*)")
# Statements of a superuser in the stack's database, after which DROP OWNED of the admin leaves something.
ONLY_A_SUPERUSER_REVOKES = """
GRANT EXECUTE ON FUNCTION pg_read_file(text) TO {0}; GRANT EXECUTE ON FUNCTION sum(int) TO {0}
GRANT USAGE ON TYPE int4 TO {0}; GRANT USAGE ON LANGUAGE sql TO {0}; GRANT CREATE ON TABLESPACE pg_default TO {0}
GRANT SET ON PARAMETER log_min_duration_statement TO {0}; GRANT CONNECT ON DATABASE template1 TO {0}
GRANT SELECT (rolname) ON pg_authid TO {0}
CREATE FOREIGN DATA WRAPPER "Odd w"; GRANT USAGE ON FOREIGN DATA WRAPPER "Odd w" TO {0}
CREATE SERVER "Odd s" FOREIGN DATA WRAPPER "Odd w"; GRANT USAGE ON FOREIGN SERVER "Odd s" TO {0}
SELECT lo_create(4711); GRANT SELECT ON LARGE OBJECT 4711 TO {0}
CREATE SCHEMA "Legacy"; GRANT USAGE ON SCHEMA "Legacy" TO {0}
CREATE SEQUENCE "Legacy".numbers; GRANT USAGE ON SEQUENCE "Legacy".numbers TO {0}
CREATE VIEW "Legacy".shown AS SELECT 1 AS one; GRANT SELECT ON "Legacy".shown TO {0}
CREATE MATERIALIZED VIEW "Legacy".shown_once AS SELECT 1 AS one; GRANT SELECT ON "Legacy".shown_once TO {0}
CREATE FUNCTION "Legacy".made() RETURNS int LANGUAGE sql AS 'SELECT 1'; ALTER FUNCTION "Legacy".made() OWNER TO {0}
"""
# Two chains of grants that lead to the login; its grantors may no longer use the schema.
PASSED_ON = """
CREATE SCHEMA shared; GRANT USAGE ON SCHEMA shared TO {1}, {2}
CREATE TABLE shared.things (id int, name text); GRANT SELECT, INSERT ON shared.things TO {1} WITH GRANT OPTION
GRANT SELECT (name) ON shared.things TO {2} WITH GRANT OPTION
SET ROLE {1}; GRANT SELECT ON shared.things TO {2} WITH GRANT OPTION; GRANT INSERT ON shared.things TO {0}
SET ROLE {2}; GRANT SELECT, SELECT (name) ON shared.things TO {0}; RESET ROLE
REVOKE USAGE ON SCHEMA shared FROM {1}, {2}
"""
# What DROP OWNED removes, also by an admin with CREATEROLE.
REMOVED = """
CREATE TABLE public.theirs (id int); GRANT SELECT ON public.theirs TO {0}; ALTER TABLE public.theirs OWNER TO {2}
CREATE POLICY one ON public.theirs TO {0}; ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO {0}
GRANT {1} TO {0} WITH ADMIN OPTION; SET ROLE {0}; GRANT {1} TO {2}; RESET ROLE
CREATE TABLE public.mine (id int); ALTER TABLE public.mine OWNER TO {0}
"""
ELSEWHERE = """
CREATE TABLE public.theirs (id int); GRANT SELECT ON public.theirs TO {0}; CREATE SCHEMA own AUTHORIZATION {0}
SET ROLE {0}; CREATE TABLE own.mine (id int); GRANT SELECT ON own.mine TO {1}
ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO {1}; RESET ROLE
"""


@pytest.fixture(scope="module", params=[16, 17, 18], ids="PostgreSQL {}".format)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalPostgres]:
    for release in RELEASES:
        if release.major == request.param:
            started: LocalPostgres = OtherPostgres(tmp_path_factory.mktemp(f"pg{release.major}") / "postgres", release)
            break
    else:
        started = LocalPostgres(tmp_path_factory.mktemp("pg") / LocalPostgres.name)
    started.start()
    try:
        yield started
    finally:
        started.remove()


class Environment:
    """A database with its admin, a login ``leaves`` and two others, and the databases ``other`` and ``closed``."""

    def __init__(self, server: LocalPostgres, attributes: str) -> None:
        suffix = uuid.uuid4().hex[:8]
        self.server, self.admin, self.database = server, f"admin_{suffix}", f"d_{suffix}"
        self.leaves, self.stays, self.third = f"leaves_{suffix}", f"stays_{suffix}", f"third_{suffix}"
        self.other, self.closed = f"other_{suffix}", f"closed_{suffix}"
        with server.connect() as superuser:
            superuser.execute(f"CREATE ROLE {self.admin} LOGIN {attributes} PASSWORD 'secret'".encode())
            for database in (self.other, self.closed):
                superuser.execute(f"CREATE DATABASE {database}".encode())
            superuser.execute(f"REVOKE CONNECT ON DATABASE {self.closed} FROM PUBLIC".encode())
            superuser.execute(f"CREATE DATABASE {self.database} OWNER {self.admin}".encode())
        with server.connect(self.database, user=self.admin, password="secret") as admin:
            for role in (self.leaves, self.stays, self.third):
                admin.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'secret'".encode())

    def run(self, statements: str, database: str = "") -> None:
        """Run statements as a superuser: {0} is the login that leaves, {1} and {2} are the others."""
        with self.server.connect(database or self.database) as superuser:
            for statement in re.split(r";\s+|\n+", statements.format(self.leaves, self.stays, self.third).strip()):
                superuser.execute(statement.encode())

    def opened(self, database: str) -> "psycopg.Connection[Any]":
        return self.server.connect(database, user=self.leaves, password="secret")

    @contextmanager
    def client(self) -> Iterator[PluginClient]:
        account = {"postgresAdminUser": self.admin, "postgresAdminPassword": "secret"}
        with provider(self.server, postgresDatabase=self.database, **account) as client:
            yield client

    def refusals(self, client: PluginClient) -> list[str]:
        """What a preview prints when the login leaves the mapping."""
        return client.check(TOKEN, inputs(self.stays), inputs(self.leaves, self.stays))[1]

    def run_printed(self, refusals: list[str]) -> None:
        for refused in refusals:
            remedy = REMEDY.fullmatch(refused.removeprefix("logins: "))
            assert remedy and remedy[1] == self.leaves, refused
            self.run(remedy[3], remedy[2])

    def drop(self) -> None:
        """Drop the role as the engine does after the inventory's update."""
        with plugin("postgresql") as client:
            client.configure(
                host=self.server.host, port=str(self.server.port), username=self.admin, password="secret", sslmode="disable",
                database=self.database, superuser="false", maxConnections="2",
            )  # fmt: skip
            client.delete(Resource(ROLE, self.leaves, {"name": self.leaves}, {"name": self.leaves}))

    def exists(self, role: str) -> bool:
        with self.server.connect() as superuser:
            return superuser.execute("SELECT FROM pg_roles WHERE rolname = %s", (role,)).fetchone() is not None


@pytest.fixture(params=["SUPERUSER", "CREATEROLE CREATEDB"])
def environment(request: pytest.FixtureRequest, server: LocalPostgres) -> Iterator[Environment]:
    made = Environment(server, request.param)
    yield made
    with server.connect() as superuser:
        for database in (made.database, made.other, made.closed):
            superuser.execute(f"DROP DATABASE {database} WITH (FORCE)".encode())


def test_the_printed_commands_let_a_login_go_whatever_it_has(environment: Environment) -> None:
    it = environment
    for statements in (ONLY_A_SUPERUSER_REVOKES, PASSED_ON, REMOVED, f"GRANT CREATE ON DATABASE {it.other} TO {{0}}"):
        it.run(statements)
    for database in (it.other, it.closed):
        it.run(ELSEWHERE, database)
    it.run(PASSED_ON, it.other)
    with it.client() as client:
        refusals = it.refusals(client)
        named = {REMEDY.sub(r"\2", refused.removeprefix("logins: ")): refused for refused in refusals}
        assert named.keys() == {it.database, it.other, it.closed}
        assert "table shared.things (through the GRANT OPTION of" in named[it.database]
        assert "owns schema own, owns table own.mine" in named[it.other]
        assert "public.theirs" not in named[it.database], "the stack can revoke it without anybody's help"
        it.run_printed(refusals)
        assert it.refusals(client) == []
        with it.opened(it.database) as session:
            client.update(kept(inputs(it.leaves, it.stays)), inputs(it.stays))
            assert not is_alive(session)
    it.drop()
    assert not it.exists(it.leaves)
    with it.server.connect(it.database) as superuser:
        owner = superuser.execute("SELECT tableowner FROM pg_tables WHERE tablename = 'mine'").fetchone()
    assert owner == (it.admin,), "the login's table is lost"


def test_a_temporary_table_in_another_database_goes_with_its_session(environment: Environment) -> None:
    it = environment
    it.run(f"GRANT CONNECT ON DATABASE {it.closed} TO PUBLIC")
    sessions = [it.opened(it.other), it.opened(it.closed)]
    for session in sessions:
        session.execute("CREATE TEMP TABLE scratch (id serial)")
    it.run(f"REVOKE CONNECT ON DATABASE {it.closed} FROM PUBLIC")
    with it.client() as client:
        assert it.refusals(client) == []
        client.update(kept(inputs(it.leaves, it.stays)), inputs(it.stays))
    assert not any(map(is_alive, sessions))
    it.drop()
    assert not it.exists(it.leaves)


def test_a_temporary_table_that_another_session_made_is_dropped_by_the_printed_command(
    environment: Environment,
) -> None:
    it = environment
    with it.server.connect(it.other) as somebody, it.client() as client:
        for statement in (f"SET ROLE {it.leaves}", "CREATE TEMP TABLE scratch (id serial)"):
            somebody.execute(statement.encode())
        (refused,) = it.refusals(client)
        assert "owns sequence pg_temp_" in refused, refused
        it.run_printed([refused])
        client.update(kept(inputs(it.leaves, it.stays)), inputs(it.stays))
        it.drop()
    assert not it.exists(it.leaves)


def test_an_update_is_refused_before_a_login_is_disabled_or_enables_it_again(environment: Environment) -> None:
    """A preview that cannot reach the server finds nothing, so the update checks again, and once sessions have ended."""
    it = environment
    it.run(f"GRANT CONNECT ON DATABASE {it.closed} TO PUBLIC; CREATE SCHEMA own AUTHORIZATION {{0}}", it.closed)
    hidden = it.opened(it.closed)  # an admin that may not connect there cannot rule out a temporary table
    it.run(f"REVOKE CONNECT ON DATABASE {it.closed} FROM PUBLIC")
    unchecked = Resource(TOKEN, "id", inputs(it.stays), inputs(it.leaves, it.stays))
    with it.opened(it.database) as session, it.client() as client:
        for act in (lambda: client.update(unchecked, inputs(it.stays)), lambda: client.delete(kept(inputs(it.leaves)))):
            refused = failure(act)
            assert f"role {it.leaves} cannot be dropped: in database {it.closed} it" in refused, refused
            it.opened(it.database).close()
            hidden.close()
        it.run_printed([refused])
        client.update(unchecked, inputs(it.stays))
        assert not is_alive(session)
    it.drop()
