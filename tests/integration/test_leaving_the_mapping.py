"""Modules and schemas that leave the mapping: what a preview says, what is kept, who is put out, and coming back."""

import re

import psycopg
import pytest

from tests.integration.conftest import MAPPING, Edit
from tests.stack import LocalStack

KEPT = "kept with its tables"


def without_symbols() -> str:
    """The mapping without module ``symbols`` and its schema."""
    text, modules = re.subn(r"\n  symbols:\n(?:    .*\n)+", "\n", MAPPING)
    text, schemas = re.subn(r"\n    symbols:\n(?:      .*\n)+", "\n", text)
    assert (modules, schemas) == (1, 1)
    return text


def roles(live_stack: LocalStack) -> list[str]:
    with live_stack.admin() as connection:
        return [row[0] for row in connection.execute("SELECT rolname FROM pg_roles WHERE rolname LIKE 'symbols%'")]


def rows(live_stack: LocalStack) -> list[tuple[str]]:
    with live_stack.admin() as connection:
        return connection.execute("SELECT debug_id FROM symbols.debug_info").fetchall()


def test_a_module_and_its_schema_leave_come_back_and_leave_for_good(live_stack: LocalStack, edit: Edit) -> None:
    # As on every stack but the local one: nothing is named to be dropped.
    edit.set("dropSchemas", "")
    live_stack.must("up")
    session = live_stack.login("symbols")
    session.execute("INSERT INTO symbols.debug_info (debug_id) VALUES ('keep me')")

    # Gone from the mapping: the preview says so, and what becomes of the tables.
    edit.use(without_symbols())
    preview = live_stack.must("preview")
    assert re.search(r'- symbols *: "Symbols"', preview), "a reviewer must see which login goes"
    assert re.search(rf'- symbols *: "{KEPT}', preview), "a reviewer must see what becomes of the data"
    assert "postgresql:index/schema:Schema: (delete[retain])" in preview
    assert session.execute("SELECT 1").fetchone() == (1,), "a preview ends no session"

    # Named to be dropped at the same moment: too late, and nothing happens.
    edit.set("dropSchemas", "symbols")
    refused = live_stack.run("up")
    said = refused.stdout + refused.stderr
    assert refused.returncode == 1 and "schema symbols leaves the mapping and is named in dropSchemas at once" in said
    assert "Traceback" not in said
    edit.set("dropSchemas", "")

    shown = live_stack.must("up")
    assert "symbols: disabled; ending 1 session(s)" in shown and "kept Schema symbols" in shown
    disabled, dropped = shown.index("symbols: disabled"), shown.index("deleted Role symbols")
    assert disabled < dropped, "a session would go on as a role that is not there"
    with pytest.raises(psycopg.OperationalError):
        session.execute("SELECT 1")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        live_stack.login("symbols")
    assert roles(live_stack) == []
    assert rows(live_stack) == [("keep me",)], "data of a schema that nobody named was dropped"
    with live_stack.login("scanner") as other, pytest.raises(psycopg.errors.InsufficientPrivilege):
        other.execute("SELECT * FROM symbols.debug_info")

    # Back again, now named: a plain up, and everything is there.
    edit.use(MAPPING)
    edit.set("dropSchemas", "symbols")
    assert "symbols: kept tables found, and given to symbols_owner again" in live_stack.must("up")
    live_stack.forget()
    with live_stack.login("symbols") as module:
        assert module.execute("SELECT debug_id FROM symbols.debug_info").fetchall() == [("keep me",)]
        module.execute("UPDATE symbols.debug_info SET format = 'elf'")
    assert live_stack.run("preview", "--expect-no-changes").returncode == 0

    # Gone for good: the stack's config named it before it left.
    edit.use(without_symbols())
    preview = live_stack.must("preview")
    assert re.search(r'- symbols *: "dropped with its tables', preview)
    assert "postgresql:index/schema:Schema: (delete)" in preview
    assert "kept Schema" not in live_stack.must("up")
    with live_stack.admin() as connection:
        assert connection.execute("SELECT to_regnamespace('symbols') IS NULL").fetchone() == (True,)
    assert roles(live_stack) == []
