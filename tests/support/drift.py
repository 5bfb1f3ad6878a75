"""``drift`` of PostgreSQL in this process, and its remedies run as they are printed."""

import json
import os
import shlex
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import psycopg

from provider.difference import Difference
from tests.support.stack import LocalStack
from tools.local.servers.postgres import installation
from tools.operations.drift_postgres import check
from tools.operations.stack import Stack

ROUNDS = 3  # a remedy can need that of another difference first, or make another one necessary


@dataclass(frozen=True)
class InProcess:
    """The live stack as the day-two commands have it; its config, state and outputs are read once."""

    live: LocalStack
    stack: Stack
    state: dict[str, Any]

    @staticmethod
    def of(live: LocalStack) -> "InProcess":
        live.forget()
        config = json.loads(live.must("pulumi", "config", "--json", "--show-secrets", "--stack", "local"))
        state = json.loads(live.must("pulumi", "stack", "export", "--stack", "local"))
        stack = Stack("local", {key: str(item.get("value", "")) for key, item in config.items()})
        stack.__dict__["outputs"] = live.outputs
        return InProcess(live, stack, state)

    def found(self) -> list[Difference]:
        return [finding.difference for finding in check(self.stack, self.state)]

    def remedy(self, found: list[Difference]) -> list[Difference]:
        """Run the printed remedies of all differences but those that need ``up``, and return what is left.

        A remedy may fail only if another one has mended its difference already, or if it works once others have run.
        """
        failed: list[str] = []
        for _ in range(ROUNDS):
            failed = []
            for remedy in dict.fromkeys(item.remedy for item in found if item.remedy):
                result = self.run(remedy)
                if result.returncode:
                    failed.append(f"{remedy}: {result.stderr}")
            found = self.found()
            if not any(item.remedy for item in found):
                return found
        raise AssertionError(f"the remedies do not mend {[str(item) for item in found]}; failed: {failed}")

    def run(self, remedy: str) -> subprocess.CompletedProcess[str]:
        """Run a remedy in the shell or, if it is SQL, in psql."""
        program, *arguments = shlex.split(remedy) if remedy.startswith("python3 ") else ("",)
        if program:
            assert arguments[:2] == ["-m", "tools"]
            return self.live.run(*arguments[2:])
        server = self.stack.postgres
        environment = {
            **os.environ,
            "PGHOST": server.host, "PGPORT": str(server.port), "PGUSER": server.user, "PGPASSWORD": server.password,
            "PGDATABASE": server.database,
        }  # fmt: skip
        return subprocess.run(
            [installation() / "bin" / "psql", "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1"],
            input=remedy + ";\n", env=environment, text=True, capture_output=True, timeout=60, check=False,
        )  # fmt: skip


def execute(admin: "psycopg.Connection[Any]", statements: Iterable[str]) -> None:
    for statement in statements:
        admin.execute(statement.encode())


def texts(differences: Iterable[Difference]) -> list[str]:
    return [str(difference) for difference in differences]
