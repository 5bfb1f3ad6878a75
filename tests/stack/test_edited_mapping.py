"""What a user does: edit the mapping, look at a preview, run up. And what a mistake in it does: nothing."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager

import boto3
import psycopg
import pytest
from botocore.exceptions import ClientError

from tests.support.edit import MAPPING, Edit
from tests.support.stack import LocalStack


def may(live_stack: LocalStack, module: str, query: str, password: str | None = None) -> bool:
    try:
        with live_stack.login(module, password) as connection:
            connection.execute(query.encode())
    except psycopg.OperationalError as error:
        assert "password authentication failed" in str(error), error  # noqa: PT017
        return False
    except psycopg.errors.InsufficientPrivilege:
        return False
    return True


def lists_blobs(live_stack: LocalStack, secrets: dict[str, str]) -> bool:
    s3 = boto3.client(
        "s3", endpoint_url=live_stack.config["objectStoreEndpoint"], region_name="us-east-1",
        aws_access_key_id=secrets["object_store_access_key"], aws_secret_access_key=secrets["object_store_secret_key"],
    )  # fmt: skip
    try:
        s3.list_objects_v2(Bucket=live_stack.bucket_prefix + "blobs")
    except ClientError as error:
        if error.response["Error"]["Code"] in ("SignatureDoesNotMatch", "InvalidAccessKeyId", "AccessDenied"):
            return False
        raise
    return True


def test_a_read_that_is_added_shows_in_the_preview_and_works_after_up(live_stack: LocalStack, edit: Edit) -> None:
    query = "SELECT * FROM vuln.linksets"
    assert not may(live_stack, "vexlens", query)
    edit("reads: [vex]", "reads: [vex, vuln.linksets]")
    preview = live_stack.must("preview")
    assert "vexlens-vuln.linksets" in preview and "2 to create" in preview, "usage of the schema, and the table"
    assert not may(live_stack, "vexlens", query), "a preview gives nothing"
    live_stack.must("up")
    assert may(live_stack, "vexlens", query)
    assert not may(live_stack, "vexlens", "SELECT * FROM vuln.advisory_raw"), "one table was asked for"


def test_a_bucket_that_a_module_may_read_since_is_named_in_the_preview_and_works_after_up(
    live_stack: LocalStack, edit: Edit
) -> None:
    assert "object_store_secret_key" not in live_stack.outputs["secrets"]["policy"]
    purpose = "    purpose: Policies, exceptions and findings\n"
    edit(purpose, f"{purpose}    rustfs:\n      reads: [blobs/]\n")
    shown = live_stack.must("preview", "--diff")
    assert "stellaops:objectstore:User: (create)" in shown and "Allow blobs/*" in shown.replace(
        live_stack.bucket_prefix, ""
    )
    live_stack.must("up")
    live_stack.forget()
    assert lists_blobs(live_stack, live_stack.outputs["secrets"]["policy"])


def test_a_read_that_is_taken_away_is_refused_after_up(live_stack: LocalStack, edit: Edit) -> None:
    query = "SELECT * FROM policy.policies"
    assert may(live_stack, "risk_engine", query)
    edit("      reads: [policy]", "      reads: []")
    live_stack.must("up")
    assert not may(live_stack, "risk_engine", query)


@contextmanager
def everything_logged(live_stack: LocalStack) -> Iterator[None]:
    """PostgreSQL writes each statement into its log."""
    with live_stack.admin() as connection:
        try:
            connection.execute("ALTER SYSTEM SET log_statement = 'all'")
            connection.execute("SELECT pg_reload_conf()")
            yield
        finally:
            connection.execute("ALTER SYSTEM RESET log_statement")
            connection.execute("SELECT pg_reload_conf()")


def postgres_changes(live_stack: LocalStack) -> set[str]:
    """Type and name of everything of PostgreSQL's that a preview would change."""
    steps = json.loads(live_stack.must("pulumi", "preview", "--json"))["steps"]
    changed = [step["urn"] for step in steps if step["op"] != "same"]
    return {
        "::".join(urn.rsplit("::", 2)[1:]).rpartition("$")[2]
        for urn in changed
        if "postgres:Postgres$" in urn or "Credential" in urn
    }


def test_rotate_renews_the_passwords_of_one_module_and_of_no_other(live_stack: LocalStack, edit: Edit) -> None:
    before = live_stack.outputs["secrets"]
    edit("    name: Scanner\n", "    name: Scanner\n    rotate: 2\n")
    assert postgres_changes(live_stack) == {
        "stellaops:index:Credential::scanner",
        "postgresql:index/role:Role::scanner",
    }, "the rotation of one module would touch another"
    shown = live_stack.must("preview")
    assert "+- Credential scanner" in shown and "~ User scanner" in shown
    with live_stack.login("policy") as bystander, everything_logged(live_stack):
        shown += live_stack.must("up")
        assert bystander.execute("SELECT 1").fetchone() == (1,), "a session of another module was ended"
    live_stack.forget()
    after = live_stack.outputs["secrets"]
    assert {name for name in after if after[name] != before[name]} == {"scanner"}
    assert may(live_stack, "scanner", "SELECT 1")
    old = before["scanner"]["postgres_password"]
    assert not may(live_stack, "scanner", "SELECT 1", password=old)
    for module, secrets in before.items():
        if "postgres_password" in secrets and module != "scanner":
            assert may(live_stack, module, "SELECT 1", password=secrets["postgres_password"]), module
    assert live_stack.valkey("scanner").ping()
    assert lists_blobs(live_stack, after["scanner"])
    assert not lists_blobs(live_stack, before["scanner"]), "the old secret key would still do"
    log = (live_stack.state / "servers" / "postgres" / "log").read_text()
    assert 'ALTER ROLE "scanner" PASSWORD \'SCRAM-SHA-256$' in log, "the log would not show a clear password either"
    new = after["scanner"]["postgres_password"]
    for secret, name in ((old, "old"), (new, "new")):
        assert secret not in log, f"the {name} clear password stands in the server's log"
        assert secret not in shown, f"the {name} clear password is printed"


def test_a_broken_mapping_is_told_with_its_places_and_changes_nothing(live_stack: LocalStack, edit: Edit) -> None:
    checkpoint = live_stack.must("pulumi", "stack", "export")
    edit("reads: [vex]", "reads: [vexx]")
    for command in ("preview", "up"):
        result = live_stack.run(command)
        said = result.stdout + result.stderr
        assert result.returncode != 0
        assert "modules.vexlens.postgres.reads[0]: no schema 'vexx'; did you mean \"vex\"?" in said, said
        assert "schema-mapping.yaml:" in said and "Traceback" not in said
    resources = [line for line in checkpoint.splitlines() if '"urn"' in line]
    after = [line for line in live_stack.must("pulumi", "stack", "export").splitlines() if '"urn"' in line]
    assert after == resources


def test_a_privilege_given_by_hand_is_found_by_refresh_and_taken_away_by_up(live_stack: LocalStack) -> None:
    with live_stack.admin() as connection:
        connection.execute("GRANT DELETE ON vuln.advisory_raw TO vuln_writer")
    live_stack.must("refresh")
    preview = live_stack.run("preview", "--expect-no-changes")
    assert preview.returncode != 0, "a reviewer must see what somebody did by hand"
    live_stack.must("up")
    with live_stack.admin() as connection:
        row = connection.execute("SELECT has_table_privilege('vuln_writer', 'vuln.advisory_raw', 'DELETE')").fetchone()
    assert row == (False,)


def test_a_database_that_is_opened_by_hand_is_reported_and_closed_again(live_stack: LocalStack) -> None:
    password = live_stack.outputs["secrets"]["scanner"]["postgres_password"]
    endpoint = live_stack.outputs["contract"]["endpoints"]["postgres"]

    def connects(database: str) -> bool:
        place = f"host={endpoint['host']} port={endpoint['port']} user=scanner dbname={database} sslmode={endpoint['sslmode']}"
        try:
            psycopg.connect(place, password=password).close()
        except psycopg.OperationalError as error:
            assert "permission denied for database" in str(error), error  # noqa: PT017
            return False
        return True

    assert connects("stellaops") and not connects("postgres") and not connects("template1")
    with live_stack.admin() as connection:
        connection.execute("GRANT CONNECT ON DATABASE postgres TO PUBLIC")
    assert connects("postgres")
    found = live_stack.run("drift", "--store", "postgres")
    assert "every login may connect to database postgres" in found.stdout, found.stdout
    live_stack.must("refresh")
    live_stack.must("up")
    assert not connects("postgres")
    assert "no drift" in live_stack.must("drift", "--store", "postgres")


def test_only_up_changes_a_server(live_stack: LocalStack, edit: Edit) -> None:
    """Neither a preview nor a review nor drift restarts Valkey with the limit of the edited mapping."""

    def servers() -> dict[str, str]:
        directory = live_stack.state / "servers"
        files = [*directory.glob("*/server.json"), *directory.glob("*/*.conf")]
        return {str(file): file.read_text() for file in files} | {"uptime": uptime()}

    def uptime() -> str:
        with live_stack.valkey_admin() as valkey:
            return str(valkey.info("server")["run_id"])

    def limit() -> str:
        with live_stack.valkey_admin() as valkey:
            return str(valkey.config_get("maxmemory")["maxmemory"])

    before, old_limit = servers(), limit()
    maxmemory = re.search(r"\n    maxmemory: \S+", MAPPING)
    assert maxmemory
    edit(maxmemory[0], "\n    maxmemory: 3gb")
    for command in (("preview",), ("review",), ("drift", "--store", "valkey")):
        live_stack.run(*command)
        assert servers() == before and limit() == old_limit, f"{command[0]} changed a server"
    live_stack.must("up")
    assert limit() == str(3 * 2**30) and servers()["uptime"] != before["uptime"]


def manifests(live_stack: LocalStack) -> dict[str, str]:
    """Each rendered manifest, by its file name."""
    directory = live_stack.project / live_stack.config.get("kubernetesRenderDirectory", "rendered")
    return {file.name: file.read_text() for file in directory.rglob("*.yaml")}


def test_an_edit_that_failed_and_is_reverted_leaves_the_manifests_as_they_were(
    live_stack: LocalStack, edit: Edit
) -> None:
    before = manifests(live_stack)
    with live_stack.valkey_admin() as valkey:
        valkey.rename("notify:delivery", "kept:aside")
        valkey.set("notify:delivery", "not a stream")
        try:
            edit("consumers: [audit, timeline_indexer]", "consumers: [audit, timeline_indexer, policy]")
            assert live_stack.run("up").returncode != 0, "the group can't be created"
            assert manifests(live_stack) != before, "the run must get as far as the manifests"
        finally:
            valkey.rename("kept:aside", "notify:delivery")
    edit.undo()
    live_stack.must("up")
    assert set(manifests(live_stack)) == set(before), "the cluster would lose what a failed run touched"
    assert manifests(live_stack) == before


def test_a_column_that_no_migration_makes_stops_up_before_anything_is_changed(
    live_stack: LocalStack, edit: Edit
) -> None:
    edit("            created_at: timestamptz\n", "            created_at: timestamptz\n            colour: text\n")
    result = live_stack.run("up")
    shown = result.stdout + result.stderr
    assert result.returncode == 1 and "the mapping and the migrations differ, nothing was changed" in shown, shown
    assert "columns.colour: table" in shown and "sql/" in shown, "both places are named"
    assert "provisioning" not in shown and "Traceback" not in shown


@pytest.mark.parametrize("command", [("drift",), ("size",), ("migrations", "status"), ("review",)], ids=" ".join)
def test_an_invalid_mapping_is_a_located_error_of_every_command(
    live_stack: LocalStack, edit: Edit, command: tuple[str, ...]
) -> None:
    edit("            created_at: timestamptz\n", "            created_at: timestmptz\n")
    result = live_stack.run(*command)
    assert result.returncode == 1 and "Traceback" not in result.stdout + result.stderr
    assert "unknown type 'timestmptz'; did you mean \"timestamptz\"?" in result.stdout + result.stderr
