"""The committed workflows: what actionlint says, what they pin, and what they may do."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.tools.review.synthetic import ROOT
from tools.local.console import Console
from tools.local.engine import build

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
ACTION = ROOT / ".github" / "actions" / "setup" / "action.yml"
GITLAB = ROOT / "docs" / "gitlab-ci.example.yml"


def lint(*files: Path) -> subprocess.CompletedProcess[str]:
    program = build.ensure(build.ACTIONLINT, Console()) / "actionlint"
    return subprocess.run([program, "-no-color", *files], cwd=ROOT, capture_output=True, text=True, check=False)


def test_actionlint_finds_nothing() -> None:
    result = lint(*WORKFLOWS)
    assert result.returncode == 0, result.stdout


def test_actionlint_would_find_something(tmp_path: Path) -> None:
    broken = tmp_path / "broken.yml"
    broken.write_text(WORKFLOWS[0].read_text().replace("runs-on:", "run-on:", 1))
    assert lint(broken).returncode == 1


@pytest.mark.parametrize("file", [*WORKFLOWS, ACTION], ids=lambda file: file.stem)
def test_every_action_is_pinned_by_its_commit(file: Path) -> None:
    for used in re.findall(r"uses: (\S+)", file.read_text()):
        assert used.startswith("./") or re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", used), f"{used}: a tag can be moved"


def load(file: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(file.read_text())
    return content


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.stem)
def test_nothing_is_permitted_but_what_a_job_asks_for(file: Path) -> None:
    workflow = load(file)
    assert workflow["permissions"] == {}
    asked = {job: set(content["permissions"].items()) for job, content in workflow["jobs"].items()}
    more = {job: found - {("contents", "read")} for job, found in asked.items() if found != {("contents", "read")}}
    assert more in ({}, {"review": {("pull-requests", "write")}})


def test_the_job_that_may_write_has_no_credentials_and_the_others_may_not_write() -> None:
    jobs = load(ROOT / ".github" / "workflows" / "preview.yml")["jobs"]
    assert "secrets." not in str(jobs["review"]) and "environment" not in jobs["review"]
    assert "secrets." in str(jobs["preview"])


def test_a_forks_pull_request_runs_nothing() -> None:
    for job in load(ROOT / ".github" / "workflows" / "preview.yml")["jobs"].values():
        assert "github.event.pull_request.head.repo.full_name == github.repository" in job["if"]


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.stem)
def test_no_script_holds_an_expression(file: Path) -> None:
    scripts = [step["run"] for job in load(file)["jobs"].values() for step in job["steps"] if "run" in step]
    assert scripts and not any("${{" in script for script in scripts), "a label's text would be run as a script"


def test_every_stack_is_previewed_and_deployed() -> None:
    stacks = {path.name.split(".")[1] for path in (ROOT / "stacks").glob("Pulumi.*.yaml")} - {"local"}
    for file in WORKFLOWS:
        for job in load(file)["jobs"].values():
            if "strategy" in job:
                assert set(job["strategy"]["matrix"]["stack"]) == stacks, file.name
    assert set(load(GITLAB)[".stacks"]["parallel"]["matrix"][0]["STACK"]) == stacks


def test_after_a_deployment_nothing_is_left_to_change() -> None:
    scripts = [
        step.get("run", "") for step in load(ROOT / ".github" / "workflows" / "deploy.yml")["jobs"]["deploy"]["steps"]
    ]
    assert "pulumi up" in scripts[-2] and "--expect-no-changes" in scripts[-1]


def test_drift_is_looked_for_on_a_schedule() -> None:
    workflow = load(ROOT / ".github" / "workflows" / "deploy.yml")
    # YAML 1.1 reads the key `on` as a boolean.
    assert workflow[True]["schedule"] and "tools drift --stack" in str(workflow["jobs"]["drift"])  # type: ignore[index]


def test_the_engine_is_the_one_that_the_local_stack_pins() -> None:
    version = build.version(build.PULUMI).removeprefix("v")
    assert f"pulumi-version: {version}" in ACTION.read_text()
    assert f"pulumi-python-3.11:{version}" in GITLAB.read_text()


def test_the_commands_of_the_gitlab_example_are_those_of_the_workflows() -> None:
    text = GITLAB.read_text()
    for command in (
        "pulumi preview --json",
        "python -m tools review previews/*.json",
        "python -m tools review publish comment.md",
        "--expect-no-changes",
    ):
        assert command in text and any(command in file.read_text() for file in WORKFLOWS), command
