"""A stack in which every name is a reserved word of a store can be created on real servers, and works.

``test_hostile_names`` tests names that are refused; this file tests names that are accepted.
"""

import os
import uuid
from typing import cast

import boto3
import psycopg
import pytest
from botocore.exceptions import ClientError
from valkey.exceptions import NoPermissionError

from tests.faults import reserved
from tests.support.stack import LocalStack

pytestmark = pytest.mark.xdist_group("reserved words")

LONGEST, LONGEST_SCHEMA = reserved.LONGEST, reserved.LONGEST_SCHEMA
TENANT = str(uuid.uuid4())


@pytest.fixture
def stack(reserved_stack: reserved.Reserved) -> LocalStack:
    return reserved_stack.stack


def test_nothing_is_left_to_do_and_nothing_drifts(stack: LocalStack) -> None:
    stack.must("preview", "--expect-no-changes")
    drift = stack.run("drift")
    assert drift.returncode == 0, drift.stdout + drift.stderr


def test_a_preview_tells_a_schema_in_drop_schemas_that_nobody_knows(stack: LocalStack) -> None:
    stack.must("pulumi", "config", "set", "dropSchemas", "user,usr")
    try:
        preview = stack.run("preview")
        said = preview.stdout + preview.stderr
    finally:
        stack.must("pulumi", "config", "set", "dropSchemas", "user")
    assert "dropSchemas names 'usr', which is not a schema in the mapping (did you mean \"user\"?)" in said, said


def test_postgresql_lets_each_login_do_its_own_and_no_more(stack: LocalStack) -> None:
    key = uuid.uuid4()
    with stack.login("select") as owner, stack.login("all") as reader, stack.login(LONGEST) as longest:
        for connection in (owner, reader, longest):
            connection.execute(f"SET app.tenant_id = '{TENANT}'")
        owner.execute('INSERT INTO "user"."group" VALUES (%s, %s, %s, %s)', (key, TENANT, "t", "d"))
        owner.execute('INSERT INTO "user"."order" VALUES (%s, %s)', (key, "x"))
        owner.execute(f"INSERT INTO {LONGEST_SCHEMA}.{LONGEST} VALUES (%s, %s)".encode(), (key, TENANT))
        assert longest.execute('SELECT "from" FROM "user"."order"').fetchall() == [("x",)]
        assert reader.execute('SELECT "select", "desc" FROM "user"."group"').fetchall() == [(key, "d")]
        reader.execute('UPDATE "user"."group" SET "table" = \'new\' WHERE "select" = %s', (key,))
        assert reader.execute('SELECT "user"."cast"(%s)', (key,)).fetchone() == (key,)
        refused = (
            (owner, 'DELETE FROM "user"."order"'),
            (reader, 'UPDATE "user"."group" SET "desc" = \'x\''),
            (reader, 'DELETE FROM "user"."group"'),
            (reader, 'INSERT INTO "user"."order" VALUES (NULL)'),
            (longest, 'SELECT "user"."cast"(NULL)'),
            (longest, f"SELECT * FROM {LONGEST_SCHEMA}.{LONGEST}"),
            (longest, 'CREATE TABLE "user".mine ()'),
        )
        for connection, statement in refused:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement.encode())
        owner.execute(f"SET app.tenant_id = '{uuid.uuid4()}'")
        assert owner.execute('SELECT * FROM "user"."order"').fetchall() == [], "rows of another tenant"
    with stack.admin("end") as admin, pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState, match="append-only"):
        admin.execute('DELETE FROM "user"."order"')


def test_valkey_lets_each_user_do_its_own_and_no_more(stack: LocalStack) -> None:
    owner, reader, service = stack.valkey("select"), stack.valkey("all"), stack.valkey("off")
    owner.set("all:1", "x", ex=60)
    assert reader.get("all:1") == "x"
    owner.xadd("on:events", {"a": "b"})
    assert service.xreadgroup("off", "me", {"on:events": ">"})
    service.set("reset:1", "x")
    for user, words in ((reader, ("SET", "all:1", "y")), (service, ("GET", "all:1")), (owner, ("SET", "other", "x"))):
        with pytest.raises(NoPermissionError):
            user.execute_command(*words)  # type: ignore[no-untyped-call]
    with pytest.raises(NoPermissionError):
        stack.valkey(LONGEST).get("all:1")
    names = {line.split()[1] for line in cast("list[str]", stack.valkey_admin().acl_list())}
    assert {"select", "all", LONGEST, "off"} <= names and "order" not in names


def test_the_object_store_lets_each_key_do_its_own_and_no_more(stack: LocalStack) -> None:
    def client(module: str):  # type: ignore[no-untyped-def]  # noqa: ANN202
        secrets = stack.outputs["secrets"][module]
        return boto3.client(
            "s3", endpoint_url=stack.config["objectStoreEndpoint"], region_name="us-east-1",
            aws_access_key_id=secrets["object_store_access_key"], aws_secret_access_key=secrets["object_store_secret_key"],
        )  # fmt: skip

    prefix = stack.bucket_prefix
    client("select").put_object(Bucket=f"{prefix}aws", Key="all/null.json", Body=b"{}")
    client("select").put_object(Bucket=f"{prefix}aws", Key="other/null.json", Body=b"{}")
    assert client("all").get_object(Bucket=f"{prefix}aws", Key="all/null.json")["Body"].read() == b"{}"
    for key in ("other/null.json", "all"):
        with pytest.raises(ClientError, match="AccessDenied"):
            client("all").get_object(Bucket=f"{prefix}aws", Key=key)
    assert "object_store_access_key" not in stack.outputs["secrets"][LONGEST]


def test_kubernetes_manifests_and_a_shell_get_the_same_names(stack: LocalStack) -> None:
    rendered = {path.name for path in (stack.state / "rendered").rglob("*.yaml")}
    assert any("stellaops-storage-select" in name for name in rendered)
    assert any(f"stellaops-storage-{LONGEST}" in name for name in rendered)
    lines = stack.must("env", "select")
    assert "export PGUSER=select" in lines and "export PGDATABASE=end" in lines
    assert os.system(f'set -eu; {lines}\ntest "$PGUSER" = select') == 0


def test_a_backup_of_it_is_whole(stack: LocalStack) -> None:
    said = stack.must("backup")
    assert "postgres/dump" in said and "is in bucket" in said, said
    stack.must("restore", "--store", "postgres")


def test_a_hostile_mapping_stops_a_preview_and_an_up_with_its_place_and_touches_nothing(stack: LocalStack) -> None:
    before = stack.must("pulumi", "stack", "export")
    file = stack.project / "schema-mapping.yaml"
    good = file.read_text()
    broken = (
        ("preview", "a: &a [*a]\n", "aliases are not supported"),
        ("up", good.replace("version: 1", "version: !!python/object/apply:os.system [id]"), "tags are not supported"),
        ("up", good.replace("owns: [user", 'owns: ["user; DROP SCHEMA user"'), "must be lower-case letters"),
    )
    try:
        for command, text, words in broken:
            file.write_text(text)
            result = stack.run(command)
            said = result.stdout + result.stderr
            assert result.returncode != 0 and words in said and "schema-mapping.yaml:" in said, said
            assert "Traceback" not in said, said
    finally:
        file.write_text(good)
    assert _resources(before) == _resources(stack.must("pulumi", "stack", "export"))
    with stack.admin("end") as admin:
        assert admin.execute("SELECT to_regnamespace('\"user\"') IS NOT NULL").fetchone() == (True,)


def _resources(export: str) -> list[str]:
    return [line for line in export.splitlines() if '"urn"' in line]
