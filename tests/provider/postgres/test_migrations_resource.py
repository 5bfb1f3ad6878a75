"""``SchemaMigrations`` as the engine calls it, on a real server; and the SDK's provider server around it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import struct_pb2
from pulumi.dynamic import Config, ConfigureRequest
from pulumi.dynamic.dynamic import serialize_provider
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc
from pulumi.runtime.rpc import UNKNOWN

from provider.errors import ProviderError
from provider.postgres.migrations_resource import SchemaMigrationsProvider, migration_files
from tests.support.scratch_schema import RAW, TABLES, Schema, make_schema
from tools.local.servers.postgres import Postgres

ROOT = Path(__file__).parents[3]


@pytest.fixture
def server(postgres_server: Postgres) -> Postgres:
    return postgres_server


@pytest.fixture
def schema(server: Postgres, tmp_path: Path) -> Schema:
    made = make_schema(server, tmp_path)
    made.write(v0001_tables=TABLES + RAW)
    return made


def settings(server: Postgres, **changes: str) -> dict[str, str]:
    values = {
        "postgresHost": server.host,
        "postgresPort": str(server.port),
        "postgresAdminUser": server.user,
        "postgresAdminPassword": server.password,
        "postgresDatabase": "stellaops",
        "postgresSslMode": "disable",
    }
    return {f"stellaops-storage:{key}": value for key, value in {**values, **changes}.items()}


def provider(server: Postgres, **changes: str) -> SchemaMigrationsProvider:
    made = SchemaMigrationsProvider()
    made.configure(ConfigureRequest(Config(settings(server, **changes), "stellaops-storage")))
    return made


def inputs(schema: Schema, /, **changes: Any) -> dict[str, Any]:
    values = {
        "schema": schema.target.schema,
        "owner": schema.target.owner,
        "directory": str(schema.directory),
        "migrations": migration_files(schema.directory),
        "append_only": ["raw"],
    }
    return {**values, **changes}


def complaints(olds: dict[str, Any], news: dict[str, Any]) -> list[str]:
    return [failure.reason for failure in SchemaMigrationsProvider().check(olds, news).failures]


def test_create_applies_and_reports_version_and_files(schema: Schema) -> None:
    props = inputs(schema)
    created = provider(schema.server).create(props)
    assert created.outs == {**props, "version": 1, "applied": props["migrations"], "drift": []}
    assert created.id == f"stellaops.{schema.target.schema}.migrations"
    assert SchemaMigrationsProvider().diff(created.id, created.outs, props).changes is False, (
        "a preview would never be empty"
    )


def test_a_pending_file_is_an_added_entry_and_no_replacement(schema: Schema) -> None:
    outs = provider(schema.server).create(inputs(schema)).outs or {}
    schema.write(v0002_more="ALTER TABLE {{ schema }}.sources ADD name text")
    news = inputs(schema)
    assert news["migrations"][:-1] == outs["migrations"], "the preview would show more than the pending file"
    assert complaints(outs, news) == []
    difference = SchemaMigrationsProvider().diff("", outs, news)
    assert (difference.changes, difference.replaces) == (True, [])
    assert (provider(schema.server).update("", outs, news).outs or {})["version"] == 2


def test_a_preview_refuses_an_edited_file_by_name_without_asking_a_server(schema: Schema) -> None:
    olds = inputs(schema)
    schema.write(v0001_tables=TABLES)
    (complaint,) = complaints(olds, inputs(schema))
    assert complaint.startswith(f"{schema.directory}/0001_tables.sql.j2: it was edited after it was applied"), complaint


def test_a_preview_shows_template_errors_before_names_are_known(schema: Schema) -> None:
    schema.write(v0001_tables="SELECT {{ scheme }}")
    (complaint,) = complaints({}, inputs(schema, schema=UNKNOWN, owner=UNKNOWN))
    assert "0001_tables.sql.j2:1: 'scheme' is undefined" in complaint


def test_another_schema_is_a_replacement_and_starts_from_nothing(schema: Schema) -> None:
    olds = inputs(schema, schema="old", migrations=["0001_other.sql.j2 sha256:00"])
    assert complaints(olds, inputs(schema)) == []
    difference = SchemaMigrationsProvider().diff("", olds, inputs(schema, schema=UNKNOWN))
    assert difference.replaces == ["schema"], "a schema that is made anew would stay without tables"


def test_files_that_change_after_the_preview_are_not_applied(schema: Schema) -> None:
    props = inputs(schema)
    schema.write(v0001_tables=TABLES)
    with pytest.raises(ProviderError, match="the files changed after the preview"):
        provider(schema.server).create(props)
    assert schema.tables() == set()


def test_refresh_of_an_untouched_schema_finds_nothing(schema: Schema) -> None:
    outs = provider(schema.server).create(inputs(schema)).outs
    read = provider(schema.server).read("id", dict(outs or {}))
    assert (read.id, read.outs) == ("id", outs), "a preview after a refresh would show changes"


def test_refresh_says_in_words_what_is_off_and_update_mends_it(schema: Schema) -> None:
    props, name = inputs(schema), schema.target.schema
    outs = provider(schema.server).create(props).outs or {}
    schema.run(f"ALTER TABLE {name}.raw DISABLE TRIGGER append_only_truncate", f"CREATE VIEW {name}.alien AS SELECT 1")
    found = provider(schema.server).read("id", outs).outs or {}
    assert found["drift"] == [
        f"trigger append_only_truncate on {name}.raw is not enabled always",
        f"view {name}.alien belongs to postgres, not to {name}_owner",
    ]
    assert SchemaMigrationsProvider().diff("id", found, props).changes, "the next up would leave it so"
    schema.run(f"DROP VIEW {name}.alien")
    assert (provider(schema.server).update("id", found, props).outs or {})["drift"] == []


def test_refresh_finds_versions_that_differ_from_the_state(schema: Schema) -> None:
    props = inputs(schema)
    outs = provider(schema.server).create(props).outs or {}
    schema.run(f"UPDATE {schema.target.schema}.schema_migrations SET checksum = 'other'")
    found = provider(schema.server).read("id", outs).outs or {}
    assert found["applied"] == ["0001_tables.sql.j2 sha256:other"]
    assert SchemaMigrationsProvider().diff("id", found, props).changes
    with pytest.raises(ProviderError, match=r"0001_tables.sql.j2: it was edited after it was applied \(recorded other"):
        provider(schema.server).update("id", found, props)


def test_a_schema_or_database_that_is_gone_is_gone_from_the_state(schema: Schema) -> None:
    outs = provider(schema.server).create(inputs(schema)).outs or {}
    assert not provider(schema.server, postgresDatabase="gone").read("id", dict(outs)).id
    schema.run(f"DROP SCHEMA {schema.target.schema} CASCADE")
    assert not provider(schema.server).read("id", dict(outs)).id, "refresh must let `up` make it again"


def test_deleting_the_resource_leaves_every_table(schema: Schema) -> None:
    made = provider(schema.server)
    outs = made.create(inputs(schema)).outs or {}
    made.delete("id", outs)
    assert schema.tables() == {"raw", "sources", "schema_migrations"}, "only the schema resource may drop tables"


@pytest.mark.parametrize(
    ("changes", "said", "todo"),
    [
        ({"postgresAdminPassword": "wrong-secret"}, "password authentication failed", "postgresAdminPassword"),
        ({"postgresPort": "1"}, "Connection refused", "see that the server runs"),
        ({"postgresDatabase": "gone"}, 'database "gone" does not exist', "see that the server runs"),
    ],
)
def test_a_server_that_cannot_be_used_is_one_line_without_the_password(
    schema: Schema, changes: dict[str, str], said: str, todo: str
) -> None:
    with pytest.raises(ProviderError) as caught:
        provider(schema.server, **changes).create(inputs(schema))
    text = str(caught.value)
    assert said in text and todo in text
    assert "\n" not in text
    assert "wrong-secret" not in text and schema.server.password not in text


def test_settings_that_are_missing_are_named(server: Postgres) -> None:
    values = settings(server)
    del values["stellaops-storage:postgresHost"]
    with pytest.raises(ProviderError, match="run: pulumi config set stellaops-storage:postgresHost"):
        SchemaMigrationsProvider().configure(ConfigureRequest(Config(values, "stellaops-storage")))


@pytest.fixture
def provider_server(server: Postgres) -> Iterator[provider_pb2_grpc.ResourceProviderStub]:
    """The SDK's own server process for dynamic resources, as the engine starts it."""
    environment = {**os.environ, "PULUMI_PROJECT": "stellaops-storage"}
    command = [sys.executable, "-u", "-m", "pulumi.dynamic"]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            port = int(process.stdout.readline())
            with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
                stub = provider_pb2_grpc.ResourceProviderStub(channel)
                stub.Configure(provider_pb2.ConfigureRequest(args=struct(settings(server))))
                yield stub
        finally:
            process.kill()


def struct(values: dict[str, Any]) -> struct_pb2.Struct:
    made = struct_pb2.Struct()
    made.update(values)
    return made


def failure(stub: provider_pb2_grpc.ResourceProviderStub, props: dict[str, Any]) -> str:
    props = {**props, "__provider": serialize_provider(SchemaMigrationsProvider())}
    with pytest.raises(grpc.RpcError) as caught:
        stub.Create(provider_pb2.CreateRequest(properties=struct(props)))
    return str(caught.value.details())


def test_the_engine_is_told_one_line_and_no_traceback(
    schema: Schema, provider_server: provider_pb2_grpc.ResourceProviderStub
) -> None:
    schema.write(v0001_tables="SELECT 1;\nSELECT 1 / 0;\n")
    text = failure(provider_server, inputs(schema))
    assert text.startswith(f"{schema.directory}/0001_tables.sql.j2:2: division by zero in `SELECT 1 / 0`"), text
    assert "\n" not in text


def test_a_fault_of_the_program_keeps_its_traceback(
    schema: Schema, provider_server: provider_pb2_grpc.ResourceProviderStub
) -> None:
    props = inputs(schema)
    del props["append_only"]
    assert "Traceback" in failure(provider_server, props), "nobody could find the fault"


def test_state_holds_a_reference_to_the_provider_and_no_code() -> None:
    assert len(serialize_provider(SchemaMigrationsProvider())) < 200, (
        "a comment in this file would be a change of every schema"
    )
