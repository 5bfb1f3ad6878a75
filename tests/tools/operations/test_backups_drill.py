"""``make drill``, and a restore by ``make``, as a user runs them."""

import re
from typing import Any

import pytest

from tests.support import backups
from tools.local.paths import State
from tools.local.servers import restored
from tools.local.servers.postgres import LocalPostgres

pytestmark = pytest.mark.xdist_group("live_stack")


def test_the_drill_passes_measures_what_it_says_and_cleans_up(live_stack: Any) -> None:
    context = backups.context_of(live_stack)
    try:
        done = live_stack.run("drill", "--ship-every", "1")
        assert done.returncode == 0, done.stdout + done.stderr
        table = done.stdout[done.stdout.index("step ") :]
        assert "FAILED" not in table and table.count("passed") >= 8
        lost = re.search(r"restore to the latest +([\d.]+) s +([\d.]+) s +passed", table)
        assert lost, table
        assert float(lost[2]) < 60, "commits from before the last upload are missing"
        assert re.search(r"^RPO [\d.]+ s with WAL shipped every 1 s; RTO [\d.]+ s", table, re.MULTILINE)
        with live_stack.admin() as admin:
            databases = {row[0] for row in admin.execute("SELECT datname FROM pg_database")}
            assert databases == {"postgres", "stellaops", "template0", "template1"}
        with live_stack.valkey_admin() as admin:
            assert not admin.keys("drill:*")
        assert not list(context.restored.iterdir())
    finally:
        backups.clear(live_stack, context)


def test_a_restore_says_where_it_is_and_how_to_switch_over_and_discard(
    live_stack: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    context = backups.context_of(live_stack)
    try:
        assert backups.run(live_stack, "backup", "--store", "valkey") == 0
        assert backups.run(live_stack, "restore", "--store", "valkey") == 0
        shown = capsys.readouterr().out
        name = re.search(r"python3 -m tools restore --stack local --discard (\S+)", shown)
        assert name and "runs at valkey://127.0.0.1:" in shown and "switch over" in shown, shown
        assert backups.run(live_stack, "restore", "--store", "valkey") == 1
        assert "exists already" in capsys.readouterr().err
        assert backups.run(live_stack, "restore", "--store", "valkey", "--discard", name[1]) == 0
        assert not list(context.restored.iterdir())
        assert backups.run(live_stack, "restore", "--discard", "stellaops") == 1
        assert "is not a restored server or database" in capsys.readouterr().err
    finally:
        backups.clear(live_stack, context)


def test_a_restored_server_is_stopped_with_the_stack(live_stack: Any) -> None:
    context = backups.context_of(live_stack)
    try:
        assert backups.run(live_stack, "backup", "--store", "valkey") == 0
        assert backups.run(live_stack, "restore", "--store", "valkey") == 0
        home = LocalPostgres(State(live_stack.state).servers / LocalPostgres.name).home
        assert restored.stop_all(home) == 1, "it would run on after make down"
        assert restored.stop_all(home) == 0
    finally:
        for directory in context.restored.iterdir():
            backups.run(live_stack, "restore", "--discard", directory.name)
        backups.clear(live_stack, context)
