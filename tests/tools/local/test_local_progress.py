"""What `make up` shows of the engine's output."""

import pytest

from tools.local.console import Console
from tools.local.progress import Progress


def shown(capsys: pytest.CaptureFixture[str], *lines: str) -> list[str]:
    progress = Progress(Console())
    for line in lines:
        progress.feed(line + "\n")
    return [line.rstrip() for line in capsys.readouterr().out.splitlines()]


def test_a_finished_resource_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(
        capsys,
        "Updating (local):",
        "@ updating....",
        " +  postgresql:index:Role vuln_owner creating (0s) ",
        " +  postgresql:index:Role vuln_owner created (0.12s) ",
        "    pulumi:providers:aws object-store  ",
        " ++ stellaops:index:Credential scanner created replacement (0.01s)",
    )
    assert [" ".join(line.split()) for line in lines] == [
        "stack created Role vuln_owner",
        "stack created replacement Credential scanner",
    ], "a user would look for what happened between lines that say nothing"


def test_what_has_begun_and_what_differs_is_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(
        capsys,
        " ++ stellaops:index:Credential scanner creating replacement (0s) [diff: ~rotate]",
        " ++ stellaops:index:Credential scanner created replacement (0.01s) [diff: ~rotate]",
        " +- stellaops:index:Credential scanner replacing (0s) [diff: ~rotate]",
        " +- stellaops:index:Credential scanner replaced (0.01s) [diff: ~rotate]",
        " ~  postgresql:index:Role scanner updating (0s) [diff: ~password]",
        " ~  postgresql:index:Role scanner updating (0s) [diff: ~password]; a word of its own",
        " ~  postgresql:index:Role scanner updated (0.02s) [diff: ~password]",
        " -- stellaops:index:Credential scanner deleting original (0s) [diff: ~rotate]",
    )
    assert [" ".join(line.split()) for line in lines] == [
        "stack created replacement Credential scanner",
        "stack replaced Credential scanner",
        "stack a word of its own",
        "stack updated Role scanner",
    ]


def test_what_is_retained_is_not_called_deleted(capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(
        capsys,
        " -  postgresql:index:Schema symbols deleting (0s)[retain] ",
        " -  postgresql:index:Schema symbols deleted (0.01s)[retain] ",
        " -  postgresql:index:Role symbols deleted (0.01s)",
    )
    assert [" ".join(line.split()) for line in lines] == ["stack kept Schema symbols", "stack deleted Role symbols"]


def test_what_a_provider_says_while_the_stack_runs_is_shown_once(capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(
        capsys,
        "    pulumi:pulumi:Stack stellaops-storage-local running symbols: disabled; ending 1 session(s)",
        "    pulumi:pulumi:Stack stellaops-storage-local running ",
        "Diagnostics:",
        "  pulumi:pulumi:Stack (stellaops-storage-local):",
        "    symbols: disabled; ending 1 session(s)",
    )
    assert [" ".join(line.split()) for line in lines] == ["stack symbols: disabled; ending 1 session(s)"]


def test_the_error_of_an_update_that_failed_half_way_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(
        capsys,
        " ~  stellaops:valkey:Users users updating (1s) [diff: ~users]; error: 1 error occurred:",
        " ~  stellaops:valkey:Users users **updating failed** [diff: ~users]; error: 1 error occurred:",
        "Diagnostics:",
        "  stellaops:valkey:Users (users):",
        "    error: 1 error occurred:",
        "    \t* Valkey at 127.0.0.1:6379, as admin: no; check that it runs",
        "    ",
    )
    assert lines == [
        "Diagnostics:",
        "  stellaops:valkey:Users (users):",
        "    error: Valkey at 127.0.0.1:6379, as admin: no; check that it runs",
    ]


def test_what_a_resource_says_is_shown_once(capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(
        capsys,
        " +  pulumi:pulumi:Stack stellaops-storage-local creating (3s) vex: applied 0001_tables.sql.j2",
        "Diagnostics:",
        "  pulumi:pulumi:Stack (stellaops-storage-local):",
        "    vex: applied 0001_tables.sql.j2",
        "",
        "Resources:",
        "    + 2 created",
    )
    assert [" ".join(line.split()) for line in lines] == [
        "stack vex: applied 0001_tables.sql.j2",
        "",
        "Resources:",
        "+ 2 created",
    ], "diagnostics that repeat what was said hide those that do not"


def test_an_error_keeps_its_heading(capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(
        capsys,
        " +  postgresql:index:Role vuln_owner creating (0s) error: connection refused",
        " +  postgresql:index:Role vuln_owner **creating failed** error: connection refused",
        "Diagnostics:",
        "  postgresql:index:Role (vuln_owner):",
        "    error: connection refused",
        "",
        "Resources:",
    )
    assert lines[:4] == [
        "Diagnostics:",
        "  postgresql:index:Role (vuln_owner):",
        "    error: connection refused",
        "",
    ], "the user would not know which resource failed"
