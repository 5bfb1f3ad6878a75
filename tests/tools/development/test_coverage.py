"""When `make test` measures coverage, and what it prints of it."""

import subprocess

import pytest

from tools.development import coverage


@pytest.mark.parametrize("arguments", [[], ["-x"], ["-n", "4"], ["--durations=5"]])
def test_a_run_of_all_tests_is_measured(arguments: list[str]) -> None:
    assert "--cov" in coverage.options(arguments)


@pytest.mark.parametrize(
    "arguments", [["tests/components"], ["-k", "mapping"], ["tests/test_lock_files.py::test_x"], ["--lf"]]
)
def test_a_run_of_selected_tests_is_not(arguments: list[str]) -> None:
    assert coverage.options(arguments) == [], "the figure would be that of a few tests"


def test_the_figure_is_a_line_with_a_percentage(monkeypatch: pytest.MonkeyPatch) -> None:
    class Done:
        stdout = "81\n"
        returncode = 0

    monkeypatch.setattr(subprocess, "run", lambda *_arguments, **_options: Done)
    assert coverage.summary().startswith("coverage: 81% of lines")
