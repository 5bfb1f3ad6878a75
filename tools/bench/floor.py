"""The lower bound of a first ``up``: the same catalog, users, streams and buckets, created by direct calls.

The catalog is a ``pg_dump`` of the stack's database, restored by psql in one transaction. Users of Valkey and of the
object store, streams, groups and buckets are read from the stores that the stack provisioned, and created in empty
ones. The caller adds the engine's own time (``up`` of an empty program). Rendered Kubernetes manifests are left out.
"""

import json
import os
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from valkey import Valkey as Client

from provider.rustfs import admin
from provider.rustfs.store import Store
from tools.bench.stacks import Ours
from tools.local.fleet import Fleet
from tools.local.servers import postgres
from tools.local.servers.postgres import LocalPostgres
from tools.local.servers.valkey import LocalValkey
from tools.review.tokens import OBJECT_STORE_USER

DATABASE = "stellaops"
OWN_ROLES = ("CREATE ROLE postgres;", "ALTER ROLE postgres ")


@dataclass
class Provisioned:
    """What a stack created, as read from the stores."""

    catalog: str
    acl: list[list[str]]
    streams: dict[str, list[str]]
    buckets: dict[str, dict[str, Any]]
    policies: dict[str, Any]
    keys: dict[str, str] = field(default_factory=dict)


def read(stack: Ours) -> Provisioned:
    """Read everything that the direct calls will create."""
    fleet = stack.fleet
    state = json.loads(stack.cli.output("stack", "export", "--show-secrets"))
    users = [item for item in state["deployment"]["resources"] if item["type"] == OBJECT_STORE_USER]
    server = admin.connect(_store(fleet))
    policies = server.policies()
    names = [item["inputs"]["user"] for item in users]
    return Provisioned(
        catalog=_catalog(fleet.postgres),
        acl=_acl(fleet.valkey),
        streams=_streams(fleet.valkey),
        buckets=_buckets(fleet.objects.client()),
        policies={name: policies[name] for name in names},
        keys={name: f"benchmark-{name:a<30}"[:40] for name in names},
    )


def replay(made: Provisioned, fleet: Fleet, directory: Path) -> dict[str, float]:
    """Create everything in empty stores. Return the seconds for each store."""
    script = directory / "catalog.sql"
    script.write_text(made.catalog, encoding="utf-8")
    return {
        "PostgreSQL": _timed(lambda: _psql(fleet.postgres, script)),
        "Valkey": _timed(lambda: _replay_valkey(made, fleet.valkey)),
        "object store": _timed(lambda: _replay_objects(made, fleet)),
    }


def _timed(action: Any) -> float:
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def _environment(server: LocalPostgres) -> dict[str, str]:
    """Return libpq's variables: everyone could read a password on a command line."""
    return {
        "PATH": os.defpath,
        "PGHOST": server.host,
        "PGPORT": str(server.port),
        "PGUSER": server.user,
        "PGPASSWORD": server.password,
    }


def _tool(server: LocalPostgres, name: str, *arguments: str) -> str:
    command = [str(postgres.installation() / "bin" / name), *arguments]
    process = subprocess.run(command, env=_environment(server), capture_output=True, text=True, check=False)
    if process.returncode:
        raise RuntimeError(f"{name} failed: {process.stderr.strip()}")
    return process.stdout


def _catalog(server: LocalPostgres) -> str:
    """Dump the roles and the database as SQL, for a new server with an empty database."""
    roles = _tool(server, "pg_dumpall", "--roles-only", "--no-comments")
    kept = "".join(line for line in roles.splitlines(keepends=True) if not line.startswith(OWN_ROLES))
    return kept + _tool(server, "pg_dump", "--dbname", DATABASE)


def _psql(server: LocalPostgres, script: Path) -> None:
    with server.connect() as connection:
        connection.execute(f"CREATE DATABASE {DATABASE}")
    _tool(
        server, "psql", "--no-psqlrc", "--quiet", "--single-transaction", "--set=ON_ERROR_STOP=1", "--dbname", DATABASE,
        "--output", os.devnull, "--file", str(script),
    )  # fmt: skip


def _client(server: LocalValkey) -> Client:
    return Client(
        host=server.host, port=server.port, username=server.user, password=server.password, decode_responses=True
    )


def _acl(server: LocalValkey) -> list[list[str]]:
    with _client(server) as client:
        users = [line.split(" ")[1:] for line in client.execute_command("ACL LIST")]
    return [words for words in users if words[0] not in ("default", server.user)]


def _streams(server: LocalValkey) -> dict[str, list[str]]:
    with _client(server) as client:
        keys = [key for key in client.scan_iter(count=1000) if client.type(key) == "stream"]
        return {key: [group["name"] for group in client.xinfo_groups(key)] for key in keys}


def _replay_valkey(made: Provisioned, server: LocalValkey) -> None:
    with _client(server) as client:
        for words in made.acl:
            client.execute_command("ACL SETUSER", *words)
        client.execute_command("ACL SAVE")
        for stream, groups in made.streams.items():
            for group in groups:
                client.xgroup_create(stream, group, mkstream=True)


def _store(fleet: Fleet) -> Store:
    objects = fleet.objects
    return Store(objects.endpoint, "us-east-1", objects.access_key, objects.secret_key)


def _buckets(client: Any) -> dict[str, dict[str, Any]]:
    """Return bucket -> its lifecycle rules, and its lock and policy or None."""
    names = [bucket["Name"] for bucket in client.list_buckets()["Buckets"]]
    return {
        name: {
            "lifecycle": client.get_bucket_lifecycle_configuration(Bucket=name)["Rules"],
            "lock": _optional(client, client.get_object_lock_configuration, name, "ObjectLockConfiguration"),
            "policy": _optional(client, client.get_bucket_policy, name, "Policy"),
        }
        for name in names
    }


def _optional(client: Any, get: Any, bucket: str, part: str) -> Any:
    try:
        return get(Bucket=bucket)[part]
    except client.exceptions.ClientError:
        return None


def _replay_objects(made: Provisioned, fleet: Fleet) -> None:
    client = fleet.objects.client()
    for name, settings in made.buckets.items():
        client.create_bucket(Bucket=name, ObjectLockEnabledForBucket=settings["lock"] is not None)
        client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
        client.put_bucket_lifecycle_configuration(Bucket=name, LifecycleConfiguration={"Rules": settings["lifecycle"]})
        if settings["lock"]:
            client.put_object_lock_configuration(Bucket=name, ObjectLockConfiguration=settings["lock"])
        if settings["policy"]:
            client.put_bucket_policy(Bucket=name, Policy=settings["policy"])
    server = admin.connect(_store(fleet))
    for name, document in made.policies.items():
        server.put_policy(name, document)
        server.put_user(name, made.keys[name])
        server.attach(name, name)
