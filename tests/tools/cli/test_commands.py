"""Every command of the registry: its help, its documentation, its make target, and how it behaves in odd places."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.command_line import BARE, CHEAP, PROGRAM
from tools.cli import parser, reference
from tools.cli.command import Argument, Command, CommandGroup, Scope
from tools.cli.registry import COMMANDS
from tools.local.paths import ROOT

NAMES = [command.name for command in COMMANDS]
TIMEOUT_SECONDS = 120
# They start servers, build programs, or run for minutes.
HEAVY = {"up", "preview", "refresh", "test", "lint", "format", "bench", "bench keyspace", "kubernetes-plugin"}


def run(
    *arguments: str, directory: Path = ROOT, environment: dict[str, str] | None = None, state: Path | None = None,
    python: tuple[str, ...] = (),
) -> "subprocess.CompletedProcess[str]":  # fmt: skip
    settings = {**(os.environ if environment is None else environment)}
    if state:
        settings["STELLAOPS_STATE_DIR"] = str(state)
    return subprocess.run(
        [PROGRAM[0], *python, *PROGRAM[1:], *arguments],
        cwd=directory, env=settings, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=TIMEOUT_SECONDS,
        encoding="utf-8",
    )  # fmt: skip


def by_name(name: str) -> Command:
    return next(command for command in COMMANDS if command.name == name)


def test_every_command_is_either_tried_or_known_to_be_heavy() -> None:
    assert CHEAP.keys() | HEAVY == set(NAMES) and not CHEAP.keys() & HEAVY, "a command would go untested"
    assert len(NAMES) == len(set(NAMES))


@pytest.mark.parametrize("name", NAMES)
def test_help_works_with_nothing_but_python_from_any_directory(name: str) -> None:
    """No packages (-S), no HOME, an ASCII locale, a subdirectory: as somebody has it who looks before installing."""
    shown = run(*name.split(), "--help", directory=ROOT / "docs", environment=BARE, python=("-S",))
    assert (shown.returncode, shown.stderr) == (0, "")
    assert shown.stdout.startswith(f"usage: python3 ../tools {name} ") or name == "help"
    words = " ".join(shown.stdout.split())
    for argument in by_name(name).all_arguments:
        assert argument.name in words or argument.usage.strip("[].") in words, f"{argument.name} is missing"
        assert " ".join(argument.full_help.split()) in words, f"the help of {argument.name} is missing or mangled"
    assert " ".join(by_name(name).description.split()) in words


@pytest.mark.parametrize(
    ("arguments", "passed_on"),
    [
        (["pulumi", "stack", "--help"], ("stack", "--help")),
        (["pulumi", "--", "--help"], ("--help",)),
        (["test", "-k", "x", "--help"], ("-k", "x", "--help")),
        (["up", "--target", "a", "--", "--help"], ("--target", "a", "--help")),
    ],
)
def test_the_engines_and_pytests_own_help_stay_within_reach(arguments: list[str], passed_on: tuple[str, ...]) -> None:
    assert parser.help_of(arguments) is None
    assert parser.parse(*parser.find(arguments)).passed_on == passed_on


def test_a_percent_sign_in_any_text_is_shown_as_it_is() -> None:
    text = "100 % of %s and %(prog)d"
    command = Command(
        "x", text, CommandGroup.DEVELOPMENT, lambda _: 0, arguments=(Argument("--y", text, default="5 %"),)
    )
    shown = parser.parser(command).format_help()
    assert shown.count(text) == 2 and "(default: 5 %)" in shown


@pytest.mark.parametrize("arguments", [[], ["--help"], ["migrations", "--help"], ["--make-targets"]])
def test_the_lists_of_commands_need_nothing_but_python(arguments: list[str]) -> None:
    shown = run(*arguments, environment=BARE, python=("-S",))
    assert (shown.returncode, shown.stderr) == (0, "")
    listed = [command for command in COMMANDS if command.name.startswith(arguments[0])] if arguments[1:] else COMMANDS
    for command in listed:
        assert command.help in shown.stdout or not command.make


@pytest.mark.parametrize("name", NAMES)
def test_every_command_and_argument_is_documented(name: str) -> None:
    text = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    assert text == reference.page(COMMANDS).text, "docs/commands.md is not current; run: make docs"
    section = text.partition(f"### {name}\n")[2].partition("\n### ")[0]
    assert section, f"nobody would find {name}"
    for argument in by_name(name).all_arguments:
        assert argument.usage.replace("|", "\\|") in section, f"{argument.name} of {name} is not documented"


@pytest.mark.parametrize("name", [command.name for command in COMMANDS if not command.passes_on_to])
def test_a_wrong_argument_is_one_line_with_a_remedy_that_works(name: str) -> None:
    refused = run(*name.split(), "--no-such-option", directory=ROOT / "docs")
    assert (refused.returncode, refused.stdout) == (1, ""), "exit code 2 would mean a difference"
    assert refused.stderr.startswith("error: ") and refused.stderr.count("\n") == 1
    remedy = re.search(r"see (python3 .*--help)$", refused.stderr.strip())
    assert remedy, refused.stderr
    words = shlex.split(remedy[1])
    helped = subprocess.run(
        [sys.executable, *words[1:]], cwd=ROOT / "docs", capture_output=True, text=True, check=False
    )
    assert helped.returncode == 0 and helped.stdout.startswith("usage: ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["drfit"], "there is no command 'drfit'; did you mean drift?"),
        (["migrations"], "migrations needs an action: status, apply, verify, baseline, repair"),
        (["migrations", "appyl"], "migrations has no action 'appyl'; choose from status"),
        (["--stack", "dev", "drift"], "--stack is not an option; write the command first"),
        (["keys", "--rate", "0"], "'0' is not a whole number above 0"),
        (["backup", "--list", "--check"], "not allowed with argument"),
    ],
)
def test_a_mistyped_command_is_one_line(arguments: list[str], message: str) -> None:
    refused = run(*arguments)
    assert refused.returncode == 1 and message in refused.stderr and refused.stderr.count("\n") == 1


@pytest.mark.parametrize("name", CHEAP)
def test_a_command_runs_without_home_in_an_ascii_locale_from_a_subdirectory(name: str, tmp_path: Path) -> None:
    done = run(*name.split(), *CHEAP[name], directory=ROOT / "docs", environment=BARE, state=tmp_path / "state")
    assert "Traceback" not in done.stderr and "Error" not in done.stderr, done.stderr
    if by_name(name).uses_local_stack(parser.parse(by_name(name), CHEAP[name]).options):
        assert done.returncode == 0 or done.stderr == "error: there is no local stack yet; run make up first\n"
    else:
        usual = run(*name.split(), *CHEAP[name], state=tmp_path / "state")
        expected = usual.stderr.replace("no-such-file", "docs/no-such-file")
        assert (done.returncode, done.stdout, done.stderr) == (usual.returncode, usual.stdout, expected)


@pytest.mark.parametrize("name", [*CHEAP, *(f"{name} --help" for name in NAMES), "", "--make-targets"])
def test_a_reader_that_leaves_early_sees_no_traceback(name: str, tmp_path: Path) -> None:
    arguments = [*name.split(), *CHEAP.get(name, [])]
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [*PROGRAM, *arguments], cwd=ROOT, env={**os.environ, "STELLAOPS_STATE_DIR": str(tmp_path / "state")},
            stdin=subprocess.DEVNULL, stdout=writing, stderr=subprocess.PIPE, text=True, check=False, timeout=TIMEOUT_SECONDS,
        )  # fmt: skip
    finally:
        os.close(writing)
    assert done.returncode in {0, 1, 141} and "Traceback" not in done.stderr and "Exception" not in done.stderr, (
        done.stderr
    )
    assert done.returncode != 0 or name in {"docs", "schemas"}, "what could not be written was no success"


@pytest.mark.parametrize("program", ["python", "mypy", "ruff"])
def test_a_program_that_a_command_runs_leaves_no_traceback_either(program: str) -> None:
    arguments = {
        "python": ["-m", "pytest", "--collect-only", "-q", "tests/tools/cli"],
        "mypy": ["--help"],
        "ruff": ["rule", "--all"],
    }[program]
    code = (
        "from tools.cli import main, registry; import sys; from tools.development import programs;"
        "command = next(item for item in registry.COMMANDS if item.name == 'format');"
        f"object.__setattr__(command, 'run', lambda _: programs.run({program!r}, *{arguments!r}));"
        "sys.exit(main.main(['format']))"
    )
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {shlex.join([sys.executable, '-c', code])} | head -n 1 && exit 0; exit $?"],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=TIMEOUT_SECONDS,
    )  # fmt: skip
    assert done.returncode in {0, 141} and done.stderr == "" and done.stdout.count("\n") == 1, done.stderr


def test_names_that_an_ascii_terminal_does_not_have_are_no_failure(tmp_path: Path) -> None:
    directory = tmp_path / "Überprüfung"
    directory.mkdir()
    shutil.copy(ROOT / "schema-mapping.yaml", directory)
    done = run("check-mapping", "schema-mapping.yaml", directory=directory, environment=BARE)
    assert (done.returncode, done.stderr) == (0, "") and "no problem found" in done.stdout
    missing = run(
        "check-mapping", "fehlt-ü.yaml", directory=tmp_path, environment={**BARE, "PYTHONIOENCODING": "ascii"}
    )
    assert missing.returncode == 1 and "Traceback" not in missing.stderr and "fehlt-" in missing.stderr


def test_a_file_is_looked_for_where_the_user_is(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("version: 1\n")
    refused = run("check-mapping", "mine.yaml", directory=tmp_path)
    assert refused.returncode == 1 and "mine.yaml:1:1: 'modules' is missing" in refused.stderr


def test_tests_are_looked_for_where_the_user_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT / "tests" / "tools")
    passed_on = parser.parse(by_name("test"), ["cli/test_commands.py::test_x", "-k", "help", "cli"]).passed_on
    assert passed_on == ("tests/tools/cli/test_commands.py::test_x", "-k", "help", "tests/tools/cli")


def makefile_targets() -> set[str]:
    text = (ROOT / "Makefile").read_text()
    return {name for line in re.findall(r"^\.PHONY:(.*)$", text, re.MULTILINE) for name in line.split()}


def test_make_lists_every_target_and_has_every_target_that_is_listed() -> None:
    shown = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    listed = {line.split()[1] for line in shown.splitlines() if line.startswith("  make ")}
    assert listed == {command.make.target for command in COMMANDS if command.make}
    assert makefile_targets() == listed | {"help", "docs-open"}


VARIABLES = (
    "YES=1", "STACK=dev", "SCHEMA=vuln", "VERSION=2", "MODULE=scanner", "STORE=postgres", "TO=2026-11-25 10:15", "NAME=a",
    "BUCKET=blobs", "KEY=evidence/a",
)  # fmt: skip


@pytest.mark.parametrize("target", sorted(makefile_targets() - {"help"}))
def test_a_make_target_runs_its_command_with_options_that_it_has(target: str) -> None:
    shown = subprocess.run(
        ["make", "--no-print-directory", "-n", target, *VARIABLES], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    words = shlex.split(shown[-1])
    assert words[:3] == ["python3", "-m", "tools"]
    command, rest = parser.find(words[3:])
    invocation = parser.parse(command, rest)
    assert command.make and command.make.target == target.removesuffix("-open")
    if command.scope is Scope.ANY:
        assert invocation.options.stack == "dev", "make would work on another stack than the one that was named"
    if any(argument.name == "--yes" for argument in command.arguments):
        assert invocation.options.yes, "YES=1 would be ignored"
        without = shlex.split(subprocess.run(["make", "--no-print-directory", "-n", target, "YES=0"], cwd=ROOT, capture_output=True, text=True, check=True).stdout)  # fmt: skip
        assert "--yes" not in without


def test_every_day_two_command_takes_any_stack_and_the_local_one_without_a_name() -> None:
    for command in COMMANDS:
        if command.group is CommandGroup.DAY_TWO:
            required = CHEAP[command.name]
            assert parser.parse(command, required).options.stack == "local"
            assert parser.parse(command, [*required, "--stack", "prod"]).options.stack == "prod"


@pytest.mark.parametrize("name", [command.name for command in COMMANDS if command.group is CommandGroup.DAY_TWO])
def test_another_stack_is_reached_with_the_users_own_environment(name: str, tmp_path: Path) -> None:
    """An engine that shows what it was asked, and with which backend."""
    pulumi = tmp_path / "pulumi"
    pulumi.write_text('#!/bin/sh\necho "error: asked for $* at $PULUMI_BACKEND_URL" >&2; exit 255\n')
    pulumi.chmod(0o755)
    settings = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "PULUMI_BACKEND_URL": "s3://theirs"}
    done = run(*name.split(), *CHEAP[name], "--stack", "prod", environment=settings, state=tmp_path / "state")
    assert done.returncode == 1 and done.stderr.count("\n") == 1, done.stderr
    assert "asked for" in done.stderr and "--stack prod at s3://theirs" in done.stderr
    assert not (tmp_path / "state").exists(), "the local stack is none of its business"
