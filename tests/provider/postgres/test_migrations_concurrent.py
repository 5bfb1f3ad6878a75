"""Migrations that are no transaction: CREATE INDEX CONCURRENTLY, what it leaves when it fails, and the next run."""

import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from provider.postgres.migrations import apply
from provider.postgres.problems import MigrationError
from provider.postgres.session import Limits
from tests.support.scratch_schema import QUICK, TABLES, Schema, make_schema, runner
from tools.local.servers.postgres import LocalPostgres

INDEX = (
    "-- The index of a table that is in use.\n-- transactional: false\n\n"
    "CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS sources_name_idx ON {{ schema }}.sources (name);\n"
)
NAMED = TABLES.replace("id int PRIMARY KEY", "id int PRIMARY KEY, name text")


@pytest.fixture
def schema(postgres_server: LocalPostgres, tmp_path: Path) -> Schema:
    made = make_schema(postgres_server, tmp_path)
    made.write(v0001_tables=NAMED)
    made.apply()
    return made


def validity(schema: Schema) -> list[bool]:
    query = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(%s)"
    return [row[0] for row in schema.rows(query, f"{schema.target.schema}.sources_name_idx")]


def wait_for(what: Callable[[], object], words: str) -> None:
    deadline = time.monotonic() + 20
    while not what():
        assert time.monotonic() < deadline, words
        time.sleep(0.05)


def is_building(schema: Schema) -> bool:
    """Whether a CREATE INDEX CONCURRENTLY of the schema has got so far that its index is in the catalog."""
    return bool(validity(schema))


def test_an_index_is_made_concurrently_as_the_owner_and_recorded(schema: Schema) -> None:
    schema.write(v0002_index=INDEX)
    with schema.connect(autocommit=False) as writer:
        # A plain CREATE INDEX would wait for this transaction, and every later writer for the index.
        writer.execute(f"INSERT INTO {schema.target.schema}.sources VALUES (1, 'a')".encode())
        done: list[object] = []
        thread = threading.Thread(target=lambda: done.append(schema.apply(limits=Limits())))
        thread.start()
        wait_for(lambda: is_building(schema), "the run did not begin")
        with schema.connect() as other:
            other.execute(
                f"SET lock_timeout = '2s'; INSERT INTO {schema.target.schema}.sources VALUES (2, 'b')".encode()
            )
        writer.commit()
        thread.join()
    assert validity(schema) == [True] and schema.versions() == [1, 2]
    assert len(done) == 1
    owner = schema.rows(
        "SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = to_regclass(%s)",
        f"{schema.target.schema}.sources_name_idx",
    )
    assert owner == [(schema.target.owner,)]


def test_without_the_header_the_remedy_is_named(schema: Schema) -> None:
    schema.write(v0002_index=INDEX.replace("-- transactional: false\n", ""))
    text = schema.refusal()
    assert "0002_index.sql.j2:3: CREATE INDEX CONCURRENTLY cannot run inside a transaction block" in text
    assert "its own file that begins with `-- transactional: false`" in text
    assert schema.versions() == [1]


@pytest.mark.parametrize("fails", [False, True], ids=["done", "failed"])
def test_the_session_is_itself_again_afterwards(schema: Schema, fails: bool) -> None:
    schema.write(v0002_index=INDEX)
    if fails:
        schema.run(f"INSERT INTO {schema.target.schema}.sources VALUES (1, 'a'), (2, 'a')")
    query = "SELECT current_user, current_setting('search_path'), current_setting('lock_timeout'), current_setting('statement_timeout')"
    with schema.connect() as connection:
        before = connection.execute(query.encode()).fetchone()
        try:
            apply(connection, schema.target, schema.directory, (), QUICK)
        except MigrationError:
            assert fails
        assert connection.execute(query.encode()).fetchone() == before, "the next file would run as somebody else"
    assert schema.versions() == ([1] if fails else [1, 2])


def test_an_index_that_fails_is_named_as_invalid_and_the_next_run_makes_it_anew(schema: Schema) -> None:
    name = schema.target.schema
    schema.run(f"INSERT INTO {name}.sources VALUES (1, 'a'), (2, 'a')")
    schema.write(v0002_index=INDEX)
    text = schema.refusal()
    assert "0002_index.sql.j2:4: could not create unique index" in text and "in `CREATE UNIQUE INDEX" in text
    assert f"{name} stays at version 0001" in text
    assert f"index {name}.sources_name_idx is left INVALID; the next run drops it first" in text
    assert "\n" not in text
    assert validity(schema) == [False] and schema.versions() == [1]
    schema.run(f"DELETE FROM {name}.sources WHERE id = 2")
    schema.lines.clear()
    assert len(schema.apply()) == 2
    assert validity(schema) == [True], "IF NOT EXISTS alone would have taken the INVALID one for good"
    assert any(
        "dropping index sources_name_idx, which an interrupted run left INVALID" in line for line in schema.lines
    )


def test_an_invalid_index_of_somebody_else_is_named_and_left_alone(schema: Schema) -> None:
    name = schema.target.schema
    schema.run(f"INSERT INTO {name}.sources VALUES (1, 'a'), (2, 'a')")
    with pytest.raises(psycopg.errors.UniqueViolation):
        schema.run(f"CREATE UNIQUE INDEX CONCURRENTLY by_hand ON {name}.sources (name)")
    schema.write(v0002_index=INDEX)
    assert f'drop it: DROP INDEX CONCURRENTLY "{name}"."by_hand"' in schema.refusal()
    assert schema.rows("SELECT to_regclass(%s) IS NOT NULL", f"{name}.by_hand") == [(True,)]


def test_a_run_killed_while_it_makes_an_index_leaves_the_version_before_and_the_next_one_goes_on(
    schema: Schema,
) -> None:
    schema.write(v0002_index=INDEX)
    with schema.connect(autocommit=False) as writer:
        writer.execute(f"INSERT INTO {schema.target.schema}.sources VALUES (1, 'a')".encode())
        with runner(schema) as process:
            wait_for(lambda: is_building(schema), "the run did not get to the index")
            process.send_signal(signal.SIGKILL)
            process.wait()
        # The server ends the statement when it finds the client gone.
        query = (
            "SELECT count(*) FROM pg_stat_activity WHERE query LIKE %s AND state = 'active' AND pid <> pg_backend_pid()"
        )
        wait_for(
            lambda: schema.rows(query, f"CREATE UNIQUE INDEX%{schema.target.schema}%") == [(0,)],
            "the server goes on building for a client that is gone",
        )
    assert validity(schema) == [False] and schema.versions() == [1]
    assert len(schema.apply(limits=Limits(run_lock=20))) == 2
    assert validity(schema) == [True]


def test_an_old_transaction_is_waited_for_only_so_long_and_then_named(schema: Schema) -> None:
    schema.write(v0002_index=INDEX)
    with schema.connect(autocommit=False) as writer:
        writer.execute(f"INSERT INTO {schema.target.schema}.sources VALUES (1, 'a')".encode())
        text = schema.refusal()
    assert "canceling statement due to lock timeout" in text and "left INVALID" in text
    assert sum("trying again" in line for line in schema.lines) == QUICK.retries
    assert len(schema.apply()) == 2, "the transaction has ended"


def test_two_runners_at_once_do_not_block_each_other_for_good(schema: Schema) -> None:
    schema.write(v0002_index=INDEX, v0003_more=INDEX.replace("sources_name_idx", "more_idx"))
    results: list[object] = []

    def run() -> None:
        try:
            results.append(len(schema.apply(limits=Limits(run_lock=20))))
        except MigrationError as error:
            results.append(error)

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [3] * 3, "a run that waits for the lock with a snapshot deadlocks with the index that is made"
    assert sum("applied 0002" in line for line in schema.lines) == 1
