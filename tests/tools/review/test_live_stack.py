"""``make review`` on a stack that is up: from an edited mapping to the comment, by the real engine."""

import json
from pathlib import Path

import pytest

from tests.support.stack import LocalStack

MAPPING = Path(__file__).parents[3] / "schema-mapping.yaml"


@pytest.fixture
def edited(live_stack: LocalStack, tmp_path: Path) -> Path:
    file = tmp_path / "schema-mapping.yaml"
    text = MAPPING.read_text()
    assert "      reads: [vex]\n" in text
    file.write_text(text.replace("      reads: [vex]\n", "      reads: [vex, vuln.linksets]\n", 1))
    return file


def test_a_preview_of_the_live_stack_is_told_with_its_line_and_changes_nothing(
    live_stack: LocalStack, edited: Path, tmp_path: Path
) -> None:
    report = tmp_path / "report.json"
    live_stack.must("pulumi", "config", "set", "mapping", str(edited))
    try:
        result = live_stack.run("review", "--mapping", str(edited), "--json", str(report))
    finally:
        live_stack.must("pulumi", "config", "set", "mapping", "schema-mapping.yaml")
    assert result.returncode == 0, result.stdout + result.stderr
    line = edited.read_text().splitlines().index("      reads: [vex, vuln.linksets]") + 1
    assert f"- `vexlens` gains SELECT on `vuln.linksets` (`schema-mapping.yaml:{line}`)" in result.stdout
    assert result.stdout.rstrip().endswith("<!-- stellaops-storage review: stellaops-storage/local -->")
    assert "preview of local" in result.stderr, "it takes a while: the user is told what is being done"
    [stack] = json.loads(report.read_text())["stacks"]
    assert stack["risk"] == "access-widened" and stack["contract"]["added"] == ["modules.vexlens.postgres.schemas.vuln"]
    secrets = [value for module in live_stack.outputs["secrets"].values() for value in module.values()]
    assert not any(secret in result.stdout + report.read_text() for secret in secrets)


def test_a_stack_at_rest_has_nothing_to_review(live_stack: LocalStack) -> None:
    assert "no changes: `local`" in live_stack.must("review")
