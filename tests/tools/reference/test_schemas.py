"""The committed JSON Schemas are current, and the commands that check say what to do."""

import json
from pathlib import Path

import pytest
import yaml

from tools.development.mapping import check
from tools.reference import schemas

ROOT = Path(__file__).parents[3]


def test_the_committed_schemas_are_current(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert schemas.run(check=True) == 0, "editors would check against an old schema"


def test_a_stale_schema_is_named_with_the_command_that_renews_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert schemas.run(check=True) == 1
    assert "schemas/contract.schema.json is not current; run: python3 -m tools schemas" in capsys.readouterr().err
    assert schemas.run(check=False) == 0 and schemas.run(check=True) == 0


def test_the_schema_knows_every_key_that_the_mapping_has() -> None:
    schema = json.loads((ROOT / "schemas" / "schema-mapping.schema.json").read_text())
    assert set(yaml.safe_load((ROOT / "schema-mapping.yaml").read_text())) == set(schema["properties"])


def test_checking_a_broken_mapping_prints_places_and_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_text("version: 1\n")
    assert check(broken) == 1
    assert "broken.yaml:1:1: 'modules' is missing; add it" in capsys.readouterr().err
