"""What the tests of the postgresql plugin share."""

import secrets
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest


@pytest.fixture
def name() -> str:
    """A name that nothing else on the shared server has."""
    return f"t_{secrets.token_hex(4)}"


@pytest.fixture
def sql(postgres_server: Any) -> Iterator["psycopg.Connection[Any]"]:
    """The server's admin, beside the plugin."""
    with postgres_server.connect() as connection:
        yield connection
