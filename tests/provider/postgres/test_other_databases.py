"""Where logins may connect besides the stack's database, on a server of these tests' own."""

import uuid
from collections.abc import Iterator

import psycopg
import pytest

from provider.difference import Difference
from provider.errors import ProviderError
from provider.postgres.other_databases import drift, open_databases
from provider.postgres.server import PostgresServer
from tests.provider.base.harness import Resource, stellaops
from tests.provider.postgres.test_migrations_resource import settings
from tools.local.servers.postgres import LocalPostgres

TOKEN = "stellaops:postgres:ClosedDatabases"


@pytest.fixture(scope="module")
def own_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalPostgres]:
    server = LocalPostgres(tmp_path_factory.mktemp("own") / LocalPostgres.name)
    server.start()
    try:
        yield server
    finally:
        server.remove()


class Environment:
    """A database, its admin and the login of a module."""

    def __init__(self, server: LocalPostgres, admin_attributes: str) -> None:
        suffix = uuid.uuid4().hex[:8]
        self.server = server
        self.database, self.admin, self.module = f"d_{suffix}", f"admin_{suffix}", f"module_{suffix}"
        with server.connect() as superuser:
            for statement in (
                "GRANT CONNECT ON DATABASE postgres TO PUBLIC",
                "GRANT CONNECT ON DATABASE template1 TO PUBLIC",
                f"CREATE ROLE {self.admin} LOGIN {admin_attributes} PASSWORD 'secret'",
                f"CREATE ROLE {self.module} LOGIN PASSWORD 'secret'",
                f"CREATE DATABASE {self.database} OWNER {self.admin}",
                f"GRANT {self.module} TO {self.admin} WITH ADMIN TRUE",
            ):
                superuser.execute(statement.encode())

    def up(self, state: Resource | None = None) -> Resource:
        account = {"postgresAdminUser": self.admin, "postgresAdminPassword": "secret"}
        inputs = {"databases": ["postgres", "template1"]}
        with stellaops(**settings(self.server, postgresDatabase=self.database, **account)) as client:
            if state is None:
                return client.create(TOKEN, inputs)
            found = client.refresh(state)
            assert found is not None
            return client.update(found, inputs) if client.diff(found, inputs).detailed else found

    def enters(self, database: str, role: str = "") -> bool:
        try:
            self.server.connect(database, user=role or self.module, password="secret").close()
        except psycopg.OperationalError as error:
            if "permission denied for database" not in str(error):
                raise
            return False
        return True


def test_a_module_is_refused_by_the_maintenance_databases_and_those_who_run_the_server_are_not(
    own_server: LocalPostgres,
) -> None:
    one, two = Environment(own_server, "SUPERUSER"), Environment(own_server, "CREATEROLE CREATEDB")
    watcher, other = f"watcher_{one.database}", f"other_{one.database}"
    with own_server.connect() as superuser:
        superuser.execute(f"CREATE ROLE {watcher} LOGIN PASSWORD 'secret' IN ROLE pg_monitor".encode())
        superuser.execute(f"CREATE DATABASE {other}".encode())
        # A login of the stack stays one if somebody gives it such an attribute by hand.
        connect = f"{one.database}_connect"
        superuser.execute(f"CREATE ROLE {connect} ROLE {one.module}".encode())
        superuser.execute(f"GRANT CONNECT ON DATABASE {one.database} TO {connect}".encode())
        superuser.execute(f"ALTER ROLE {one.module} CREATEDB".encode())
    assert one.enters("postgres") and one.enters("template1")
    state = one.up()
    assert not one.enters("postgres") and not one.enters("template1")
    assert two.enters("postgres", two.admin), "the admin of the other environment could no longer create its database"
    assert one.enters("postgres", watcher), "monitoring would be blind"
    assert one.enters(other), "a database of somebody else was changed"

    two.up()
    assert not two.enters("postgres") and not one.enters("postgres")
    assert one.up(state=state) == state, "the two environments change each other's result"
    with own_server.connect() as superuser:
        superuser.execute(b"GRANT CONNECT ON DATABASE postgres TO PUBLIC")
    assert one.enters("postgres")
    one.up(state=state)
    assert not one.enters("postgres"), "a refresh did not find the grant"


def test_an_admin_that_owns_a_maintenance_database_keeps_its_access(own_server: LocalPostgres) -> None:
    one = Environment(own_server, "CREATEROLE CREATEDB")
    with own_server.connect() as superuser:
        superuser.execute(f"ALTER DATABASE postgres OWNER TO {one.admin}".encode())
    try:
        one.up()
        assert not one.enters("postgres") and one.enters("postgres", one.admin)
    finally:
        with own_server.connect() as superuser:
            superuser.execute(b"ALTER DATABASE postgres OWNER TO postgres")


def test_where_the_admin_may_not_the_printed_statement_refuses_the_module(own_server: LocalPostgres) -> None:
    one = Environment(own_server, "CREATEROLE CREATEDB")
    state = one.up()
    assert one.enters("postgres"), "an admin that is not the owner cannot change it"
    assert one.up(state=state) == state, "what the admin may not change must not be a change for ever"
    with own_server.connect(one.database, user=one.admin, password="secret") as admin:
        found = {item.name: item.commands(admin) for item in open_databases(admin)}
    assert {"postgres", "template1"} <= found.keys() and "template0" not in found
    for statements in found.values():
        with own_server.connect() as superuser:
            superuser.execute("; ".join(statements).encode())
    for database in found:
        assert not one.enters(database)
        assert one.enters(database, one.admin), "the statement would lock the admin out"


def test_an_admin_that_came_later_gets_the_statement_that_lets_it_in(own_server: LocalPostgres) -> None:
    Environment(own_server, "SUPERUSER").up()
    late = f"late_{uuid.uuid4().hex[:8]}"
    with own_server.connect() as superuser:
        superuser.execute(f"CREATE ROLE {late} LOGIN CREATEROLE PASSWORD 'secret'".encode())
    server = PostgresServer(own_server.host, own_server.port, late, "secret", "postgres", "postgres", "disable")
    with pytest.raises(ProviderError) as refused, server.connected():
        pass
    with own_server.connect() as superuser:
        superuser.execute(str(refused.value).split("run: ")[1].encode())
    with server.connected() as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_drift_names_the_memberships_through_which_a_module_enters_a_closed_database(own_server: LocalPostgres) -> None:
    one = Environment(own_server, "CREATEROLE CREATEDB")
    database, analysts, readers, owner = (
        f"{word}_{one.database}" for word in ("Reports", "Analysts", "readers", "owner")
    )
    with own_server.connect() as superuser:
        for statement in (
            f'CREATE ROLE "{analysts}" ROLE {one.admin}',
            f'CREATE ROLE {readers} IN ROLE "{analysts}"',
            f"CREATE ROLE {owner}",
            f'CREATE DATABASE "{database}" OWNER {owner}',
            f'REVOKE CONNECT ON DATABASE "{database}" FROM PUBLIC',
            f'GRANT CONNECT ON DATABASE "{database}" TO "{analysts}"',
            f"GRANT {readers} TO {one.admin} WITH ADMIN TRUE",
            f"SET ROLE {one.admin}",  # another grantor than the one that runs the command
            f"GRANT {readers} TO {one.module} WITH ADMIN TRUE",
            f"SET ROLE {one.module}",
            f"GRANT {readers} TO {owner}",
            "RESET ROLE",
            f"GRANT {owner} TO {one.module}",
        ):
            superuser.execute(statement.encode())

    def found(*accepted: str) -> list[Difference]:
        with own_server.connect(one.database, user=one.admin, password="secret") as admin:
            closed = {item.name for item in open_databases(admin)}
            return list(drift(admin, [one.module], accepted=[*closed, *accepted]))

    assert one.enters(database)
    (difference,) = found()
    assert difference.sentence.startswith(
        f"role {one.module} may connect to database {database}, because it is a member of {owner}, {readers}, and"
    )
    assert found(database) == [], "openDatabases accepts it"
    with own_server.connect() as superuser:
        superuser.execute(difference.remedy.encode())
    assert not one.enters(database) and found() == []
    assert one.enters(database, one.admin), "another member of the group was shut out"
