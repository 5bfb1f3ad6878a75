"""The offline plugins through the real engine: a program of the test's own, with its own backend."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from local.engine.tools import Engine
from local.plugins import install
from local.servers.objects import ObjectStore
from local.servers.postgres import Postgres

PROGRAM = """
import json
import os

import pulumi
import pulumi_aws as aws
import pulumi_kubernetes as kubernetes
import pulumi_postgresql as postgresql

want = json.loads(os.environ["WANT"])
config = pulumi.Config("p")
sql = postgresql.Provider(
    "sql", host=config.require("host"), port=config.require_int("port"), username="postgres",
    password=config.require_secret("password"), sslmode="disable", superuser=True,
)
files = kubernetes.Provider("files", render_yaml_to_directory=config.require("rendered"))
store = aws.Provider(
    "store", region="us-east-1", access_key=config.require_secret("access"), secret_key=config.require_secret("secret"),
    s3_use_path_style=True, skip_credentials_validation=True, skip_requesting_account_id=True, skip_metadata_api_check=True,
    endpoints=[aws.ProviderEndpointArgs(s3=config.require("endpoint"))],
)
role = postgresql.Role(
    "role", name=want["role"], login=True, connection_limit=want["limit"], password=config.require_secret("rolepassword"),
    opts=pulumi.ResourceOptions(provider=sql, import_=want.get("import")),
)
schema = postgresql.Schema(
    "schema", name=want["schema"], database="postgres", owner=role.name, opts=pulumi.ResourceOptions(provider=sql)
)
postgresql.Grant(
    "grant", role=role.name, database="postgres", schema=schema.name, object_type="schema", privileges=want["privileges"],
    opts=pulumi.ResourceOptions(provider=sql),
)
aws.s3.BucketVersioning(
    "versioning", bucket=want["bucket"],
    versioning_configuration=aws.s3.BucketVersioningVersioningConfigurationArgs(status="Enabled"),
    opts=pulumi.ResourceOptions(provider=store),
)
kubernetes.core.v1.ConfigMap(
    "map", metadata={"name": "map", "namespace": "ns"}, data={"k": want["value"]}, opts=pulumi.ResourceOptions(provider=files)
)
"""


@dataclass
class Program:
    """The scratch program: ``want`` is what it asks for."""

    directory: Path
    pulumi: Path
    environment: dict[str, str]
    want: dict[str, Any]

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(self.pulumi), "--non-interactive", "--color=never", *arguments],
            cwd=self.directory, env={**self.environment, "WANT": json.dumps(self.want)}, text=True, capture_output=True, check=False,
        )  # fmt: skip

    def must(self, *arguments: str) -> str:
        result = self.run(*arguments)
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout

    def steps(self) -> dict[str, str]:
        """Name -> what a preview would do with it; what stays as it is is left out."""
        result = self.run("preview", "--json")
        assert result.returncode == 0, result.stdout + result.stderr
        steps = json.loads(result.stdout)["steps"]
        return {step["urn"].rpartition("::")[2]: step["op"] for step in steps if step["op"] != "same"}


@pytest.fixture
def program(
    tmp_path: Path, engine: Engine, pulumi_env: dict[str, str], postgres_server: Postgres, object_store: ObjectStore
) -> Program:
    directory = tmp_path / "program"
    directory.mkdir()
    (directory / "Pulumi.yaml").write_text("name: p\nruntime: python\n")
    (directory / "__main__.py").write_text(PROGRAM)
    environment = {**pulumi_env, "STELLAOPS_PLUGINS": "offline", "PYTHONDONTWRITEBYTECODE": "1"}
    install.ensure(Path(environment["PULUMI_HOME"]), engine.pulumi, environment)
    suffix = os.urandom(3).hex()
    object_store.client().create_bucket(Bucket=f"b-{suffix}")
    want = {
        "role": f"r_{suffix}", "schema": f"s_{suffix}", "limit": 5, "privileges": ["USAGE"], "bucket": f"b-{suffix}", "value": "1",
    }  # fmt: skip
    made = Program(directory, engine.pulumi, environment, want)
    made.must("stack", "init", "s")
    plain = {
        "host": postgres_server.host,
        "port": str(postgres_server.port),
        "rendered": str(tmp_path / "out"),
        "endpoint": object_store.endpoint,
    }
    for key, value in plain.items():
        made.must("config", "set", key, value)
    for key, value in {
        "password": postgres_server.password, "rolepassword": "clear-role-password", "access": object_store.access_key,
        "secret": object_store.secret_key,
    }.items():  # fmt: skip
        made.must("config", "set", "--secret", key, value)
    return made


def test_the_life_of_a_stack_on_the_offline_plugins(
    program: Program, postgres_server: Postgres, tmp_path: Path
) -> None:
    name, schema = program.want["role"], program.want["schema"]

    # A preview has no effect.
    assert set(program.steps().values()) == {"create"}
    assert not exists(postgres_server, name) and not (tmp_path / "out").exists()

    program.must("up", "--yes", "--skip-preview")
    assert exists(postgres_server, name)
    assert program.steps() == {}, "a second run has nothing to do"

    # What was done by hand is found, and put right.
    with postgres_server.connect() as connection:
        connection.execute(f"ALTER ROLE {name} CONNECTION LIMIT 77; REVOKE ALL ON SCHEMA {schema} FROM {name}".encode())
    file = next((tmp_path / "out").rglob("*configmap*"))
    file.write_text(file.read_text().replace("'1'", "'2'"))
    program.must("refresh", "--yes", "--skip-preview")
    assert program.steps() == {"role": "update", "grant": "update", "map": "update"}
    program.must("up", "--yes", "--skip-preview")
    assert program.steps() == {}

    # In place, and by replacement.
    program.want |= {"limit": 6, "value": "3"}
    assert program.steps() == {"role": "update", "map": "update"}
    program.want |= {"bucket": f"{program.want['bucket']}-other", "limit": 5, "value": "1"}
    assert program.steps()["versioning"] in ("replace", "create-replacement")
    program.want["bucket"] = program.want["bucket"].removesuffix("-other")

    # No secret is in clear in what the engine keeps or shows.
    state = program.must("stack", "export")
    for secret in ("clear-role-password", postgres_server.password):
        assert secret not in state and secret not in program.must("preview", "--diff")

    # What is gone already does not stop a destroy.
    with postgres_server.connect() as connection:
        connection.execute(f"DROP SCHEMA {schema}; DROP OWNED BY {name}; DROP ROLE {name}".encode())
    program.must("destroy", "--yes", "--skip-preview")
    assert not list((tmp_path / "out").rglob("*.yaml"))


def test_a_role_made_by_hand_is_imported(program: Program, postgres_server: Postgres) -> None:
    name = program.want["role"]
    with postgres_server.connect() as connection:
        connection.execute(f"CREATE ROLE {name} LOGIN CONNECTION LIMIT 5 PASSWORD 'clear-role-password'".encode())
    refused = program.run("up", "--yes", "--skip-preview")
    assert refused.returncode != 0 and "already exists" in refused.stdout and "Traceback" not in refused.stdout
    program.want["import"] = name
    program.must("up", "--yes", "--skip-preview")
    program.want.pop("import")
    assert program.steps() == {}
    program.must("destroy", "--yes", "--skip-preview")
    assert not exists(postgres_server, name)


def test_a_wrong_input_stops_the_preview_in_one_line(program: Program) -> None:
    file = program.directory / "__main__.py"
    file.write_text(file.read_text().replace('object_type="schema"', 'object_type="skema"'))
    result = program.run("preview")
    assert (
        result.returncode != 0
        and "objectType 'skema' is not one of" in result.stdout
        and "Traceback" not in result.stdout
    )


def test_plugins_are_installed_once_and_say_which_they_are(tmp_path: Path, engine: Engine) -> None:
    lines = install.ensure(tmp_path, engine.pulumi, {"STELLAOPS_PLUGINS": "offline"})
    assert lines == [line for line in lines if "offline plugins" in line and "postgresql 3.18.2" in line]
    launcher = tmp_path / "plugins" / "resource-postgresql-v3.18.2" / "pulumi-resource-postgresql"
    before = launcher.stat().st_mtime_ns
    assert sys.executable in launcher.read_text()
    install.ensure(tmp_path, engine.pulumi, {"STELLAOPS_PLUGINS": "offline"})
    assert launcher.stat().st_mtime_ns == before


def test_an_official_plugin_that_is_there_is_left_alone(tmp_path: Path, engine: Engine) -> None:
    place = tmp_path / "plugins" / "resource-aws-v7.51.1"
    place.mkdir(parents=True)
    (place / "pulumi-resource-aws").write_text("official")
    lines = install.ensure(tmp_path, engine.pulumi, dict(os.environ))
    assert (place / "pulumi-resource-aws").read_text() == "official"
    assert "postgresql, kubernetes: offline plugins" in lines[0]


def test_versions_are_those_that_the_sdk_packages_name() -> None:
    locked = yaml.safe_load(
        "\n".join(f"- {line}" for line in Path("requirements.lock").read_text().splitlines() if "==" in line)
    )
    for package in install.PLUGINS.values():
        assert any(line.lower().replace("_", "-").startswith(f"{package}==") for line in locked)


def exists(server: Postgres, role: str) -> bool:
    with server.connect() as connection:
        row: Any = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (role,)).fetchone()
    return row is not None


def test_the_wrong_admin_password_reaches_the_user_in_one_line(program: Program) -> None:
    program.must("config", "set", "--secret", "password", "wrong")
    result = program.run("up", "--yes", "--skip-preview")
    assert "password authentication failed" in result.stdout and "Traceback" not in result.stdout
