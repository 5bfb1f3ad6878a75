"""What was backed up comes back beside the running stores, as it was, at the latest and at a moment in between."""

import re
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from valkey.exceptions import NoPermissionError

from components.mapping import backup_names as names
from pods.backup_agent import kinds, repository
from pods.backup_agent.kinds import BASE, DUMP, RDB
from tests.support import backups
from tools.operations import backup as command
from tools.operations.recovery import logical, point_in_time, snapshot, taking, verify
from tools.operations.recovery.context import RecoveryContext, say

pytestmark = pytest.mark.xdist_group("live_stack")


@pytest.fixture(scope="module")
def context(live_stack: Any) -> Iterator[RecoveryContext]:
    """The live stack with one of each backup; a scan was added before them."""
    found = backups.context_of(live_stack)
    backups.add_scan(live_stack, "completed")
    command.back_up_all(found, None)
    try:
        yield found
    finally:
        backups.clear(live_stack, found)


def newest(context: RecoveryContext, kind: str) -> repository.StoredBackup:
    good, bad = repository.find(context.bucket, kind)
    assert good and not bad
    return good[-1]


def differing(checks: list[verify.Check]) -> list[str]:
    return [check.line for check in checks if check.differences]


def test_a_manifest_has_versions_row_counts_and_a_sha256_of_every_file(
    context: RecoveryContext, live_stack: Any
) -> None:
    manifest = newest(context, DUMP).manifest
    assert manifest["stack"] == "local" and manifest["server"].startswith("18") and manifest["database"] == "stellaops"
    schemas = context.stack.mapping.postgres.schemas
    assert set(manifest["schemas"]) == set(schemas) and all(version > 0 for version in manifest["schemas"].values())
    assert {f"{schema}.dump" for schema in schemas} <= {file["name"] for file in manifest["files"]}
    counts = {item["table"]: item["rows"] for item in manifest["tables"]}
    with live_stack.admin() as admin:
        assert counts["scanner.scans"] == admin.execute("SELECT count(*) FROM scanner.scans").fetchone()[0] > 0
    assert newest(context, RDB).manifest["keys"] > 0


def test_a_dump_comes_back_as_a_database_in_which_modules_work_as_before(
    context: RecoveryContext, live_stack: Any
) -> None:
    database, checks = logical.restore(context, newest(context, DUMP), say)
    try:
        assert not differing(checks)
        endpoint = context.stack.postgres
        secrets = live_stack.outputs["secrets"]

        def login(module: str) -> Any:
            server = replace(endpoint, user=module, password=secrets[module]["postgres_password"])
            return server.open(database)

        with live_stack.admin() as admin, login("scanner") as scanner:
            assert backups.scans(scanner) == backups.scans(admin) != set()
        with login("sbom_service") as reader, pytest.raises(psycopg.errors.InsufficientPrivilege):
            reader.execute("DELETE FROM scanner.scans")
        with login("policy") as stranger, pytest.raises(psycopg.errors.InsufficientPrivilege):
            stranger.execute("SELECT FROM scanner.scans")
        with live_stack.admin(database) as admin, pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState):
            admin.execute("TRUNCATE vex.vex_raw")
    finally:
        logical.discard(context, database)


def test_the_comparison_finds_a_changed_row_a_lost_grant_and_a_missing_trigger(
    context: RecoveryContext, live_stack: Any
) -> None:
    backup = newest(context, DUMP)
    database, _ = logical.restore(context, backup, say)
    try:
        with live_stack.admin(database) as admin:
            admin.execute("UPDATE scanner.scans SET state = 'failed'")
            admin.execute("REVOKE DELETE ON scanner.scans FROM scanner_writer")
            admin.execute("ALTER TABLE vex.vex_raw DISABLE TRIGGER append_only_row")
        with context.scratch() as work:
            repository.download(context.bucket, backup, work)
            found = differing(verify.against_backup(context, replace(context.reader, database=database), backup, work))
        text = "\n".join(found)
        assert "checksum of every table: scanner.scans" in text
        assert "missing: grant scanner.scans to scanner_writer DELETE" in text
        assert "trigger append_only_row on vex.vex_raw is not enabled always" in text
    finally:
        logical.discard(context, database)


def test_an_admin_without_superuser_restores_a_dump(context: RecoveryContext, live_stack: Any) -> None:
    with live_stack.admin() as admin:
        admin.execute("CREATE ROLE limited_admin LOGIN CREATEROLE CREATEDB PASSWORD 'of a test'")
        admin.execute("GRANT CONNECT ON DATABASE postgres TO limited_admin")  # up closed it for PUBLIC
        for schema in context.stack.mapping.postgres.schemas:
            admin.execute(f"GRANT {schema}_owner TO limited_admin WITH SET TRUE, INHERIT TRUE")
    key = "stellaops-storage:postgresAdmin"
    config = {**context.stack.config, f"{key}User": "limited_admin", f"{key}Password": "of a test"}
    limited = replace(context, stack=replace(context.stack, config=config))
    limited.stack.__dict__["outputs"] = live_stack.outputs
    try:
        database, checks = logical.restore(limited, newest(context, DUMP), say)
        logical.discard(context, database)
        # The database is the other admin's: its own privileges are all that may differ.
        lines = [line for check in checks for line in check.differences]
        assert all("grant database" in line for line in lines), lines
    finally:
        with live_stack.admin() as admin:
            admin.execute("DROP OWNED BY limited_admin")
            admin.execute("DROP ROLE limited_admin")


def test_a_point_in_time_has_all_from_before_it_and_nothing_after(context: RecoveryContext, live_stack: Any) -> None:
    before = verify.read_facts(context, context.reader)
    kept = backups.add_scan(live_stack, "completed")
    with live_stack.admin() as admin:
        moment = admin.execute("SELECT clock_timestamp()").fetchone()[0].astimezone(UTC)
    lost = backups.add_scan(live_stack, "failed")
    taking.wal_so_far(context, say)
    base = point_in_time.choose(context, moment, None)
    running, server, checks = point_in_time.restore(context, base, moment, say)
    try:
        assert not differing(checks)
        with server.open(server.database) as admin:
            found = backups.scans(admin)
            assert kept in found and lost not in found
            with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState):
                admin.execute("TRUNCATE vex.vex_raw")
        with live_stack.admin() as admin:
            assert {kept, lost} <= backups.scans(admin), "the running server must not notice"
    finally:
        running.remove()
    assert not list(context.restored.iterdir())
    after = verify.read_facts(context, context.reader)
    assert after.catalog == before.catalog
    assert {table for table, fact in after.tables.items() if before.tables[table] != fact} == {"scanner.scans"}


def test_the_latest_has_all_that_was_shipped(context: RecoveryContext, live_stack: Any) -> None:
    last = backups.add_scan(live_stack, "running")
    taking.wal_so_far(context, say)
    running, server, checks = point_in_time.restore(context, newest(context, BASE), None, say)
    try:
        assert not differing(checks)
        with server.open(server.database) as admin:
            assert last in backups.scans(admin)
    finally:
        running.remove()


def test_a_valkey_comes_back_with_its_keys_streams_and_groups(context: RecoveryContext, live_stack: Any) -> None:
    key = "policy:active"
    with live_stack.valkey_admin() as admin:
        admin.set(key, "before")
        try:
            command.snapshot(context)
            admin.set(key, "after")
            running, server, checks = snapshot.restore(context, newest(context, RDB), say)
            try:
                assert not differing(checks)
                with server.connection() as client:
                    assert client.get(key) == "before"
                assert admin.get(key) == "after", "the running server must not notice"
            finally:
                running.remove()
        finally:
            admin.delete(key)


def test_who_makes_backups_reads_everything_and_changes_nothing(context: RecoveryContext, live_stack: Any) -> None:
    with context.reader.open("stellaops") as session:
        assert backups.scans(session)
        for statement in ("DELETE FROM scanner.scans", "CREATE TABLE scanner.mine ()", "CREATE ROLE mine"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                session.execute(statement)
    valkey = context.valkey
    with live_stack.valkey_admin() as admin:
        admin.acl_setuser  # noqa: B018 - it must exist
        assert names.VALKEY_USER in admin.acl_users()
    import valkey as library

    with library.Valkey(host=valkey.host, port=valkey.port, username=valkey.user, password=valkey.password) as client:
        assert client.ping()
        for words in (("GET", "policy:active"), ("SET", "policy:active", "x"), ("ACL", "LIST"), ("KEYS", "*")):
            with pytest.raises(NoPermissionError):
                client.execute_command(*words)


def test_no_password_is_on_a_command_line_while_backups_are_taken(context: RecoveryContext, live_stack: Any) -> None:
    outputs, config = live_stack.outputs["backups"], live_stack.config
    passwords = [outputs["postgres_password"], outputs["valkey_password"], config["objectStoreSecretKey"]]
    seen: set[str] = set()
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.02):
            for process in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    seen.add(process.read_bytes().decode(errors="replace"))
                except OSError:
                    continue

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        taking.dump(context, say)
        taking.wal_so_far(context, say)
    finally:
        over.set()
        thread.join()
    assert any("pg_dump" in line for line in seen), "the watch saw nothing"
    assert not [line for line in seen if any(password in line for password in passwords)]


def test_backups_are_listed_and_one_that_is_overdue_is_an_exit_code(
    context: RecoveryContext, live_stack: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert backups.run(live_stack, "backup", "--list") == 0
    shown = capsys.readouterr().out
    for kind in kinds.KINDS:
        assert re.search(rf"^{kind} +\d{{8}}T\d{{9}}Z +[\d.]+ MB", shown, re.MULTILINE), shown
    assert backups.run(live_stack, "backup", "--check") == 0
    with backups.spoiled(context, f"{DUMP}/latest.json"):
        context.bucket.put(f"{DUMP}/latest.json", [b'{"time": "2020-01-01T00:00:00+00:00"}'])
        assert backups.run(live_stack, "backup", "--check") == 2
    assert "overdue postgres/dump" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("to", "words"),
    [
        ("yesterday", "is not a time; write latest, or a time like"),
        ("2999-01-01", "is in the future"),
        ("2020-01-01", "is older than the retention of 30 days for PostgreSQL in the mapping"),
    ],
)
def test_a_time_that_cannot_be_restored_is_one_clear_line(
    live_stack: Any, context: RecoveryContext, to: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert backups.run(live_stack, "restore", "--to", to) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and words in line


def test_a_time_before_the_first_base_backup_is_refused(context: RecoveryContext) -> None:
    first = newest(context, BASE)
    early = first.time.replace(microsecond=0) - (datetime.now(UTC) - first.time)
    with pytest.raises(Exception, match="is before the end of the oldest base backup"):
        point_in_time.choose(context, early, None)
