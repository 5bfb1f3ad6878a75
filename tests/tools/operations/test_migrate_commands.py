"""``make migrate-*`` on a live stack: what each says, its exit code, and what it leaves."""

import json
import subprocess

import pytest

from tests.support.stack import LocalStack

OFF = 2


def migrate(live_stack: LocalStack, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return live_stack.run("migrations", *arguments)


def must(live_stack: LocalStack, *arguments: str) -> list[str]:
    result = migrate(live_stack, *arguments)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout.splitlines()


def test_status_has_a_line_for_each_schema_and_verify_finds_nothing(live_stack: LocalStack) -> None:
    lines = must(live_stack, "status")
    assert len(lines) == 11 and all(line.endswith("up to date") for line in lines), lines
    (document,) = json.loads("\n".join(must(live_stack, "status", "--schema", "vuln", "--json")))["schemas"]
    assert document["version"] == document["newest"] == 2 and document["pending"] == document["problems"] == []
    assert [row["description"] for row in document["applied"]] == ["tables", "indexes"]
    assert len(must(live_stack, "verify")) == 11
    assert must(live_stack, "apply", "--schema", "vuln") == ["vuln: nothing pending, at version 0002"]


def test_an_edited_file_is_told_by_status_and_verify_and_accepted_by_repair(live_stack: LocalStack) -> None:
    with live_stack.admin() as connection:
        connection.execute("UPDATE unknowns.schema_migrations SET checksum = 'other' WHERE version = 2")
    told = must(live_stack, "status", "--schema", "unknowns")
    assert "1 problem(s)" in told[0] and "0002_indexes.sql.j2: it was edited after it was applied" in told[1]
    verified = migrate(live_stack, "verify", "--schema", "unknowns")
    assert verified.returncode == OFF and "0002_indexes.sql.j2: it was edited" in verified.stdout
    refused = migrate(live_stack, "apply", "--schema", "unknowns")
    assert refused.returncode == 1 and refused.stderr.splitlines()[-1].startswith("error: sql/unknowns/0002_indexes")
    (changed,) = must(live_stack, "repair", "--schema", "unknowns", "--version", "2")
    assert changed.startswith("unknowns: version 0002: checksum other -> ")
    must(live_stack, "verify", "--schema", "unknowns")


def test_tables_without_a_history_are_adopted_by_baseline(live_stack: LocalStack) -> None:
    with live_stack.admin() as connection:
        connection.execute("DELETE FROM unknowns.schema_migrations")
    verified = migrate(live_stack, "verify", "--schema", "unknowns")
    assert verified.returncode == OFF and "0001_tables.sql.j2: it is not applied yet" in verified.stdout
    refused = migrate(live_stack, "apply", "--schema", "unknowns")
    assert refused.returncode == 1 and "make migrate-baseline SCHEMA=unknowns" in refused.stderr
    assert must(live_stack, "baseline", "--schema", "unknowns")[:2] == [
        "unknowns: recorded 0001_tables.sql.j2 as applied",
        "unknowns: recorded 0002_indexes.sql.j2 as applied",
    ]
    must(live_stack, "verify", "--schema", "unknowns")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("baseline",), "error: baseline needs one schema; add --schema NAME (with make: SCHEMA=NAME)"),
        (("repair", "--schema", "vex"), "error: repair needs one version; add --version NUMBER"),
        (("status", "--schema", "vexx"), 'error: no schema "vexx" in the mapping; it has authority, scanner,'),
        (("repair", "--schema", "vex", "--version", "x"), "'x' is not a version; write a number like 3 or 0003"),
        (("baseline", "--schema", "vex"), "error: vex: migrations are recorded already, up to version 0002"),
    ],
)
def test_a_wrong_call_is_one_line_with_the_remedy(
    live_stack: LocalStack, arguments: tuple[str, ...], said: str
) -> None:
    result = migrate(live_stack, *arguments)
    assert result.returncode in (1, 2) and said in result.stderr.splitlines()[-1], result.stderr
    assert "Traceback" not in result.stderr
