"""``SchemaMigrations`` as the engine calls it, on a real server."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from provider.base.values import UNKNOWN, Secret
from provider.postgres.migration_files import discover
from tests.provider.base.harness import Diff, PluginClient, Props, Resource, failure, stellaops
from tests.support.provider import settings as without_stores
from tests.support.scratch_schema import RAW, TABLES, Schema, make_schema
from tools.local.servers.postgres import LocalPostgres

TOKEN = "stellaops:postgres:SchemaMigrations"


@pytest.fixture
def server(postgres_server: LocalPostgres) -> LocalPostgres:
    return postgres_server


@pytest.fixture
def schema(server: LocalPostgres, tmp_path: Path) -> Schema:
    made = make_schema(server, tmp_path)
    made.write(v0001_tables=TABLES + RAW)
    return made


def settings(server: LocalPostgres, **changes: str) -> dict[str, Any]:
    """Configuration of the provider. Valkey and the object store are not there."""
    postgres = {
        "postgresHost": server.host,
        "postgresPort": str(server.port),
        "postgresAdminUser": server.user,
        "postgresAdminPassword": Secret(server.password),
    }
    return {**without_stores(), **postgres, **changes}


@contextmanager
def provider(server: LocalPostgres, **changes: str) -> Iterator[PluginClient]:
    with stellaops(**settings(server, **changes)) as client:
        yield client


@pytest.fixture
def client(server: LocalPostgres) -> Iterator[PluginClient]:
    with provider(server) as client:
        yield client


@pytest.fixture(scope="module")
def offline() -> Iterator[PluginClient]:
    """Without configuration: whatever contacts a server fails."""
    with stellaops() as client:
        yield client


def files(schema: Schema) -> list[str]:
    return [migration.label for migration in discover(schema.directory)]


def inputs(schema: Schema, /, **changes: Any) -> Props:
    """Inputs as a program gives them."""
    values = {
        "schema": schema.target.schema,
        "owner": schema.target.owner,
        "directory": str(schema.directory),
        "appendOnly": ["raw"],
    }
    return {**values, **changes}


def kept(schema: Schema, /, **changes: Any) -> Resource:
    """The resource after an ``up`` with the files as they are now."""
    props = inputs(schema, migrations=files(schema), **changes)
    return Resource(TOKEN, "id", props, {**props, "version": 1, "applied": props["migrations"], "drift": []})


def refused(client: PluginClient, old: Props, new: Props) -> list[str]:
    return client.check(TOKEN, new, old)[1]


def test_create_applies_and_reports_version_and_files(schema: Schema, client: PluginClient) -> None:
    created = client.create(TOKEN, inputs(schema))
    assert created.inputs == inputs(schema, migrations=files(schema))
    assert created.outputs.items() >= {"version": 1, "applied": files(schema), "drift": []}.items()
    assert created.id == f"stellaops.{schema.target.schema}.migrations"
    assert client.diff(created, inputs(schema)).detailed == {}, "a preview would never be empty"


def test_a_pending_file_is_an_added_entry_and_no_replacement(schema: Schema, client: PluginClient) -> None:
    created = client.create(TOKEN, inputs(schema))
    schema.write(v0002_more="ALTER TABLE {{ schema }}.sources ADD name text")
    news, failures = client.check(TOKEN, inputs(schema), created.inputs)
    assert news["migrations"][:-1] == created.outputs["migrations"], "the preview would show more than the pending file"
    assert failures == []
    assert client.diff(created, inputs(schema)) == Diff({"migrations": "UPDATE"}, [], delete_before_replace=False)
    assert client.update(created, inputs(schema)).outputs["version"] == 2


def test_the_state_records_what_migrations_made_and_no_manual_change(schema: Schema, client: PluginClient) -> None:
    name = schema.target.schema
    created = client.create(TOKEN, inputs(schema))
    key = f"constraint raw_pkey on {name}.raw"
    assert (
        created.outputs["definitions"]["raw"][key] == f"ALTER TABLE {name}.raw ADD CONSTRAINT raw_pkey PRIMARY KEY (id)"
    )
    schema.run(f"ALTER TABLE {name}.raw DROP CONSTRAINT raw_pkey", f"CREATE INDEX by_hand ON {name}.raw (source)")
    schema.write(v0002_more="CREATE INDEX made ON {{ schema }}.raw (source)")
    definitions = client.update(created, inputs(schema)).outputs["definitions"]["raw"]
    assert {key, f"index {name}.made"} <= definitions.keys(), "a later run forgot what earlier migrations made"
    assert f"index {name}.by_hand" not in definitions, "drift would no longer report it"


def test_a_file_that_ran_before_a_failure_is_in_the_next_record(schema: Schema, client: PluginClient) -> None:
    created = client.create(TOKEN, inputs(schema))
    schema.write(v0002_more="CREATE INDEX made ON {{ schema }}.raw (source)", v0003_bad="SELECT 1 / 0")
    assert "0003_bad" in failure(lambda: client.update(created, inputs(schema)))
    schema.write(v0003_bad="SELECT 1")
    updated = client.update(created, inputs(schema))
    assert f"index {schema.target.schema}.made" in updated.outputs["definitions"]["raw"]


def test_a_preview_has_the_version_that_it_will_reach(schema: Schema, offline: PluginClient) -> None:
    planned = offline.create(TOKEN, inputs(schema), preview=True)
    assert (planned.outputs["version"], planned.outputs["applied"]) == (1, files(schema)) and planned.id == ""
    old = kept(schema)
    schema.write(v0002_more="ALTER TABLE {{ schema }}.sources ADD name text")
    assert offline.update(old, inputs(schema), preview=True).outputs["version"] == 2
    assert schema.tables() == set()


def test_a_preview_refuses_an_edited_file_by_name_without_asking_a_server(
    schema: Schema, offline: PluginClient
) -> None:
    old = kept(schema).inputs
    schema.write(v0001_tables=TABLES)
    (complaint,) = refused(offline, old, inputs(schema))
    assert complaint.startswith(f"{schema.directory}/0001_tables.sql.j2: it was edited after it was applied"), complaint


def test_a_preview_shows_template_errors_before_names_are_known(schema: Schema, offline: PluginClient) -> None:
    schema.write(v0001_tables="SELECT {{ scheme }}")
    (complaint,) = refused(offline, {}, inputs(schema, schema=UNKNOWN, owner=UNKNOWN))
    assert "0001_tables.sql.j2:1: 'scheme' is undefined" in complaint


def test_a_directory_that_is_missing_is_refused(schema: Schema, offline: PluginClient) -> None:
    (complaint,) = refused(offline, {}, inputs(schema, directory=str(schema.directory / "none")))
    assert "each schema of the mapping needs a directory of migrations" in complaint


def test_another_schema_is_a_replacement_and_starts_from_nothing(schema: Schema, offline: PluginClient) -> None:
    old = kept(schema, schema="old")
    old.inputs["migrations"] = old.outputs["migrations"] = ["0001_other.sql.j2 sha256:00"]
    assert refused(offline, old.inputs, inputs(schema)) == []
    difference = offline.diff(old, inputs(schema, schema=UNKNOWN))
    assert difference.replaces == ["schema"], "a schema that is recreated would stay without tables"
    assert difference.delete_before_replace, "its successor would find the old tables in place"


def test_files_that_change_after_the_preview_are_not_applied(schema: Schema, client: PluginClient) -> None:
    checked = client.checked(TOKEN, inputs(schema))
    schema.write(v0001_tables=TABLES)
    text = failure(lambda: client.create_checked(TOKEN, checked))
    assert "the files changed after the preview" in text
    assert schema.tables() == set()


def test_refresh_of_an_untouched_schema_finds_nothing(schema: Schema, client: PluginClient) -> None:
    created = client.create(TOKEN, inputs(schema))
    assert client.refresh(created) == created, "a preview after a refresh would show changes"


def test_refresh_says_in_words_what_is_off_and_update_mends_it(schema: Schema, client: PluginClient) -> None:
    name = schema.target.schema
    created = client.create(TOKEN, inputs(schema))
    schema.run(f"ALTER TABLE {name}.raw DISABLE TRIGGER append_only_truncate", f"CREATE VIEW {name}.alien AS SELECT 1")
    found = client.refresh(created)
    assert found is not None and found.outputs["drift"] == [
        f"trigger append_only_truncate on {name}.raw is not enabled always",
        f"view {name}.alien belongs to postgres, not to {name}_owner",
    ]
    assert client.diff(found, inputs(schema)).detailed == {"drift": "UPDATE"}, "the next up would leave it so"
    schema.run(f"DROP VIEW {name}.alien")
    assert client.update(found, inputs(schema)).outputs.get("drift") == []


@pytest.mark.parametrize("thing", ["TABLE {}.raw", "TABLE {}.schema_migrations", "SCHEMA {}"])
def test_another_owner_is_found_by_refresh_and_refused_with_the_statement_that_mends_it(
    schema: Schema, client: PluginClient, thing: str
) -> None:
    name = schema.target.schema
    created = client.create(TOKEN, inputs(schema))
    schema.run(f"ALTER {thing.format(name)} OWNER TO postgres")
    found = client.refresh(created)
    assert found is not None
    assert any(f"belongs to postgres, not to {name}_owner" in line for line in found.outputs["drift"])
    text = failure(lambda: client.update(found, inputs(schema)))
    schema.run(text.rpartition("a superuser, run: ")[2])
    assert client.update(found, inputs(schema)).outputs.get("drift") == []


def test_refresh_finds_versions_that_differ_from_the_state(schema: Schema, client: PluginClient) -> None:
    created = client.create(TOKEN, inputs(schema))
    schema.run(f"UPDATE {schema.target.schema}.schema_migrations SET checksum = 'other'")
    found = client.refresh(created)
    assert found is not None and found.outputs["applied"] == ["0001_tables.sql.j2 sha256:other"]
    assert client.diff(found, inputs(schema)).detailed == {"applied": "UPDATE"}
    text = failure(lambda: client.update(found, inputs(schema)))
    assert "0001_tables.sql.j2: it was edited after it was applied (recorded other" in text


def test_a_schema_or_database_that_is_gone_is_gone_from_the_state(schema: Schema, client: PluginClient) -> None:
    created = client.create(TOKEN, inputs(schema))
    with provider(schema.server, postgresDatabase="gone") as other:
        assert other.refresh(created) is None
    schema.run(f"DROP SCHEMA {schema.target.schema} CASCADE")
    assert client.refresh(created) is None, "refresh must let `up` recreate it"


def test_deleting_the_resource_leaves_every_table(schema: Schema, client: PluginClient) -> None:
    client.delete(client.create(TOKEN, inputs(schema)))
    assert schema.tables() == {"raw", "sources", "schema_migrations"}, "only the schema resource may drop tables"


def test_deleting_the_resource_leaves_no_policy_that_names_a_login(schema: Schema, client: PluginClient) -> None:
    """Otherwise the engine, which drops logins in parallel, makes PostgreSQL fail: could not find tuple for policy."""
    name = schema.target.schema
    schema.write(v0001_tables="CREATE TABLE {{ schema }}.t (id int PRIMARY KEY, tenant_id uuid NOT NULL);")
    bypass = [f"{name}_reader", f"{name}_writer"]
    tenants = {"appendOnly": [], "tenantTables": {"t": {"column": "tenant_id"}}, "tenantBypass": bypass}
    created = client.create(TOKEN, inputs(schema, **tenants))
    policies = "SELECT polname FROM pg_policy WHERE polrelid = %s::regclass ORDER BY 1"
    assert [row[0] for row in schema.rows(policies, f"{name}.t")] == ["tenant_bypass", "tenant_isolation"]
    client.delete(created)
    assert [row[0] for row in schema.rows(policies, f"{name}.t")] == ["tenant_isolation"]
    client.delete(created)
    client.create(TOKEN, inputs(schema, **tenants))
    assert [row[0] for row in schema.rows(policies, f"{name}.t")] == ["tenant_bypass", "tenant_isolation"]


def test_an_import_takes_over_what_is_there(schema: Schema, client: PluginClient) -> None:
    created = client.create(TOKEN, inputs(schema))
    found = client.imported(TOKEN, created.id)
    assert found is not None and found.id == created.id
    assert found.inputs == {**created.inputs, "directory": f"sql/{schema.target.schema}"}
    assert (found.outputs["version"], found.outputs["drift"]) == (1, [])
    assert client.diff(found, inputs(schema)).detailed == {"directory": "UPDATE"}
    assert client.update(found, inputs(schema)).outputs["applied"] == files(schema)


def test_an_import_of_what_is_not_there_says_so(schema: Schema, client: PluginClient) -> None:
    assert client.imported(TOKEN, "stellaops.no_such_schema.migrations") is None
    assert "write it like stellaops.vuln.migrations" in failure(lambda: client.imported(TOKEN, "other.vuln.migrations"))


@pytest.mark.parametrize(
    ("changes", "words", "remedy"),
    [
        ({"postgresAdminPassword": "wrong-secret"}, "password authentication failed", "postgresAdminPassword"),
        ({"postgresPort": "1"}, "Connection refused", "check that the server runs"),
        ({"postgresDatabase": "gone"}, 'database "gone" does not exist', "check that the server runs"),
    ],
)
def test_a_server_that_cannot_be_used_is_one_line_without_the_password(
    schema: Schema, changes: dict[str, str], words: str, remedy: str
) -> None:
    with provider(schema.server, **changes) as client:
        text = failure(lambda: client.create(TOKEN, inputs(schema)))
    assert words in text and remedy in text
    assert "\n" not in text
    assert "wrong-secret" not in text and schema.server.password not in text


def test_settings_that_are_missing_are_named(server: LocalPostgres, offline: PluginClient) -> None:
    values = settings(server)
    del values["postgresHost"]
    _, failures = offline.check_config(**values)
    assert failures == ["postgresHost: missing required property 'postgresHost'"]


def test_passwords_of_the_configuration_are_secret_even_where_the_program_forgot(
    server: LocalPostgres, offline: PluginClient
) -> None:
    kept, _ = offline.check_config(**settings(server, postgresAdminPassword="clear"))
    secret = {name for name, value in kept.items() if isinstance(value, Secret)}
    assert secret == {"postgresAdminPassword", "valkeyAdminPassword", "objectStoreAccessKey", "objectStoreSecretKey"}


def test_the_engine_is_told_one_line_and_no_traceback(schema: Schema, client: PluginClient) -> None:
    schema.write(v0001_tables="SELECT 1;\nSELECT 1 / 0;\n")
    text = failure(lambda: client.create(TOKEN, inputs(schema)))
    assert text.startswith(f"{schema.directory}/0001_tables.sql.j2:2: division by zero in `SELECT 1 / 0`"), text
    assert "\n" not in text
