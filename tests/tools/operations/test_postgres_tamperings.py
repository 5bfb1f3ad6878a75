"""Each manual change of ``tests/support/postgres_tamperings.py`` is named by ``drift`` with a remedy that mends it."""

import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from provider.difference import Difference
from tests.support.drift import InProcess, execute, texts
from tests.support.postgres_tamperings import TAMPERINGS
from tests.support.stack import LocalStack

pytestmark = pytest.mark.xdist_group("live_stack")
AT_LEAST = 50
RELOAD_SECONDS = 20  # how long a server may take to read its configuration again
ALONE = [name for name, tampering in TAMPERINGS.items() if not tampering.only_up]


@pytest.fixture(scope="module")
def drift(live_stack: LocalStack) -> InProcess:
    return InProcess.of(live_stack)


@pytest.fixture
def admin(live_stack: LocalStack) -> "Iterator[psycopg.Connection[Any]]":
    with live_stack.admin() as connection:
        yield connection


def await_reload(drift: InProcess, differences: int) -> list[Difference]:
    """Return the differences as soon as there are so many: the server reads its files a moment after it was told to."""
    deadline = time.monotonic() + RELOAD_SECONDS
    while len(found := drift.found()) != differences and time.monotonic() < deadline:
        pass
    return found


def test_there_are_enough_tamperings() -> None:
    assert len(TAMPERINGS) >= AT_LEAST
    for name, tampering in TAMPERINGS.items():
        assert tampering.by_up == bool(tampering.undo or tampering.only_up), f"{name}: the remedies must undo it"


@pytest.mark.parametrize("name", ALONE)
def test_a_tampering_is_named_and_its_remedy_mends_it(
    drift: InProcess, admin: "psycopg.Connection[Any]", name: str
) -> None:
    tampering = TAMPERINGS[name]
    is_of_server = "pg_reload_conf" in "".join(tampering.do)
    execute(admin, tampering.do)
    try:
        found = await_reload(drift, len(tampering.found)) if is_of_server else drift.found()
    finally:
        # The next tampering shows whether this one is undone.
        execute(admin, tampering.undo)
    left = [] if tampering.undo else drift.remedy(found)
    execute(admin, tampering.after)
    assert tampering.is_found(texts(found)), f"expected {tampering.found}, found {texts(found)}"
    assert (await_reload(drift, 0) if is_of_server else left) == []


def test_one_up_mends_what_no_statement_has_to(
    drift: InProcess, live_stack: LocalStack, admin: "psycopg.Connection[Any]"
) -> None:
    assert drift.found() == [], "a tampering was not undone"
    by_up = {name: tampering for name, tampering in TAMPERINGS.items() if tampering.by_up}
    before: set[str] = set()
    for name in sorted(by_up, key=lambda name: not by_up[name].only_up):
        execute(admin, by_up[name].do)
        if by_up[name].only_up:
            found = texts(drift.found())
            new = sorted(set(found) - before)
            assert by_up[name].is_found(new), f"{name}: expected {by_up[name].found}, found {new}"
            before = set(found)
    left = drift.remedy(drift.found())
    assert len(left) > AT_LEAST and not any(item.remedy for item in left)
    result = live_stack.run("up", "--refresh")
    assert result.returncode == 0, f"{result.stdout}\n{result.stderr}"
    assert drift.found() == []
    # Nothing of the stack's is left to the role that a tampering created.
    execute(admin, ("DROP ROLE stranger", *TAMPERINGS["a membership opens another database"].after))
    assert "unchanged" in live_stack.must("preview", "--expect-no-changes")
