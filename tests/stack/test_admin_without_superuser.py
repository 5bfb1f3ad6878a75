"""The whole stack with an admin that has CREATEROLE and CREATEDB and owns the database, on each PostgreSQL there is.

Tenants are kept apart from the first ``up`` on, so that policies are made and compared on each version too. The oldest
one gets the whole mapping, the others a small one with a resource of each kind.
"""

import json
import secrets
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.faults import small
from tests.support.other_postgres import RELEASES, OtherPostgres
from tests.support.watchdog import Watchdog
from tools.local import config
from tools.local.engine.tools import Engine
from tools.local.paths import ROOT, State
from tools.local.servers.objects import LocalObjectStore
from tools.local.servers.postgres import LocalPostgres
from tools.local.stack import Stack
from tools.offline_plugins import install

ADMIN = "provisioner"
MINE = ("signer", "scanner_owner", "stellaops_connect")
TIMEOUT_SECONDS = 300
# In the environment of this test's stack; the command line would prepare that of the local one.
DRIFT = """
import argparse, sys
from tools.operations import drift
from tools.operations.stack import Stack
sys.exit(drift.run(Stack.load("local"), argparse.Namespace(store=["postgres"], json=False)))
"""

# One worker: each starts an object store for them.
pytestmark = pytest.mark.xdist_group("admin_without_superuser")


@dataclass(frozen=True)
class Provisioned:
    """A stack whose admin is no superuser."""

    server: LocalPostgres
    stack: Stack
    password: str
    project: Path
    role_prefix: str

    def run(self, *command: str) -> str:
        """Run a program in the stack's environment; it must succeed."""
        result = subprocess.run(
            command,
            cwd=self.project, env=self.stack.environment, stdin=subprocess.DEVNULL, text=True, capture_output=True, check=False,
            timeout=TIMEOUT_SECONDS,
        )  # fmt: skip
        assert result.returncode == 0, f"`{' '.join(command)}` failed:\n{result.stdout}\n{result.stderr}"
        return result.stdout

    def pulumi(self, *arguments: str) -> str:
        return replace(self.stack.cli, directory=self.project).output(*arguments, timeout=TIMEOUT_SECONDS)

    def login(self, module: str, database: str = "stellaops") -> "psycopg.Connection[Any]":
        secret = json.loads(self.pulumi("stack", "output", "secrets", "--json", "--show-secrets"))
        password = secret[module]["postgres_password"]
        return self.server.connect(database, user=self.role_prefix + module, password=password)


def _server(major: int, directory: Path) -> LocalPostgres:
    for release in RELEASES:
        if release.major == major:
            return OtherPostgres(directory, release)
    return LocalPostgres(directory)


@pytest.fixture(params=[16, 17, 18], ids="PostgreSQL {}".format)
def provisioned(
    request: pytest.FixtureRequest, tmp_path: Path, watchdog: Watchdog, engine: Engine, object_store: LocalObjectStore
) -> Iterator[Provisioned]:
    """A server of that version with the admin, and the stack's config for it; nothing is provisioned yet."""
    watchdog.watch(tmp_path)
    state = State(tmp_path / "state")
    state.make()
    server = _server(request.param, state.servers / LocalPostgres.name)
    try:
        server.start()
        password = secrets.token_urlsafe()
        with server.connect() as connection:
            assert connection.info.server_version // 10_000 == request.param
            connection.execute(f"CREATE ROLE {ADMIN} LOGIN CREATEROLE CREATEDB PASSWORD '{password}'".encode())
            if request.param != 17:  # with it and without it
                connection.execute(f"ALTER ROLE {ADMIN} SET createrole_self_grant = 'set, inherit'".encode())
        stack = Stack(state, engine)
        install.ensure(state.pulumi_home, engine.pulumi, stack.environment)
        stack.ensure()
        settings: dict[str, str | int | bool] = {
            "postgresHost": server.host,
            "postgresPort": server.port,
            "postgresAdminUser": ADMIN,
            "postgresSuperuser": False,
            "valkeyHost": "valkey.example",
            "valkeyApply": "none",
            "kubernetesMode": "none",
            "backups": "logical",  # what such an admin can give
            "objectStoreEndpoint": object_store.endpoint,
            "objectStore:target": object_store.target,
            "bucketPrefix": f"admin-{request.param}-",
        }
        passwords = {
            "postgresAdminPassword": password,
            "valkeyAdminPassword": "none",
            "objectStoreAccessKey": object_store.access_key,
            "objectStoreSecretKey": object_store.secret_key,
        }
        config.write(stack, settings, passwords)
        project = ROOT if request.param == RELEASES[0].major else small.project(tmp_path / "project")
        prefix = "env_" if request.param == 18 else ""  # with it and without it
        made = Provisioned(server, stack, password, project, prefix)
        made.pulumi("config", "set", "postgres:rolePrefix", prefix, "--config-file", str(state.config))
        made.pulumi(
            "config", "set", "postgres:tenantIsolation", "row-level-security", "--config-file", str(state.config)
        )
        yield made
    finally:
        server.remove()


def drift(provisioned: Provisioned) -> list[str]:
    """The lines that ``drift`` prints."""
    result = subprocess.run(
        [sys.executable, "-c", DRIFT],
        cwd=provisioned.project, env=provisioned.stack.environment, text=True, capture_output=True, check=False,
        timeout=TIMEOUT_SECONDS,
    )  # fmt: skip
    return result.stdout.splitlines()


def close_maintenance_databases(provisioned: Provisioned) -> None:
    """Run what ``drift`` prints for the databases that this admin may not close."""
    lines = drift(provisioned)
    assert [line.split(",")[0].split()[-1] for line in lines] == ["postgres", "template1"], lines
    with provisioned.login("scanner", "postgres"):
        pass
    with provisioned.server.connect() as superuser:
        for line in lines:
            assert "(only postgres or a superuser can revoke that)" in line
            superuser.execute(line.partition("; run: ")[2].encode())
    for database in ("postgres", "template1"):
        with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
            provisioned.login("scanner", database)


def mend_a_tampering(provisioned: Provisioned) -> None:
    """Change by hand what this admin can correct, and run what ``drift`` prints as this admin."""
    prefix = provisioned.role_prefix
    with provisioned.server.connect("stellaops") as superuser:
        for statement in (
            f"ALTER ROLE {prefix}scanner PASSWORD 'chosen-by-hand'",
            f"ALTER ROLE {prefix}signer SET lock_timeout = 7",
            f"GRANT {prefix}scanner_owner TO {prefix}signer GRANTED BY {ADMIN}",
            f"GRANT CREATE ON SCHEMA scanner TO {prefix}signer",
            f"GRANT UPDATE ON scanner.scans TO {prefix}signer",
            "ALTER TABLE scanner.scans ADD extra int",
            "DROP INDEX scanner.scans_tenant_id_idx",
            f"SET ROLE {prefix}scanner_owner",
            "CREATE TABLE scanner.extra ()",
        ):
            superuser.execute(statement.encode())
    lines = drift(provisioned)
    remedies = [line.partition("; run: ")[2] for line in lines]
    assert len(remedies) == 8, lines
    assert "chosen-by-hand" not in "".join(lines) and "SCRAM" not in "".join(lines)
    with provisioned.server.connect("stellaops", user=ADMIN, password=provisioned.password) as admin:
        for remedy in remedies:
            if not remedy.startswith(("make ", "pulumi ")):
                admin.execute(remedy.encode())
    assert {remedy for remedy in remedies if remedy.startswith(("make ", "pulumi "))} == {
        "make up ARGS=--refresh",
        'make pulumi ARGS="up --replace urn:pulumi:local::stellaops-storage::stellaops:index:Credential::scanner"',
    }
    urn = "urn:pulumi:local::stellaops-storage::stellaops:index:Credential::scanner"
    provisioned.pulumi("up", "--yes", "--skip-preview", "--refresh", "--replace", urn)


def test_up_refresh_drift_and_destroy_need_no_superuser(provisioned: Provisioned) -> None:
    provisioned.pulumi("up", "--yes", "--skip-preview")
    provisioned.pulumi("preview", "--expect-no-changes")
    provisioned.pulumi("refresh", "--yes", "--skip-preview", "--expect-no-changes")
    close_maintenance_databases(provisioned)
    shown = ["no drift in postgres: same as the mapping"]
    assert drift(provisioned) == shown
    if provisioned.role_prefix:  # once
        mend_a_tampering(provisioned)
    assert drift(provisioned) == shown

    with provisioned.login("scanner") as scanner:
        assert scanner.execute("SELECT count(*) FROM scanner.scans").fetchone() == (0,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            scanner.execute("SELECT count(*) FROM authority.tokens")
    with provisioned.server.connect() as superuser:
        owner = "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = 'stellaops'"
        assert superuser.execute(owner).fetchone() == (ADMIN,)
        mine = [provisioned.role_prefix + role for role in MINE]
        assert superuser.execute("SELECT count(*) FROM pg_roles WHERE rolname = ANY (%s)", (mine,)).fetchone() == (3,)

    provisioned.pulumi("destroy", "--yes", "--skip-preview")
    with provisioned.server.connect() as superuser:
        left = superuser.execute(
            "SELECT rolname FROM pg_roles WHERE oid >= 16384 AND rolname <> %s", (ADMIN,)
        ).fetchall()
        assert left == [], "the next up would find roles that it did not make"
        assert superuser.execute("SELECT FROM pg_database WHERE datname = 'stellaops'").fetchone() is None
