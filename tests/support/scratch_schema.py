"""A schema for one test, with its roles and a directory for its migrations."""

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from provider.postgres.applied import Applied
from provider.postgres.migrations import apply
from provider.postgres.problems import MigrationError
from provider.postgres.session import Limits
from provider.postgres.target import SchemaTarget
from tools.local.servers.postgres import LocalPostgres

ROOT = Path(__file__).parents[2]
QUICK = Limits(run_lock=0.5, lock_timeout=100, concurrent_lock_timeout=200, retries=2, pause=0.1)
TABLES = "CREATE TABLE {{ schema }}.sources (id int PRIMARY KEY);\n"
RAW = "CREATE TABLE {{ schema }}.raw (id int PRIMARY KEY, source int REFERENCES {{ schema }}.sources ON DELETE CASCADE);\n"


@dataclass
class Schema:
    """A schema with its three roles in a database, and a directory for its migrations."""

    server: LocalPostgres
    database: str
    target: SchemaTarget
    directory: Path
    admin: dict[str, str] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)

    def write(self, **files: str) -> None:
        for name, text in files.items():
            (self.directory / f"{name.removeprefix('v')}.sql.j2").write_text(text)

    def connect(self, **settings: Any) -> "psycopg.Connection[Any]":
        return self.server.connect(self.database, **settings)

    def apply(self, append_only: tuple[str, ...] = (), limits: Limits = QUICK) -> tuple[Applied, ...]:
        with self.connect(**self.admin) as connection:
            return apply(connection, self.target, self.directory, append_only, limits, self.lines.append)

    def refusal(self, append_only: tuple[str, ...] = (), limits: Limits = QUICK) -> str:
        with pytest.raises(MigrationError) as caught:
            self.apply(append_only, limits)
        return str(caught.value)

    def rows(self, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
        with self.connect() as connection:
            return connection.execute(query.encode(), parameters or None).fetchall()

    def run(self, *statements: str, **settings: Any) -> None:
        with self.connect(**settings) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def tables(self) -> set[str]:
        query = "SELECT relname FROM pg_class WHERE relnamespace = to_regnamespace(%s) AND relkind IN ('r', 'p')"
        return {row[0] for row in self.rows(query, self.target.schema)}

    def versions(self) -> list[int]:
        if "schema_migrations" not in self.tables():
            return []
        return [row[0] for row in self.rows(f"SELECT version FROM {self.target.schema}.schema_migrations ORDER BY 1")]


def make_schema(server: LocalPostgres, parent: Path) -> Schema:
    """``s_<random>`` with roles of that name in a database shared by the tests."""
    name = f"s_{uuid.uuid4().hex[:8]}"
    with server.connect() as connection:
        if not connection.execute("SELECT 1 FROM pg_database WHERE datname = 'stellaops'").fetchone():
            connection.execute("CREATE DATABASE stellaops")
        for group in ("owner", "writer", "reader"):
            connection.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(f"{name}_{group}")))
    directory = parent / name
    directory.mkdir()
    made = Schema(server, "stellaops", SchemaTarget(name, f"{name}_owner"), directory)
    made.run(f"CREATE SCHEMA {name} AUTHORIZATION {name}_owner")
    return made


@contextmanager
def runner(schema: Schema) -> Iterator["subprocess.Popen[bytes]"]:
    """Start a migration run in a separate process, which the test kills."""
    program = (
        "import sys, psycopg, pathlib; from provider.postgres.migrations import apply;"
        " from provider.postgres.target import SchemaTarget; c = psycopg.connect(sys.argv[1], autocommit=True);"
        " apply(c, SchemaTarget(sys.argv[2], sys.argv[3]), pathlib.Path(sys.argv[4]), ('raw',))"
    )
    server, target = schema.server, schema.target
    dsn = f"host={server.host} port={server.port} user={server.user} dbname={schema.database}"
    command = [sys.executable, "-c", program, dsn, target.schema, target.owner, str(schema.directory)]
    environment = {**os.environ, "PGPASSWORD": server.password, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, env=environment, cwd=ROOT)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
