"""Two stacks with the same modules and schemas on one PostgreSQL server, each with its own database and admin."""

import re
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.stack.test_leaving_the_mapping import Stack
from tools.local.engine.tools import Engine
from tools.local.servers.postgres import LocalPostgres


@pytest.fixture
def stacks(tmp_path: Path, engine: Engine, postgres_server: LocalPostgres) -> Iterator[tuple[Stack, Stack]]:
    """The first is up; the second has the same modules and schemas, and nothing of it exists yet."""
    first = Stack(tmp_path / "first", engine, postgres_server)
    second = Stack(tmp_path / "second", engine, postgres_server, like=first)
    first.up()
    yield first, second
    with postgres_server.connect() as connection:
        for stack in (first, second):
            connection.execute(f"DROP DATABASE IF EXISTS {stack.database} WITH (FORCE)".encode())


def works(stack: Stack) -> bool:
    for module in (stack.stays, stack.leaves):
        with stack.login(module) as connection:
            connection.execute(f"SELECT count(*) FROM {module}.things".encode())
    return True


def test_the_preview_of_a_second_stack_names_the_prefix_that_lets_both_live(stacks: tuple[Stack, Stack]) -> None:
    first, second = stacks
    refused = second.project.run("up", "--yes", "--skip-preview")
    assert refused.exit_code != 0 and works(first), "without a preview the plugin refuses the first role that exists"
    refused = second.project.run("preview")
    said = " ".join((refused.stdout + refused.stderr).split())
    assert refused.exit_code != 0 and f"database {first.database} on this server uses the roles" in said, said
    assert "DROP" not in said.upper().replace("DROPSCHEMAS", ""), "never advice against the first stack's roles"
    remedy = re.search(r"run: pulumi config set postgres:rolePrefix (\w+)", said)
    assert remedy, said

    second.project.write(prefix=remedy[1])
    second.up()
    assert works(first) and works(second)
    assert first.project.nothing_to_do() and second.project.nothing_to_do()
    for stack, other in ((first, second), (second, first)):
        with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
            stack.login(stack.stays, other.database)

    second.project.write(names=[second.stays])
    second.up()
    assert works(first), "the module that left the second stack has a login of its own in the first"
    second.project.must("destroy", "--yes", "--skip-preview")
    assert works(first)
    first.project.must("refresh", "--yes", "--skip-preview")
    assert first.project.nothing_to_do()
