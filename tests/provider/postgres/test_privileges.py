"""``Privileges`` and ``AccessRevisions``: every privilege on tables and columns of a schema, and when it is looked at."""

import uuid
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from tests.provider.base.harness import PluginClient, Resource, failure, stellaops
from tests.provider.postgres.test_migrations_resource import settings
from tests.support.provider import settings as nowhere
from tools.local.servers.postgres import LocalPostgres

PRIVILEGES = "stellaops:postgres:Privileges"
REVISIONS = "stellaops:postgres:AccessRevisions"


@pytest.fixture(scope="module")
def offline() -> Iterator[PluginClient]:
    """Nothing answers where it points: whatever contacts a server fails."""
    with stellaops(**nowhere()) as client:
        yield client


def test_a_number_rises_with_each_change_and_is_never_given_twice(offline: PluginClient) -> None:
    def numbers(resource: Resource) -> dict[str, int]:
        return {name: int(number) for name, number in resource.outputs["revisions"].items()}

    first = offline.create(REVISIONS, {"access": {"vex": "1", "vuln": "1"}})
    assert first.id == "stellaops.access" and numbers(first) == {"vex": 1, "vuln": 1}
    second = offline.update(first, {"access": {"vex": "2", "vuln": "1"}})
    assert numbers(second) == {"vex": 2, "vuln": 1}
    without = offline.update(second, {"access": {"vuln": "1"}})
    back = offline.update(without, {"access": {"vex": "2", "vuln": "1"}})
    assert numbers(back)["vuln"] == 1 and numbers(back)["vex"] > 2


def test_an_import_gives_no_number_that_was_given_before(offline: PluginClient) -> None:
    first = offline.create(REVISIONS, {"access": {"vex": "1"}})
    again = offline.imported(REVISIONS, first.id)
    assert again is not None
    later = offline.update(again, {"access": {"vex": "1"}})
    assert later.outputs["revisions"]["vex"] > first.outputs["revisions"]["vex"], "privileges would not be checked"


class Schema:
    """A schema of its own with a table and two roles."""

    def __init__(self, server: LocalPostgres) -> None:
        suffix = uuid.uuid4().hex[:8]
        self.server, self.name, self.owner = server, f"s_{suffix}", f"s_{suffix}_owner"
        self.one, self.two = f"one_{suffix}", f"two_{suffix}"
        self.run(
            f"CREATE ROLE {self.owner}", f"CREATE ROLE {self.one}", f"CREATE ROLE {self.two}",
            f"CREATE SCHEMA {self.name} AUTHORIZATION {self.owner}", f"SET ROLE {self.owner}",
            f'CREATE TABLE {self.name}.things (id int, "Odd name" int)', f"CREATE TABLE {self.name}.finding_7 (id int)",
        )  # fmt: skip

    def run(self, *statements: str) -> None:
        with self.server.connect() as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def inputs(self, **access: dict[str, list[str]]) -> dict[str, Any]:
        roles = {getattr(self, name): tables for name, tables in access.items()}
        return {"schema": self.name, "owner": self.owner, "access": roles}

    def may(self, role: str, privilege: str, table: str = "things", column: str = "") -> bool:
        name = f"{self.name}.{table}"
        call = f"has_column_privilege('{role}', '{name}', '{column}', '{privilege}')"
        call = call if column else f"has_table_privilege('{role}', '{name}', '{privilege}')"
        with self.server.connect() as connection:
            row = connection.execute(f"SELECT {call}".encode()).fetchone()
        return row == (True,)


@pytest.fixture
def schema(postgres_server: LocalPostgres) -> Schema:
    return Schema(postgres_server)


@pytest.fixture
def client(postgres_server: LocalPostgres) -> Iterator[PluginClient]:
    with stellaops(**settings(postgres_server, postgresDatabase="postgres")) as made:
        yield made


def test_what_the_mapping_says_is_granted_and_all_else_revoked(schema: Schema, client: PluginClient) -> None:
    schema.run(f"GRANT ALL ON {schema.name}.things TO {schema.two}, PUBLIC")
    made = client.create(PRIVILEGES, schema.inputs(one={"things": ["SELECT", "UPDATE (Odd name)"]}))
    assert made.id == f"postgres.{schema.name}.privileges" and made.outputs["drift"] == []
    assert schema.may(schema.one, "SELECT") and schema.may(schema.one, "UPDATE", column="Odd name")
    assert not schema.may(schema.one, "UPDATE") and not schema.may(schema.one, "UPDATE", column="id")
    assert not schema.may(schema.two, "SELECT"), "neither by itself nor as PUBLIC"
    # To columns: the revoke on the table takes privileges on columns along.
    made = client.update(made, schema.inputs(one={"things": ["SELECT (id)", "UPDATE (id)"]}))
    assert schema.may(schema.one, "SELECT", column="id") and schema.may(schema.one, "UPDATE", column="id")
    assert not schema.may(schema.one, "SELECT", column="Odd name")
    client.delete(made)
    assert not schema.may(schema.one, "SELECT", column="id")


def test_what_was_passed_on_goes_with_the_option_to_pass_it_on(schema: Schema, client: PluginClient) -> None:
    schema.run(
        f"GRANT USAGE ON SCHEMA {schema.name} TO {schema.one}",
        f"GRANT SELECT ON {schema.name}.things TO {schema.one} WITH GRANT OPTION",
        f"SET ROLE {schema.one}",
        f"GRANT SELECT ON {schema.name}.things TO {schema.two}",
    )
    client.create(PRIVILEGES, schema.inputs(one={"things": ["SELECT"]}))
    assert schema.may(schema.one, "SELECT") and not schema.may(schema.one, "SELECT WITH GRANT OPTION")
    assert not schema.may(schema.two, "SELECT")


def test_tables_made_at_run_time_are_told_by_their_pattern(schema: Schema, client: PluginClient) -> None:
    client.create(PRIVILEGES, schema.inputs(one={"finding_{id}": ["SELECT"], "things": []}))
    assert schema.may(schema.one, "SELECT", "finding_7") and not schema.may(schema.one, "SELECT")


def test_a_refresh_names_what_differs_and_a_preview_of_it_is_an_update(schema: Schema, client: PluginClient) -> None:
    wanted = schema.inputs(one={"things": ["SELECT"]})
    made = client.create(PRIVILEGES, wanted)
    assert client.diff(made, wanted).detailed == {}
    schema.run(f"GRANT INSERT (id) ON {schema.name}.things TO {schema.two}")
    schema.run(f"REVOKE SELECT ON {schema.name}.things FROM {schema.one}")
    found = client.refresh(made)
    assert found is not None
    assert found.outputs["drift"] == [
        f"INSERT (id) on things for {schema.two}: not in the mapping",
        f"SELECT on things for {schema.one}: missing",
    ]
    assert client.diff(found, wanted).detailed == {"drift": "UPDATE"}
    assert client.update(found, wanted).outputs["drift"] == [] and schema.may(schema.one, "SELECT")


def test_the_diff_names_role_and_table(schema: Schema, offline: PluginClient) -> None:
    old = schema.inputs(one={"things": ["SELECT", "INSERT"]})
    state = Resource(PRIVILEGES, "id", old, {**old, "drift": []})
    same = schema.inputs(one={"things": ["INSERT", "SELECT"]})
    assert offline.diff(state, same).detailed == {}
    new = schema.inputs(one={"things": ["SELECT (id)"]}, two={"things": ["SELECT"]})
    assert offline.diff(state, new).detailed == {
        f"access.{schema.one}.things": "UPDATE",
        f"access.{schema.two}": "ADD",
    }


def test_a_column_that_does_not_exist_fails_and_changes_nothing(schema: Schema, client: PluginClient) -> None:
    wanted = schema.inputs(two={"things": ["SELECT"]}, one={"things": ["SELECT (nothing)"]})
    said = failure(lambda: client.create(PRIVILEGES, wanted))
    assert "nothing" in said and "Traceback" not in said
    assert not schema.may(schema.two, "SELECT")


def test_an_import_takes_what_there_is(schema: Schema, client: PluginClient) -> None:
    schema.run(f"GRANT SELECT, UPDATE (id) ON {schema.name}.things TO {schema.one}")
    found = client.imported(PRIVILEGES, f"postgres.{schema.name}.privileges")
    assert found is not None and found.inputs == schema.inputs(one={"things": ["SELECT", "UPDATE (id)"]})
    assert client.imported(PRIVILEGES, "postgres.nothing.privileges") is None
    assert "write it like" in failure(lambda: client.imported(PRIVILEGES, "other"))


def test_a_schema_or_an_owner_that_is_gone_is_no_reason_to_stop(schema: Schema, client: PluginClient) -> None:
    made = client.create(PRIVILEGES, schema.inputs(one={"things": ["SELECT"]}))
    schema.run(f"DROP SCHEMA {schema.name} CASCADE")
    assert client.refresh(made) is None
    client.delete(made)


def test_a_view_can_be_read_with_the_privileges_of_the_caller_only(schema: Schema, client: PluginClient) -> None:
    schema.run(
        f"SET ROLE {schema.owner}",
        f"CREATE VIEW {schema.name}.safe WITH (security_invoker) AS SELECT id FROM {schema.name}.things",
        f"CREATE VIEW {schema.name}.leak AS SELECT id FROM {schema.name}.things",
        f"CREATE MATERIALIZED VIEW {schema.name}.copy AS SELECT id FROM {schema.name}.things",
        f"GRANT SELECT ON {schema.name}.leak, {schema.name}.copy TO {schema.two}",
    )
    client.create(PRIVILEGES, schema.inputs(one={"things": ["SELECT (id)"]}, two={}))
    assert schema.may(schema.one, "SELECT", "safe") and schema.may(schema.two, "SELECT", "safe")
    for view in ("leak", "copy"):
        assert not schema.may(schema.one, "SELECT", view) and not schema.may(schema.two, "SELECT", view), view
    schema.run(f"GRANT USAGE ON SCHEMA {schema.name} TO {schema.one}, {schema.two}")
    schema.run(f"SET ROLE {schema.one}", f"SELECT * FROM {schema.name}.safe")
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="things"):
        schema.run(f"SET ROLE {schema.two}", f"SELECT * FROM {schema.name}.safe")


def test_whoever_may_insert_may_use_the_sequences_of_the_table(schema: Schema, client: PluginClient) -> None:
    schema.run(
        f"SET ROLE {schema.owner}",
        f"CREATE TABLE {schema.name}.counted (id serial, row_id int GENERATED ALWAYS AS IDENTITY, note text)",
        f"CREATE SEQUENCE {schema.name}.shared",
        f"ALTER TABLE {schema.name}.counted ADD other bigint DEFAULT nextval('{schema.name}.shared')",
        f"CREATE SEQUENCE {schema.name}.lonely",
        "RESET ROLE",
        f"GRANT USAGE ON SCHEMA {schema.name} TO {schema.one}, {schema.two}",
        f"GRANT UPDATE ON SEQUENCE {schema.name}.lonely TO {schema.two}",
    )
    wanted = schema.inputs(one={"counted": ["SELECT", "INSERT"]}, two={"counted": ["SELECT"]})
    made = client.create(PRIVILEGES, wanted)
    schema.run(f"SET ROLE {schema.one}", f"INSERT INTO {schema.name}.counted (note) VALUES ('first')")
    for sequence in ("counted_id_seq", "shared"):
        schema.run(f"SET ROLE {schema.two}", f"SELECT last_value FROM {schema.name}.{sequence}")
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match=sequence):
            schema.run(f"SET ROLE {schema.two}", f"SELECT nextval('{schema.name}.{sequence}')")
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="lonely"):
        schema.run(f"SET ROLE {schema.two}", f"SELECT setval('{schema.name}.lonely', 7)")
    schema.run(f"REVOKE USAGE ON SEQUENCE {schema.name}.shared FROM {schema.one}")
    found = client.refresh(made)
    assert found is not None and found.outputs["drift"] == [f"USAGE on shared for {schema.one}: missing"]


def test_a_sequence_of_no_table_is_for_writer_and_reader(schema: Schema, client: PluginClient) -> None:
    writer, reader = f"{schema.name}_writer", f"{schema.name}_reader"
    schema.run(
        f"CREATE ROLE {writer}", f"CREATE ROLE {reader}", f"GRANT USAGE ON SCHEMA {schema.name} TO {writer}, {reader}",
        f"SET ROLE {schema.owner}", f"CREATE SEQUENCE {schema.name}.lonely",
    )  # fmt: skip
    client.create(PRIVILEGES, {**schema.inputs(), "access": {writer: {}, reader: {}, schema.one: {}}})
    schema.run(f"SET ROLE {writer}", f"SELECT nextval('{schema.name}.lonely')")
    schema.run(f"SET ROLE {reader}", f"SELECT last_value FROM {schema.name}.lonely")
    for role, call in ((reader, "nextval"), (schema.one, "nextval")):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            schema.run(f"SET ROLE {role}", f"SELECT {call}('{schema.name}.lonely')")
