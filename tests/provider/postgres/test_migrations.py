"""The migration runner on a real server: what it applies, what it refuses, and what is left after a failure."""

import re
import signal
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from psycopg import errors

from provider.postgres.migrations import apply, plan, silent
from provider.postgres.problems import MigrationError
from provider.postgres.run_lock import run_lock
from provider.postgres.session import Limits
from provider.postgres.target import SchemaTarget
from tests.support.scratch_schema import QUICK, RAW, TABLES, Schema, make_schema, runner
from tools.local.servers.postgres import LocalPostgres


@pytest.fixture
def server(postgres_server: LocalPostgres) -> LocalPostgres:
    return postgres_server


@pytest.fixture
def schema(server: LocalPostgres, tmp_path: Path) -> Schema:
    return make_schema(server, tmp_path)


def test_files_are_applied_in_order_as_the_owner_and_recorded(schema: Schema) -> None:
    schema.write(v0001_first_tables=TABLES, v0002_more="ALTER TABLE {{ schema }}.sources ADD name text;")
    applied = schema.apply()
    assert [(row.version, row.description) for row in applied] == [(1, "first tables"), (2, "more")]
    assert all(row.applied_at and row.checksum and len(row.checksum) == 64 for row in applied)
    owners = schema.rows(
        "SELECT DISTINCT relowner::regrole::text FROM pg_class WHERE relnamespace = to_regnamespace(%s)",
        schema.target.schema,
    )
    assert owners == [(schema.target.owner,)], "default privileges of the owner would not reach readers"


def test_the_version_table_is_exactly_the_references(schema: Schema) -> None:
    schema.write(v0001_a=TABLES)
    schema.apply()
    columns = schema.rows(
        """SELECT attname, format_type(atttypid, atttypmod), attnotnull FROM pg_attribute
           WHERE attrelid = %s::regclass AND attnum > 0 ORDER BY attnum""",
        f"{schema.target.schema}.schema_migrations",
    )
    assert columns == [
        ("version", "integer", True),
        ("description", "text", False),
        ("applied_at", "timestamp with time zone", False),
        ("checksum", "character varying(64)", False),
    ]


def test_a_second_run_changes_nothing(schema: Schema) -> None:
    schema.write(v0001_a=TABLES, v0002_b=RAW)
    first = schema.apply(("raw",))
    schema.lines.clear()
    assert schema.apply(("raw",)) == first
    assert schema.lines == [], "a no-op run must not touch tables, locks included"


def test_planning_lists_pending_files_and_changes_nothing(schema: Schema) -> None:
    schema.write(v0001_a=TABLES, v0002_b=RAW)
    with schema.connect() as connection:
        pending = plan(connection, schema.target, schema.directory).pending
    assert [script.migration.version for script in pending] == [1, 2]
    assert schema.tables() == set(), "a plan must have no side effect"


def test_a_checkout_with_other_line_ends_and_a_byte_order_mark_is_no_edit(schema: Schema) -> None:
    schema.write(v0001_a=TABLES + "-- two\nSELECT 1;\n")
    first = schema.apply()
    file = schema.directory / "0001_a.sql.j2"
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes().replace(b"\n", b"\r\n"))
    assert schema.apply() == first, "a checkout on Windows could not go on with a database made from Linux"


def edit(name: str, text: str) -> Callable[[Path], object]:
    return lambda directory: (directory / f"{name}.sql.j2").write_text(text)


def remove(*names: str) -> Callable[[Path], object]:
    def change(directory: Path) -> None:
        for name in names:
            (directory / f"{name}.sql.j2").unlink()

    return change


def rename(old: str, new: str) -> Callable[[Path], object]:
    return lambda directory: (directory / f"{old}.sql.j2").rename(directory / f"{new}.sql.j2")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (edit("0001_a", "SELECT 1"), "0001_a.sql.j2: it was edited after it was applied"),
        (remove("0001_a"), "0002_b.sql.j2: version 0001 is missing before 0002"),
        (remove("0002_b", "0003_new"), "the database is at version 0002, but 0002_b.sql.j2 is not here"),
        (rename("0002_b", "0002_c"), '0002_c.sql.j2: it was applied as "b"'),
        (edit("0002_z", "SELECT 1"), "0002_z.sql.j2: 0002_b.sql.j2 also has version 0002"),
        (edit("0005_e", "SELECT 1"), "0005_e.sql.j2: version 0004 is missing before 0005"),
        (edit("0004_d", "{{ x }}"), "0004_d.sql.j2:1: 'x' is undefined"),
        (edit("0004_d", ""), "0004_d.sql.j2: it has no statement"),
    ],
    ids=["edited", "missing", "unknown in the database", "renamed", "duplicate", "gap", "template error", "empty"],
)
def test_a_failed_check_applies_nothing(schema: Schema, change: Callable[[Path], object], said: str) -> None:
    schema.write(v0001_a=TABLES, v0002_b=RAW)
    schema.apply()
    before = schema.tables()
    schema.write(v0003_new="CREATE TABLE {{ schema }}.pending ();")
    change(schema.directory)
    assert said in schema.refusal()
    assert (schema.tables(), schema.versions()) == (before, [1, 2]), "a pending file was applied despite the error"


def test_a_pending_version_below_the_newest_applied_is_refused(schema: Schema) -> None:
    schema.write(v0001_a=TABLES, v0002_b=RAW)
    schema.apply()
    schema.run(f"DELETE FROM {schema.target.schema}.schema_migrations WHERE version = 1")
    assert "0001_a.sql.j2: it is out of order: version 0002 is applied already; rename it to 0003_" in schema.refusal()


def test_a_failing_file_is_rolled_back_and_names_statement_and_line(schema: Schema) -> None:
    bad = "CREATE TABLE {{ schema }}.half (id int);\n\n-- comment\nCREATE TABLE {{ schema }}.other (\n  id int,\n  x nope\n);\n"
    schema.write(v0001_a=TABLES, v0002_bad=bad, v0003_c=RAW)
    text = schema.refusal()
    name = schema.target.schema
    assert text.startswith(f'{schema.directory}/0002_bad.sql.j2:6: type "nope" does not exist'), text
    assert f"in `CREATE TABLE {name}.other (`" in text
    assert f"{name} stays at version 0001" in text
    assert "\n" not in text, "the engine shows errors as one line"
    assert (schema.tables(), schema.versions()) == ({"schema_migrations", "sources"}, [1]), "half a file stayed"
    schema.write(v0002_bad=bad.replace("nope", "text"))
    assert len(schema.apply()) == 3, "a mended file must go through"


def test_an_error_without_a_position_is_blamed_on_its_statement(schema: Schema) -> None:
    text = "CREATE TABLE {{ schema }}.t (id int);\nINSERT INTO {{ schema }}.t\n  SELECT 1 / (1 - g) FROM generate_series(1, 2) g;\n"
    schema.write(v0001_a=text)
    assert "0001_a.sql.j2:2: division by zero in `INSERT INTO" in schema.refusal()


def test_what_fails_only_at_commit_still_leaves_nothing(schema: Schema) -> None:
    late = (
        "CREATE TABLE {{ schema }}.t (id int, CONSTRAINT once UNIQUE (id) DEFERRABLE INITIALLY DEFERRED);\n"
        "INSERT INTO {{ schema }}.t VALUES (1), (1);\n"
    )
    schema.write(v0001_a=late)
    assert "0001_a.sql.j2: duplicate key value violates unique constraint" in schema.refusal()
    assert schema.versions() == []


def test_names_must_be_qualified(schema: Schema) -> None:
    schema.write(v0001_a="CREATE TABLE lost (id int);")
    assert "no schema has been selected to create in" in schema.refusal(), "tables would land in schema public"


def test_a_run_waits_for_the_lock_only_so_long_and_names_the_holder(schema: Schema) -> None:
    schema.write(v0001_a=TABLES)
    with schema.connect() as connection, run_lock(connection, schema.target, QUICK, silent):
        text = schema.refusal()
    holder = re.search(r"by server process (\d+) of postgres", text)
    assert holder, "nobody would know whom to ask"
    assert f"pg_terminate_backend({holder[1]})" in text
    assert schema.tables() == set()
    assert len(schema.apply()) == 1, "the lock must be free again"


@pytest.mark.parametrize("mode", ["SHARE UPDATE EXCLUSIVE", "SHARE", "EXCLUSIVE", "ACCESS EXCLUSIVE"])
def test_a_writer_of_the_schema_cannot_take_the_lock(schema: Schema, mode: str) -> None:
    schema.write(v0001_a=TABLES)
    schema.apply()
    name = schema.target.schema
    schema.run(
        f"GRANT USAGE ON SCHEMA {name} TO {name}_writer",
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON {name}.sources TO {name}_writer",
    )
    table = f"{name}.schema_migrations"
    with schema.connect(autocommit=False) as module:
        module.execute(f"SET ROLE {name}_writer".encode())
        with pytest.raises(errors.InsufficientPrivilege, match="permission denied for table"):
            module.execute(f"LOCK TABLE {table} IN {mode} MODE".encode())


def test_who_blocks_a_migration_is_named_with_the_command_that_ends_it(schema: Schema) -> None:
    schema.write(v0001_a=TABLES)
    schema.apply()
    schema.write(v0002_b="ALTER TABLE {{ schema }}.sources ADD name text;")
    with closing(schema.connect(autocommit=False)) as reader:
        reader.execute(f"SELECT * FROM {schema.target.schema}.sources".encode())
        pid = reader.info.backend_pid
        text = schema.refusal()
        assert f"server process {pid} of postgres" in text and f"SELECT pg_terminate_backend({pid})" in text, text
        schema.rows(f"SELECT pg_terminate_backend({pid})")
        assert len(schema.apply()) == 2, "the printed command must work"


def test_two_runners_at_once_apply_each_file_once(schema: Schema) -> None:
    slow = TABLES + "SELECT pg_catalog.pg_sleep(0.5);\n"
    schema.write(v0001_a=slow, v0002_b=RAW)
    results: list[object] = []

    def run() -> None:
        try:
            results.append(len(schema.apply(("raw",), Limits(run_lock=20))))
        except MigrationError as error:
            results.append(error)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [2] * 4, "one runner must apply, and the others find it done"
    assert sum("applied 0001" in line for line in schema.lines) == 1


def test_a_table_that_is_in_use_is_tried_again_and_then_given_up(schema: Schema) -> None:
    schema.write(v0001_a=TABLES)
    schema.apply()
    schema.write(v0002_b="ALTER TABLE {{ schema }}.sources ADD name text;")
    with schema.connect(autocommit=False) as reader:
        reader.execute(f"SELECT * FROM {schema.target.schema}.sources".encode())
        text = schema.refusal()
        assert "0002_b.sql.j2:1: canceling statement due to lock timeout" in text
        assert "another session holds a lock on the table" in text
        assert sum("trying again" in line for line in schema.lines) == QUICK.retries
        threading.Timer(0.3, reader.rollback).start()
        assert len(schema.apply(limits=Limits(lock_timeout=100, pause=0.2))) == 2, "the reader left in time"


def test_a_run_killed_in_the_middle_of_a_file_leaves_the_version_before_it(schema: Schema) -> None:
    schema.write(v0001_a=TABLES, v0002_b=RAW + "SELECT pg_catalog.pg_sleep(60);\n", v0003_c="SELECT 3")
    query = (
        "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%%pg_sleep(60)%%' AND state = 'active'"
        " AND pid <> pg_backend_pid()"
    )
    with runner(schema) as process:
        deadline = time.monotonic() + 20
        while schema.rows(query + " AND %s = %s", 1, 1)[0][0] == 0:
            assert process.poll() is None and time.monotonic() < deadline, "the run did not get to the second file"
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert (schema.tables(), schema.versions()) == ({"schema_migrations", "sources"}, [1])
    schema.write(v0002_b=RAW)
    started = time.monotonic()
    assert len(schema.apply(limits=Limits(run_lock=20))) == 3, "the next run must converge"
    assert time.monotonic() - started < 10, (
        "the server must notice that the client is gone, not sleep out its statement"
    )


def test_an_object_of_somebody_else_fails_the_run(schema: Schema) -> None:
    schema.write(v0001_a=TABLES)
    name = schema.target.schema
    schema.run(f"CREATE TABLE {name}.alien (id serial)", f"CREATE TYPE {name}.kind AS ENUM ('a')")
    schema.run(f"CREATE FUNCTION {name}.f() RETURNS int LANGUAGE sql AS 'SELECT 1'")
    text = schema.refusal()
    for thing in (f"table {name}.alien", f"type {name}.kind", f"function {name}.f()", f"sequence {name}.alien_id_seq"):
        assert f"{thing} belongs to postgres, not to {name}_owner" in text, "readers could not see it"
    assert len(text.splitlines()) == 4, f"indexes, row types and array types follow their table: {text}"


def test_a_schema_or_role_that_is_not_there_is_named(schema: Schema) -> None:
    schema.write(v0001_a=TABLES)
    schema.target = SchemaTarget("nowhere", schema.target.owner)
    assert schema.refusal().startswith("nowhere: the schema does not exist")
    schema.target = SchemaTarget("nowhere", "nobody_owner")
    assert schema.refusal().startswith("role nobody_owner: it does not exist")


@pytest.fixture
def create_role_admin(server: LocalPostgres) -> dict[str, str]:
    """An admin as a cloud gives it: CREATEROLE, no SUPERUSER."""
    name = f"admin_{uuid.uuid4().hex[:8]}"
    with server.connect() as connection:
        connection.execute(f"CREATE ROLE {name} LOGIN CREATEROLE CREATEDB PASSWORD 'secret'".encode())
    return {"user": name, "password": "secret"}


def test_an_admin_without_superuser_can_migrate_what_it_made(
    server: LocalPostgres, create_role_admin: dict[str, str], tmp_path: Path
) -> None:
    name = f"s_{uuid.uuid4().hex[:8]}"
    with server.connect(**create_role_admin) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
        connection.execute(f"CREATE ROLE {name}_owner".encode())
    schema = Schema(server, name, SchemaTarget(name, f"{name}_owner"), tmp_path, admin=create_role_admin)
    # Made by the superuser, to see that the runner itself needs no more than the owner role.
    schema.run(f"CREATE SCHEMA {name} AUTHORIZATION {name}_owner")
    schema.write(v0001_a=TABLES, v0002_b=RAW)
    assert len(schema.apply(("raw",))) == 2
    admin = create_role_admin["user"]
    assert schema.lines[0].startswith(f"granted {name}_owner to {admin}"), "a grant that the run makes must be told"
    assert schema.rows("SELECT pg_has_role(%s, %s, 'USAGE')", admin, schema.target.owner) == [(False,)], (
        "inherits too much"
    )
    schema.lines.clear()
    assert len(schema.apply(("raw",))) == 2
    assert schema.lines == [], "it was granted already"


def test_an_admin_that_may_not_become_the_owner_is_told_what_to_run(
    schema: Schema, create_role_admin: dict[str, str]
) -> None:
    schema.write(v0001_a=TABLES)
    schema.admin = create_role_admin
    owner, admin = schema.target.owner, create_role_admin["user"]
    assert f"run: GRANT {owner} TO {admin} WITH INHERIT FALSE, SET TRUE" in schema.refusal()
    assert schema.tables() == set()


def test_a_lost_connection_is_one_line(schema: Schema) -> None:
    schema.write(v0001_a="SELECT pg_catalog.pg_terminate_backend(pg_catalog.pg_backend_pid());")
    schema.run(f"GRANT pg_signal_backend TO {schema.target.owner}")
    schema.run(f"ALTER ROLE {schema.target.owner} SUPERUSER")
    with schema.connect() as connection, pytest.raises(MigrationError) as caught:
        apply(connection, schema.target, schema.directory, (), QUICK)
    assert len(str(caught.value).splitlines()) == 1
    assert "0001_a.sql.j2:1: terminating connection" in str(caught.value)


def test_a_refused_statement_needs_no_superuser_to_be_refused(schema: Schema) -> None:
    schema.write(v0001_a="CREATE ROLE sneaky;")
    with pytest.raises(MigrationError, match="permission denied to create role"):
        schema.apply()
    with schema.connect() as connection, pytest.raises(errors.UndefinedObject):
        connection.execute("SELECT 'sneaky'::regrole")
