"""The command line: exit codes, files, and one line for each mistake."""

import io
import json
import stat
from pathlib import Path

import pytest

from tests.tools.review import recording, synthetic
from tools.cli.main import dispatch
from tools.review.tokens import SCHEMA

DROP = synthetic.engine_output(synthetic.event("delete", SCHEMA, "vex", {"name": "vex"}))


def main(arguments: list[str]) -> int:
    return dispatch(["review", *arguments])


@pytest.fixture(autouse=True)
def _in_the_project(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(synthetic.ROOT)


@pytest.fixture
def drop(tmp_path: Path) -> str:
    (tmp_path / "dev.json").write_text(DROP)
    return str(tmp_path / "dev.json")


def recorded(tmp_path: Path, name: str) -> str:
    file = tmp_path / f"{name}.json"
    file.write_text(recording.text(name))
    return str(file)


def test_nothing_at_the_threshold_is_exit_code_0(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([recorded(tmp_path, "read-added")]) == 0
    assert "`vexlens` gains SELECT on `vuln.linksets`" in capsys.readouterr().out


def test_data_loss_is_exit_code_2_until_a_label_names_it(drop: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([drop]) == 2
    assert main([drop, "--approve", "approve-data-loss: postgres/vex"]) == 0
    assert "to approve" in capsys.readouterr().out


def test_a_threshold_milder_than_data_loss_does_not_let_it_through(drop: str) -> None:
    assert main([drop, "--threshold", "data-loss"]) == 2


def test_a_failed_preview_is_exit_code_1_with_its_comment(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([recorded(tmp_path, "mapping-broken")]) == 1
    assert "no schema 'vexx'; did you mean \"vex\"?" in capsys.readouterr().out


def test_standard_input_is_a_file_too(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(DROP.encode())))
    assert main(["-"]) == 2
    assert "schema `vex`" in capsys.readouterr().out


def test_comment_and_report_go_to_files_and_the_report_is_whole(
    tmp_path: Path, drop: str, capsys: pytest.CaptureFixture[str]
) -> None:
    comment, report = tmp_path / "comment.md", tmp_path / "report.json"
    assert main([drop, "--output", str(comment), "--json", str(report)]) == 2
    assert capsys.readouterr().out == "" and "schema `vex`" in comment.read_text()
    document = json.loads(report.read_text())
    assert (
        document["stacks"][0]["risk"] == "data-loss"
        and document["stacks"][0]["changes"][0]["label"] == "approve-data-loss: postgres/vex"
    )


def test_drift_of_the_day_two_command_is_shown_with_its_stack(
    tmp_path: Path, drop: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "drift.json"
    document = {
        "stack": "dev",
        "differences": [{"store": "valkey", "sentence": "user x may FLUSHALL"}],
        "errors": ["rustfs: unreachable"],
    }
    file.write_text(json.dumps(document))
    main([drop, "--drift", str(file)])
    said = capsys.readouterr().out
    assert "valkey: user x may FLUSHALL" in said and "could not be compared: rustfs: unreachable" in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["no-such-file.json"], "cannot read no-such-file.json: No such file or directory"),
        (["README.md"], "README.md: README contains no JSON"),
        (["DROP", "DROP"], "more than one preview of stack dev; pass one per stack"),
        (["DROP", "--drift", "README.md"], "README.md is not the output of `python3 -m tools drift --json`"),
        (["DROP", "--output", "/no/such/directory/x"], "/no/such/directory/x cannot be written"),
        (["--stack", "dev"], "pulumi is not on the PATH"),
    ],
)
def test_a_mistake_is_one_line(
    arguments: list[str], message: str, drop: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "")
    assert main([drop if part == "DROP" else part for part in arguments]) == 1
    said = capsys.readouterr().err.splitlines()
    assert said[-1].startswith("error: ") and message in said[-1] and "Traceback" not in "\n".join(said)


def test_a_threshold_that_is_none_is_told_with_those_that_are(drop: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([drop, "--threshold", "everything"]) == 1
    assert "choose one of data-loss, access-widened" in capsys.readouterr().err


def _fake_pulumi(directory: Path, preview: str, config: str = "{}", code: int = 0) -> None:
    (directory / "preview.json").write_text(preview)
    (directory / "config.json").write_text(config)
    program = directory / "pulumi"
    program.write_text(
        f'#!/bin/sh\ncase "$*" in *preview*) /bin/cat {directory}/preview.json; echo "$PULUMI_ENABLE_STREAMING_JSON_PREVIEW" >&2; exit {code};;'
        f" *) /bin/cat {directory}/config.json;; esac\n"
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)


def test_a_stack_is_previewed_with_the_engine_on_the_path_and_its_secrets_are_masked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    leaking = synthetic.engine_output(
        synthetic.event("create", "some:index/thing:Thing", "thing", None, {"note": "swordfish and more"})
    )
    _fake_pulumi(tmp_path, leaking, json.dumps({"a:password": {"value": "swordfish", "secret": True}}))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["--stack", "dev"]) == 0
    said = capsys.readouterr().out
    assert "swordfish" not in said and "[masked] and more" in said


def test_an_engine_that_says_nothing_is_told_with_its_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _fake_pulumi(tmp_path, "", code=255)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["--stack", "dev"]) == 1
    said = capsys.readouterr().out
    assert "**`dev`**: **the preview failed**" in said and "the engine printed nothing (exit code 255)" in said


def test_help_names_every_option_and_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    said = " ".join(capsys.readouterr().out.split())
    assert "--approve" in said and "Exit code 2: a risk reaches the threshold" in said
