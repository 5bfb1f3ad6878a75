"""A local stack for tests: the real ``make up`` with its own state directory."""

import json
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import boto3
import psycopg
from valkey import Valkey

from tests.support.watchdog import Watchdog

PROJECT = Path(__file__).parents[2]
UP_TIMEOUT_SECONDS = 600


class LocalStack:
    """Commands, connections and outputs of one stack. ``project`` is the directory in which ``make`` runs."""

    def __init__(self, state: Path, project: Path = PROJECT) -> None:
        self.state = state
        self.project = project
        self.environment = {**os.environ, "STELLAOPS_STATE_DIR": str(state), "NO_COLOR": "1"}
        if self.shares_object_store:
            self.environment["RUSTFS_BUCKET_PREFIX"] = f"t{secrets.token_hex(4)}-"

    @property
    def shares_object_store(self) -> bool:
        """Whether the object store existed before: objects of tests there are not removed with the stack."""
        return bool(self.environment.get("RUSTFS_ENDPOINT"))

    def run(self, *arguments: str, timeout: float = UP_TIMEOUT_SECONDS) -> subprocess.CompletedProcess[str]:
        """Run ``make <arguments>`` and return its output and exit code."""
        return subprocess.run(
            [sys.executable, "-m", "tools", *arguments],
            cwd=self.project, env=self.environment, stdin=subprocess.DEVNULL, text=True, capture_output=True, timeout=timeout,
            check=False,
        )  # fmt: skip

    def must(self, *arguments: str) -> str:
        """Call ``run``; if the command fails, fail the test with its output."""
        result = self.run(*arguments)
        assert result.returncode == 0, f"`{' '.join(arguments)}` failed:\n{result.stdout}\n{result.stderr}"
        return result.stdout

    def forget(self) -> None:
        """Read outputs and config again at their next use."""
        for name in ("outputs", "config"):
            self.__dict__.pop(name, None)

    @cached_property
    def outputs(self) -> dict[str, Any]:
        """The stack's outputs, with secrets in plain text."""
        text = self.must("pulumi", "stack", "output", "--json", "--show-secrets", "--stack", "local")
        outputs: dict[str, Any] = json.loads(text)
        return outputs

    @cached_property
    def config(self) -> dict[str, str]:
        """The stack's config by short name, with secrets in plain text."""
        text = self.must("pulumi", "config", "--json", "--show-secrets", "--stack", "local")
        return {key.partition(":")[2]: item.get("value", "") for key, item in json.loads(text).items()}

    def admin(self, database: str = "stellaops") -> psycopg.Connection[Any]:
        """Connect to PostgreSQL as the admin; each statement is its own transaction."""
        config = self.config
        return psycopg.connect(
            host=config["postgresHost"], port=config["postgresPort"], user=config["postgresAdminUser"],
            password=config["postgresAdminPassword"], dbname=database, sslmode="disable", autocommit=True,
        )  # fmt: skip

    def login(self, module: str, password: str | None = None) -> psycopg.Connection[Any]:
        """Connect to PostgreSQL as the module, with its password in the stack's outputs."""
        postgres = self.outputs["contract"]["endpoints"]["postgres"]
        return psycopg.connect(
            host=postgres["host"], port=postgres["port"], dbname=postgres["database"], user=module,
            password=password or self.outputs["secrets"][module]["postgres_password"], sslmode=postgres["sslmode"], autocommit=True,
        )  # fmt: skip

    def valkey(self, user: str) -> Valkey:
        """Connect to Valkey as the module or service."""
        endpoint = self.outputs["contract"]["endpoints"]["valkey"]
        password = self.outputs["secrets"][user]["valkey_password"]
        return Valkey(
            host=endpoint["host"], port=endpoint["port"], username=user, password=password, decode_responses=True
        )

    def valkey_admin(self) -> Valkey:
        """Connect to Valkey as the admin."""
        config = self.config
        return Valkey(
            host=config["valkeyHost"], port=int(config["valkeyPort"]), username=config["valkeyAdminUser"],
            password=config["valkeyAdminPassword"], decode_responses=True,
        )  # fmt: skip

    @property
    def bucket_prefix(self) -> str:
        """The prefix of the names of this stack's buckets and access keys."""
        return self.config.get("bucketPrefix", "")

    def s3(self) -> Any:
        """Connect to the object store as its root user."""
        config = self.config
        return boto3.client(
            "s3", endpoint_url=config["objectStoreEndpoint"], region_name=config.get("objectStoreRegion", "us-east-1"),
            aws_access_key_id=config["objectStoreAccessKey"], aws_secret_access_key=config["objectStoreSecretKey"],
        )  # fmt: skip


def copy_project(project: Path) -> None:
    """Copy the project as a fresh clone would be, with the packages already installed."""
    files = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=PROJECT, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    for name in filter(None, files.split("\0")):
        if (PROJECT / name).is_file():
            (project / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(PROJECT / name, project / name)
    (project / ".venv").symlink_to(PROJECT / ".venv")


@contextmanager
def temporary_stack(directory: Path, watchdog: Watchdog, project: Path = PROJECT) -> Iterator[LocalStack]:
    """Yield a stack in ``directory``; remove it afterwards with its servers and data, even if pytest is killed."""
    watchdog.watch(directory)
    stack = LocalStack(directory, project)
    try:
        yield stack
    finally:
        if stack.shares_object_store:
            stack.run("destroy", "--yes")
        stack.run("clean", "--yes")
