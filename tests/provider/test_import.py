"""``pulumi import`` of each kind, by the engine itself, on real servers: what was forgotten is taken up as it is."""

import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from components.postgres.fates import KEPT
from provider.plugin import KINDS
from tests.tools.offline_plugins.test_engine import Project
from tools.local.engine.tools import Engine
from tools.local.servers.postgres import LocalPostgres
from tools.local.servers.valkey import LocalValkey

PROGRAM = """
import json
import pulumi
from components.resources.credentials import Credential
from components.resources.object_store import Bucket, ObjectStoreUser
from components.resources.postgres import AccessRevisions, ClosedDatabases, PostgresInventory, Privileges, SchemaMigrations
from components.resources.provider import Provider
from components.resources.valkey import ValkeyStreams, ValkeyUsers

s = json.load(open("settings.json"))
name = s["name"]
opts = pulumi.ResourceOptions(provider=Provider("stellaops", **s["connections"]))
credential = Credential("module", user="module", rotate=1, opts=opts)
tables = SchemaMigrations("tables", schema=name, owner=f"{name}_owner", directory=f"sql/{name}", append_only=["evidence"],
                          tables={}, mapping_file="", tenant_tables={}, tenant_bypass=[], opts=opts)
access = {"pg_monitor": {"evidence": ["INSERT (id)", "SELECT"]}}
revisions = AccessRevisions("revisions", access={name: access}, opts=opts)
Privileges("privileges", schema=name, owner=f"{name}_owner", access=access, migration=tables.version,
           revision=revisions.of(name), opts=opts)
PostgresInventory("inventory", logins={}, schemas={name: s["kept"]}, drop_schemas=[], opts=opts)
ClosedDatabases("closed", databases=[], opts=opts)
ValkeyUsers("users", users={name: ["resetchannels", "+ping"]}, password_hashes={name: credential.valkey_sha256}, opts=opts)
ValkeyStreams("streams", streams={f"{name}:jobs": ["workers"]}, opts=opts)
Bucket("bucket", bucket=s["bucket"], rules={}, opts=opts)
keys = f"{s['bucket']}/*"
ObjectStoreUser("key", user=s["bucket"], rotate=1, opts=opts, policy={
    f"Allow {keys}": {"Effect": "Allow", "Action": ["s3:GetObject"], "Resource": [f"arn:aws:s3:::{keys}"]}})
pulumi.export("secrets", {"valkey_password": credential.valkey_password, "postgres_password": credential.postgres_password})
"""
URN = "urn:pulumi:test::plugins::"


@pytest.fixture
def project(
    tmp_path: Path, engine: Engine, postgres_server: LocalPostgres, valkey_server: LocalValkey, object_store: Any
) -> Iterator[Project]:
    name = f"t_{secrets.token_hex(4)}"
    directory = tmp_path / "sql" / name
    directory.mkdir(parents=True)
    (directory / "0001_tables.sql.j2").write_text("CREATE TABLE {{ schema }}.evidence (id int PRIMARY KEY);\n")
    with postgres_server.connect() as sql:
        sql.execute(f"CREATE DATABASE {name}".encode())
        sql.execute(f"CREATE ROLE {name}_owner".encode())
    with postgres_server.connect(name) as sql:
        sql.execute(f"CREATE SCHEMA {name} AUTHORIZATION {name}_owner".encode())
    connections = {
        "postgres_host": postgres_server.host, "postgres_port": postgres_server.port, "postgres_ssl_mode": "disable",
        "postgres_admin_user": postgres_server.user, "postgres_admin_password": postgres_server.password,
        "postgres_database": name, "postgres_maintenance_database": "postgres", "valkey_host": valkey_server.host,
        "valkey_port": valkey_server.port, "valkey_tls": False, "valkey_admin_user": valkey_server.user,
        "valkey_admin_password": valkey_server.password, "object_store_endpoint": object_store.endpoint,
        "object_store_region": "us-east-1", "object_store_access_key": object_store.access_key,
        "object_store_secret_key": object_store.secret_key,
    }  # fmt: skip
    settings = {"name": name, "bucket": name.replace("_", "-"), "kept": KEPT, "connections": connections}
    made = Project(tmp_path, engine, settings, PROGRAM)
    try:
        yield made
    finally:
        made.run("destroy", "--yes", "--skip-preview")
        with postgres_server.connect() as sql:
            sql.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def test_every_kind_is_imported_and_the_next_up_has_nothing_to_replace(project: Project) -> None:
    project.up()
    name, bucket = project.settings["name"], project.settings["bucket"]
    passwords = json.loads(project.must("stack", "output", "secrets", "--json", "--show-secrets"))
    file = project.directory / "module.json"
    file.write_text(json.dumps(passwords))
    ids = {
        ("stellaops:index:Credential", "module"): f"module={file}",
        ("stellaops:postgres:SchemaMigrations", "tables"): f"{name}.{name}.migrations",
        ("stellaops:postgres:AccessRevisions", "revisions"): f"{name}.access",
        ("stellaops:postgres:Privileges", "privileges"): f"{name}.{name}.privileges",
        ("stellaops:postgres:Inventory", "inventory"): f"{name}.inventory",
        ("stellaops:postgres:ClosedDatabases", "closed"): f"{name}.closed-databases",
        ("stellaops:valkey:Users", "users"): name,
        ("stellaops:valkey:Streams", "streams"): f"{name}:jobs",
        ("stellaops:objectstore:Bucket", "bucket"): bucket,
        ("stellaops:objectstore:User", "key"): bucket,
    }
    assert {type_ for type_, _ in ids} == {kind.token for kind in KINDS}, "a kind without an import"
    state = json.loads(project.must("stack", "export"))
    kept = [item for item in state["deployment"]["resources"] if not item["type"].startswith("stellaops:")]
    state["deployment"]["resources"] = kept
    (project.directory / "state.json").write_text(json.dumps(state))
    project.must("stack", "import", "--file", "state.json")
    provider = next(item["urn"] for item in kept if item["type"] == "pulumi:providers:stellaops")
    resources = [
        {"type": type_, "name": resource, "id": id_, "provider": "stellaops"} for (type_, resource), id_ in ids.items()
    ]
    (project.directory / "import.json").write_text(
        json.dumps({"nameTable": {"stellaops": provider}, "resources": resources})
    )
    project.must("import", "--file", "import.json", "--generate-code=false", "--protect=false", "--yes")

    steps = {step: planned["op"] for step, planned in project.preview().items()}
    # The server's words for a user's rules are others, and nobody can read a secret key. Privileges are looked at again.
    updates = ("users", "key", "privileges", "revisions")
    assert steps == dict.fromkeys(updates, "update"), "what was imported would be replaced, or created again"
    project.up()
    assert project.nothing_to_do()
    again = json.loads(project.must("stack", "output", "secrets", "--json", "--show-secrets"))
    assert again == passwords, "an import must lock no service out"
